//! The subcommand `corpus`: seeds for the fuzzers.

use crate::archive::Archive;
use crate::equipment::{self, elders};
use crate::run::{in_directory, workplace};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use instar_vmm::hostile;
use oracle_case::child::Tool;
use oracle_case::{Case, FormatOptions, Maker, Tools, build};
use oracle_hostile::RECIPES;
use oracle_judge::Subject;
use oracle_judge::subject::{IMAGE, run_tool};
use oracle_targets::{ALL, Input, WORDS, resized};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Arguments of `corpus`.
#[derive(Debug, Args)]
pub struct CorpusArgs {
    #[command(subcommand)]
    command: CorpusCommand,
}

#[derive(Debug, Subcommand)]
enum CorpusCommand {
    /// Write seeds for every target: images of the seeded cases, and small ones of every format and qemu-img.
    Export(ExportArgs),
    /// Keep of the seeds in corpus/ only what adds coverage, and what once found something, as scripts/fuzz does it.
    Minimize(MinimizeArgs),
}

#[derive(Debug, Args)]
struct MinimizeArgs {
    /// Targets; all of them if none is named.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// The program that does it.
    #[arg(long, value_name = "FILE", default_value = "scripts/fuzz")]
    fuzz: PathBuf,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// The directory with one directory for each target.
    #[arg(long, value_name = "DIR", default_value = "corpus")]
    to: PathBuf,
    /// How many seeded cases to look at.
    #[arg(long, value_name = "N", default_value_t = 400)]
    cases: u64,
    /// Where the archived versions of qemu-img are.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
}

/// The longest seed in bytes: a fuzzer changes a few bytes at a time.
const MOST_BYTES: usize = 6 << 10;
/// Seeds of a case's image that show no feature which an earlier one did not show.
const EXTRA: usize = 8;

/// The target that gets images with small clusters.
const SMALL: &str = "resize_qcow2";
/// The longest of its seeds in bytes, but for those of large clusters.
const MOST_SMALL: usize = 1 << 10;
/// The largest disk of one, in bytes.
const SMALL_DISK: u64 = 1 << 20;

/// An image that a qemu-img makes, and what it is a seed of.
struct Plain {
    format: &'static str,
    target: &'static str,
    options: &'static [&'static str],
}

const fn plain(format: &'static str, target: &'static str, options: &'static [&'static str]) -> Plain {
    Plain { format, target, options }
}

/// The smallest images with something in them, in the formats that cases do not have.
const PLAIN: &[Plain] = &[
    plain("qed", "qed", &[]),
    plain("qed", "qed", &["-o", "cluster_size=4k,table_size=1"]),
    plain("luks", "luks", &["--object", "secret,id=s,data=a", "-o", "key-secret=s,iter-time=10"]),
    plain("vpc", "vhd", &[]),
    plain("vpc", "vhd", &["-o", "force_size=on"]),
    plain("vpc", "vhd", &["-o", "subformat=fixed"]),
    plain("vhdx", "vhdx", &[]),
    plain("vhdx", "vhdx", &["-o", "subformat=fixed"]),
    plain("vhdx", "vhdx", &["-o", "block_size=1M"]),
    plain("vmdk", "vmdk", &[]),
    plain("vmdk", "vmdk", &["-o", "subformat=streamOptimized"]),
    plain("vmdk", "vmdk", &["-o", "subformat=monolithicFlat"]),
];

/// Does what `args` say.
///
/// # Errors
/// There is no qemu-img, or a file cannot be written.
pub fn run(args: &CorpusArgs) -> Result<ExitCode> {
    match &args.command {
        CorpusCommand::Export(args) => export(args),
        CorpusCommand::Minimize(args) => minimize(args),
    }
}

