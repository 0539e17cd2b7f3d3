//! Good images of every shape, small enough to be copied by the thousand.

use crate::{HostileError, log};
use oracle_case::Tools;
use oracle_case::child::Tool;
use oracle_judge::subject::{IMAGE, run_tool};
use std::path::Path;

/// The name of the file that stands behind or beside an image.
const OTHER: &str = "other.raw";
/// The passphrase of encrypted images, and how a program names them with it.
const SECRET: &str = "secret,id=key,data=passphrase";
const UNLOCKED: &str = "driver=luks,key-secret=key,file.filename=disk.img";

/// How to make an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Its name in reports.
    pub name: &'static str,
    /// Its format, as `-f` takes it.
    pub format: &'static str,
    /// `-o` of `qemu-img create`.
    pub options: &'static str,
    /// The size, as typed.
    pub size: &'static str,
    /// What is done to it: commands of `qemu-io`, or of `qemu-img` after a `!`, or `log` or `dirty`.
    pub steps: &'static [&'static str],
    /// A larger and a smaller size, as typed: the resizes that are tried.
    pub resizes: [&'static str; 2],
}

/// The step that leaves a VHDX with a log to be replayed.
const LOG: &str = "log";
/// The step that marks a QED image as one to be checked before it is written to.
const DIRTY: &str = "dirty";
/// The first byte of its feature bits, and the bit (QED specification, "Feature bits").
const NEED_CHECK: (usize, u8) = (16, 2);
/// Writes at the start, across L2 tables and up to the end of 8 MiB.
const FILL: &[&str] = &["write -P 1 0 64k", "write -P 2 2040k 16k", "write -P 3 8184k 8k"];
/// The same with every kind of cluster.
const KINDS: &[&str] = &[
    "write -P 1 0 64k",
    "write -z 16k 8k",
    "write -z -u 40k 8k",
    "write -c -P 4 2048k 4k",
    "write -c -P 5 2052k 4k",
    "write -c -P 6 8188k 4k",
];
const SUBCLUSTERS: &[&str] = &["write -P 1 0 80k", "write -z 16k 1k", "write -P 3 8190k 2k"];
const SNAPSHOTS: &[&str] =
    &["write -P 1 0 64k", "!snapshot -c one", "write -P 2 0 16k", "!snapshot -c second", "write -P 3 4M 8k"];
const BITMAPS: &[&str] = &[
    "write -P 1 0 64k",
    "!bitmap --add -g 64k coarse",
    "!bitmap --add -g 512 fine",
    "!bitmap --disable fine",
    "write -P 2 4M 64k",
];

const fn recipe(name: &'static str, options: &'static str, steps: &'static [&'static str]) -> Recipe {
    Recipe { name, format: "qcow2", options, size: "8M", steps, resizes: ["1G", "2M"] }
}

/// Images of formats that qemu-img does not resize.
pub const UNRESIZED: &[Recipe] = &[
    foreign("vhd", ("vpc", "force_size=on"), ["300M", "2M"]),
    foreign("vhd-geometry", ("vpc", "subformat=dynamic"), ["300M", "2M"]),
    foreign("vhd-fixed", ("vpc", "subformat=fixed,force_size=on"), ["16M", "2M"]),
    foreign("vhdx", ("vhdx", "block_size=1M"), ["64M", "2M"]),
    foreign("vhdx-fixed", ("vhdx", "block_size=1M,subformat=fixed,block_state_zero=off"), ["16M", "2M"]),
    Recipe {
        steps: &[FILL[0], FILL[1], FILL[2], LOG],
        ..foreign("vhdx-log", ("vhdx", "block_size=1M"), ["64M", "2M"])
    },
    foreign("vmdk", ("vmdk", "adapter_type=lsilogic"), ["200M", "2M"]),
];