/// Has each target make its seeds fewer; goes on after one that cannot.
fn minimize(args: &MinimizeArgs) -> Result<ExitCode> {
    let all = || ALL.iter().map(|target| target.name.to_string()).collect();
    let names: Vec<String> = if args.targets.is_empty() { all() } else { args.targets.clone() };
    if let Some(unknown) = names.iter().find(|name| ALL.iter().all(|target| target.name != **name)) {
        bail!("there is no target {unknown}");
    }
    let mut code = ExitCode::SUCCESS;
    for name in names {
        let mut command = Command::new(&args.fuzz);
        let status = command.args([&name, "--minimize"]).status();
        if !status.with_context(|| args.fuzz.display().to_string())?.success() {
            eprintln!("{name}: not minimized");
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn export(args: &ExportArgs) -> Result<ExitCode> {
    let dir = workplace().context("temporary directory")?;
    let archive = Archive::at(args.archive.as_deref())?;
    let tools = equipment::makers(&archive, &[])?;
    let mut seeds = Seeds::default();
    plays(&mut seeds);
    cases(args.cases, &tools, dir.path(), &mut seeds)?;
    for recipe in RECIPES {
        let bytes = recipe.make(&dir.path().join(recipe.name), &tools)?;
        seeds.image("qcow2", bytes.len() as u64, &bytes, 1 << 30, true);
    }
    for (i, qemu) in elders(&archive, dir.path())?.iter().enumerate() {
        for (j, plain) in PLAIN.iter().enumerate() {
            let place = dir.path().join(format!("plain{i}-{j}"));
            in_directory(&place, || {
                if let Some(bytes) = made(plain, (qemu.tool(), qemu.io()), &place)? {
                    seeds.image(plain.target, bytes.len() as u64, &bytes, 64 << 20, true);
                }
                Ok(())
            })?;
        }
    }
    seeds.write(&args.to)
}

/// What needs no image.
fn plays(seeds: &mut Seeds) {
    let all = [("guest_report", hostile::reports()), ("virtio_request", hostile::requests())];
    all.into_iter().for_each(|(target, bytes)| bytes.into_iter().for_each(|seed| seeds.add(target, seed)));
    WORDS.iter().for_each(|word| seeds.add("size_argument", word.as_bytes().to_vec()));
}

/// What a fuzzer shall begin with, by target.
#[derive(Default)]
struct Seeds(BTreeMap<String, BTreeSet<Vec<u8>>>);

impl Seeds {
    fn add(&mut self, target: &str, seed: Vec<u8>) {
        if ALL.iter().any(|known| known.name == target) {
            self.0.entry(target.to_string()).or_default().insert(seed);
        }
    }

    /// An image, for every target that takes it; that which resizes it does so only if it `resizes`.
    fn image(&mut self, format: &str, len: u64, bytes: &[u8], size: u64, resizes: bool) {
        let mut seed = Input::encode(len, [(0, bytes)], size);
        // What is cut off reads as zeros: most of it is data.
        seed.truncate(MOST_BYTES);
        self.add("open_any", seed.clone());
        self.add(&format!("open_{format}"), seed.clone());
        self.add(&format!("read_{format}"), seed.clone());
        if format == "qcow2" {
            self.add("crash_states", seed.clone());
        }
        if resizes {
            self.add(&format!("resize_{format}"), seed);
        }
    }

    /// An image with small clusters, for the target that resizes: if that does so, and it is short.
    fn small(&mut self, bytes: &[u8], size: u64) {
        let seed = Input::encode(bytes.len() as u64, [(0, bytes)], size);
        if seed.len() > MOST_SMALL || self.0.get(SMALL).is_some_and(|seeds| seeds.contains(&seed)) {
            return;
        }
        let before = resized();
        oracle_targets::run(SMALL, &seed);
        if resized() > before {
            self.add(SMALL, seed);
        }
    }

    fn write(&self, to: &Path) -> Result<ExitCode> {
        for target in ALL {
            let Some(seeds) = self.0.get(target.name) else {
                bail!("no seed for {} could be made with the qemu-imgs that are here", target.name);
            };
            let dir = to.join(target.name);
            std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
            for seed in seeds {
                std::fs::write(dir.join(name(seed)), seed)?;
            }
            let bytes: usize = seeds.iter().map(Vec::len).sum();
            println!("{:14} {:4} seeds {bytes:7} bytes", target.name, seeds.len());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A name that depends on the bytes only.
fn name(seed: &[u8]) -> String {
    let hash = seed.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Images of seeded cases, as long as they show something new, and the cases themselves.
fn cases(most: u64, tools: &Tools, dir: &Path, seeds: &mut Seeds) -> Result<()> {
    let (mut seen, mut extra) = (BTreeSet::new(), 0);
    for seed in 1..=most {
        let case = Case::from_seed(seed);
        let features = case.features();
        if features.is_subset(&seen) {
            extra += 1;
            if extra > EXTRA {
                continue;
            }
        }
        small(&case, seed, (dir, tools), seeds)?;
        let clusters = features.iter().any(|name| name.starts_with("cluster-") && !seen.contains(name));
        seen.extend(features);
        let mut own = case.clone();
        own.fixture.maker = Maker::Own;
        own.legalize();
        seeds.add("resize_case", own.to_json().into_bytes());
        let place = dir.join(format!("seed{seed}"));
        in_directory(&place, || {
            // A feature that this qemu-img does not have makes no seed.
            let Ok(path) = build(&case.fixture, &place, tools) else { return Ok(()) };
            let meta = std::fs::metadata(&path)?;
            if meta.len() > 64 << 20 {
                return Ok(());
            }
            let bytes = std::fs::read(&path)?;
            let (format, size) = (case.fixture.format.name(), case.fixture.size.saturating_mul(3));
            seeds.image(format, meta.len(), &bytes, size, clusters || format != "qcow2");
            Ok(())
        })?;
    }
    Ok(())
}

/// The same case with small clusters and a small disk, to be grown and shrunk: what is resized ten times as fast.
fn small(case: &Case, seed: u64, (dir, tools): (&Path, &Tools), seeds: &mut Seeds) -> Result<()> {
    for (bits, times) in [(9, 2), (10, 3), (11, 8), (12, 40)] {
        let mut case = case.clone();
        let FormatOptions::Qcow2(options) = &mut case.fixture.format else { return Ok(()) };
        options.cluster_bits = bits;
        case.fixture.size = case.fixture.size.min(SMALL_DISK);
        case.legalize();
        let place = dir.join(format!("small{seed}-{bits}"));
        in_directory(&place, || {
            let Ok(path) = build(&case.fixture, &place, tools) else { return Ok(()) };
            let bytes = std::fs::read(&path)?;
            seeds.small(&bytes, case.fixture.size.saturating_mul(times));
            seeds.small(&bytes, case.fixture.size / times / 512 * 512);
            Ok(())
        })?;
    }
    Ok(())
}

/// An image with a little data, if this qemu-img makes one.
fn made(plain: &Plain, (qemu_img, io): (&Tool, Option<&Tool>), dir: &Path) -> Result<Option<Vec<u8>>> {
    let mut words = vec!["create", "-f", plain.format];
    words.extend(plain.options);
    words.extend([IMAGE, "4M"]);
    let ran = run_tool(qemu_img, dir, words)?;
    if !ran.success() {
        return Ok(None);
    }
    // The passphrase of a LUKS image and the file beside a flat one are not worth the words.
    if let Some(io) = io.filter(|_| !plain.options.iter().any(|word| word.contains("secret"))) {
        for write in ["write -P 1 0 4k", "write -P 2 3M 4k"] {
            run_tool(io, dir, ["-f", plain.format, "-c", write, IMAGE])?;
        }
    }
    Ok(Some(std::fs::read(dir.join(IMAGE))?))
}