const fn foreign(
    name: &'static str,
    (format, options): (&'static str, &'static str),
    resizes: [&'static str; 2],
) -> Recipe {
    Recipe { name, format, options, size: "8M", steps: FILL, resizes }
}

/// Images of further formats that qemu-img resizes.
pub const OTHERS: &[Recipe] = &[
    Recipe { resizes: ["64M", "16M"], ..foreign("qed", ("qed", "cluster_size=4k,table_size=4"), ["", ""]) },
    Recipe {
        resizes: ["64M", "16M"],
        steps: &[FILL[0], FILL[1], FILL[2], DIRTY],
        ..foreign("qed-dirty", ("qed", "cluster_size=4k,table_size=4"), ["", ""])
    },
    Recipe {
        steps: &[],
        size: "64k",
        ..foreign("luks", ("luks", "key-secret=key,iter-time=10"), ["1M", "32k"])
    },
    Recipe {
        steps: &[],
        size: "64k",
        ..foreign(
            "luks-cbc",
            ("luks", "key-secret=key,iter-time=10,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256"),
            ["1M", "32k"],
        )
    },
];

/// Of qcow2.
pub const RECIPES: &[Recipe] = &[
    recipe("plain", "cluster_size=4k", FILL),
    recipe("version-2", "compat=0.10,cluster_size=4k", FILL),
    recipe("kinds", "cluster_size=4k", KINDS),
    recipe("extended", "extended_l2=on,cluster_size=16k", SUBCLUSTERS),
    recipe("narrow", "cluster_size=512,refcount_bits=1", &["write -P 1 0 20k", "write -P 2 8191k 1k"]),
    recipe("wide", "cluster_size=1k,refcount_bits=64", &["write -P 1 0 20k", "write -P 2 8191k 1k"]),
    recipe("zstd", "compression_type=zstd,cluster_size=4k", FILL),
    recipe("snapshots", "cluster_size=4k", SNAPSHOTS),
    recipe("snapshots-2", "compat=0.10,cluster_size=4k", SNAPSHOTS),
    recipe("bitmaps", "cluster_size=4k", BITMAPS),
    recipe("backed", "backing_file=other.raw,backing_fmt=raw,cluster_size=4k", FILL),
    recipe("backed-bitmaps", "backing_file=other.raw,backing_fmt=raw,cluster_size=4k", BITMAPS),
    recipe("data-file", "data_file=other.raw,data_file_raw=on,cluster_size=4k", FILL),
];

impl Recipe {
    /// Makes the image in `dir`, with the file beside it if there is one, and returns its bytes.
    ///
    /// # Errors
    /// A step fails.
    pub fn make(&self, dir: &Path, tools: &Tools) -> Result<Vec<u8>, HostileError> {
        std::fs::create_dir_all(dir).map_err(HostileError::io(dir))?;
        if self.options.contains("backing_file") {
            let other = dir.join(OTHER);
            std::fs::write(&other, [7; 4096]).map_err(HostileError::io(other))?;
        }
        let secret = if self.is_encrypted() { &["--object", SECRET] as &[&str] } else { &[] };
        let words = [&["create", "-q", "-f", self.format], secret, &["-o", self.options, IMAGE, self.size]];
        self.run(dir, &tools.qemu_img, &words.concat())?;
        for step in self.steps.iter().filter(|step| ![LOG, DIRTY].contains(step)) {
            match step.strip_prefix('!') {
                Some(command) => {
                    let mut words: Vec<&str> = command.split(' ').collect();
                    // The image goes before the name of what is done to it.
                    words.insert(words.len() - usize::from(!command.starts_with("snapshot")), IMAGE);
                    self.run(dir, &tools.qemu_img, &words)?;
                }
                None => self.run(dir, &tools.qemu_io, &["-f", self.format, "-c", step, IMAGE])?,
            }
        }
        let image = dir.join(IMAGE);
        let mut bytes = std::fs::read(&image).map_err(HostileError::io(&image))?;
        if self.is_unclean() {
            log::put(&mut bytes);
        }
        if let (true, Some(features)) = (self.steps.contains(&DIRTY), bytes.get_mut(NEED_CHECK.0)) {
            *features |= NEED_CHECK.1;
        }
        std::fs::write(&image, &bytes).map_err(HostileError::io(image))?;
        Ok(bytes)
    }

    /// Whether whoever opens the image for writing has to replay a log first.
    #[must_use]
    pub fn is_unclean(&self) -> bool {
        self.steps.contains(&LOG)
    }

    /// What comes after `verb` to have it done to the image with these options, `last` behind the image. A passphrase is
    /// given where one is needed.
    #[must_use]
    pub fn words(&self, verb: &str, options: &[&str], last: &[&str]) -> Vec<String> {
        let words = if self.is_encrypted() && verb != "info" {
            [&["--object", SECRET, "--image-opts"], options, &[UNLOCKED], last].concat()
        } else {
            [&["-f", self.format], options, &[IMAGE], last].concat()
        };
        words.into_iter().map(String::from).collect()
    }

    fn is_encrypted(&self) -> bool {
        self.format == "luks"
    }

    fn run(&self, dir: &Path, tool: &Tool, words: &[&str]) -> Result<(), HostileError> {
        let ran = run_tool(tool, dir, words)?;
        if ran.success() && !ran.stdout.contains("failed") {
            return Ok(());
        }
        let said = format!("{} {}", ran.summary(), ran.stdout.trim());
        Err(HostileError::Recipe { recipe: self.name, step: words.join(" "), said })
    }
}
