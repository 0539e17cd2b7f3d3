//! Whole-process time and peak memory of `instar resize` and `qemu-img resize`, side by side, and the
//! cases per second of `oracle compare`. scripts/bench builds what it needs.
//!
//! Usage: `bench INSTAR ORACLE [ROUNDS [TEXT]]`; with TEXT only the resizes whose names have it, and no `oracle compare`.

use anyhow::{Context, Result, bail};
use oracle_judge::sparse;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often each resize is measured if nothing else is asked for.
const ROUNDS: usize = 5;
/// No further round of a resize is begun after so long.
const ENOUGH: Duration = Duration::from_secs(30);
/// Cases that `oracle compare` runs.
const CASES: &str = "100";
/// Kibibytes in a mebibyte.
const KIB: f64 = 1024.0;

/// A resize to measure.
struct Job {
    name: &'static str,
    /// Words of `qemu-img create` before and after the file's name.
    create: (&'static str, &'static str),
    /// What qemu-io writes before it.
    writes: &'static [&'static str],
    /// Internal snapshots, each after 64 KiB that the next one does not share.
    snapshots: u64,
    /// Options of `resize`, and the size.
    resize: (&'static str, &'static str),
}

/// Data all over a disk of 1 TiB.
const SCATTERED: &[&str] = &[
    "write -q 0 64k",
    "write -q 200G 64k",
    "write -q 400G 64k",
    "write -q 600G 64k",
    "write -q 800G 64k",
    "write -q 1000G 64k",
];

const JOBS: [Job; 21] = [
    job("1 MiB to 2 MiB", ("-f qcow2", "1M"), &[], "2M"),
    job("1 GiB to 2 GiB", ("-f qcow2", "1G"), &[], "2G"),
    job("1 GiB with 256 MiB of data to 1 TiB", ("-f qcow2", "1G"), &["write -q 0 256M"], "1T"),
    job("1 TiB to 2 TiB", ("-f qcow2", "1T"), &[], "2T"),
    job("1 TiB to 2 PiB", ("-f qcow2", "1T"), &[], "2P"),
    job("1 GiB to 128 GiB, 512-byte clusters", ("-f qcow2 -o cluster_size=512", "1G"), &[], "128G"),
    shrink("1 GiB with 256 MiB of data to 64 MiB", ("-f qcow2", "1G"), &["write -q 0 256M"], "64M"),
    shrink("1 TiB, empty, to 1 GiB", ("-f qcow2", "1T"), &[], "1G"),
    shrink("1 TiB, sparse, to 500 GiB", ("-f qcow2", "1T"), SCATTERED, "500G"),
    Job {
        resize: ("--preallocation=metadata", "64G"),
        ..job("64 GiB of metadata", ("-f qcow2", "1M"), &[], "")
    },
    Job { snapshots: 100, ..job("100 snapshots, 1 GiB to 1 TiB", ("-f qcow2", "1G"), &[], "1T") },
    Job { snapshots: 100, ..shrink("100 snapshots, 1 GiB to 1 MiB", ("-f qcow2", "1G"), &[], "1M") },
    job("raw 1 GiB to 2 GiB", ("-f raw", "1G"), &[], "2G"),
    shrink("raw 2 GiB to 1 GiB", ("-f raw", "2G"), &[], "1G"),
    job("VHD 1 GiB to 2040 GiB", ("-f vpc", "1G"), FEW, "2040G"),
    shrink("VHD 2040 GiB to 1 GiB", ("-f vpc", "2040G"), FEW, "1G"),
    job("VHDX 1 TiB to 64 TiB", ("-f vhdx", "1T"), FEW, "64T"),
    job("VHDX 1 TiB to 64 TiB, 1 MiB blocks", ("-f vhdx -o block_size=1M", "1T"), FEW, "64T"),
    shrink("VHDX 64 TiB to 1 TiB, 1 MiB blocks", ("-f vhdx -o block_size=1M", "64T"), FEW, "1T"),
    job("VMDK 1 GiB to 2 TiB", ("-f vmdk", "1G"), FEW, "2T"),
    shrink("VMDK 2 TiB to 1 GiB", ("-f vmdk", "2T"), FEW, "1G"),
];

/// Some blocks of a disk of 1 GiB or more, the last ones first.
const FEW: &[&str] = &["write -q 1000M 1M", "write -q 0 1M", "write -q 500M 8M"];

const fn job(
    name: &'static str,
    create: (&'static str, &'static str),
    writes: &'static [&'static str],
    size: &'static str,
) -> Job {
    Job { name, create, writes, snapshots: 0, resize: ("", size) }
}

const fn shrink(
    name: &'static str,
    create: (&'static str, &'static str),
    writes: &'static [&'static str],
    size: &'static str,
) -> Job {
    Job { name, create, writes, snapshots: 0, resize: ("--shrink", size) }
}

/// A program and the words that make it resize.
struct Subject {
    name: &'static str,
    program: PathBuf,
    words: &'static [&'static str],
}

/// What one run took.
#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    /// Peak resident set in KiB. The kernel counts that of this program at the time of the start too.
    memory: i64,
}

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let (Some(instar), Some(oracle)) = (words.next(), words.next()) else {
        bail!("usage: bench INSTAR ORACLE [ROUNDS [TEXT]]");
    };
    let rounds = words.next().map_or(Ok(ROUNDS), |n| n.parse()).context("ROUNDS")?;
    let text = words.next();
    let resize = |name, program: &str, words| Subject { name, program: program.into(), words };
    let subjects = [
        resize("instar, kvm", &instar, &["resize", "--engine", "kvm"]),
        resize("instar, in process", &instar, &["resize", "--engine", "in-process"]),
        resize("qemu-img", "qemu-img", &["resize"]),
    ];
    let dir = tempfile::tempdir()?;
    println!("Median time and peak memory of {rounds} runs of each in turn (fewer of what takes long):\n");
    print!("| {:<38}", "resize");
    subjects.iter().for_each(|s| print!(" | {:>20}", s.name));
    println!(" |\n|{:-<40}{}|", "", "|---------------------:".repeat(subjects.len()));
    for job in JOBS.iter().filter(|job| text.as_ref().is_none_or(|text| job.name.contains(text))) {
        measure(job, &subjects, rounds, dir.path()).with_context(|| job.name.to_string())?;
    }
    if text.is_some() {
        return Ok(());
    }
    println!();
    for engine in ["kvm", "in-process"] {
        compare(&oracle, engine, dir.path())?;
    }
    Ok(())
}

/// Measures a job with every subject and prints a line of the table.
fn measure(job: &Job, subjects: &[Subject], rounds: usize, dir: &Path) -> Result<()> {
    let fixture = dir.join("fixture");
    make(job, &fixture)?;
    let mut costs = vec![Vec::new(); subjects.len()];
    let start = Instant::now();
    for round in 0..rounds {
        if round > 0 && start.elapsed() > ENOUGH {
            break;
        }
        for (subject, costs) in subjects.iter().zip(&mut costs).filter(|(subject, _)| subject.resizes(job)) {
            let image = dir.join("image");
            sparse::copy(&fixture, &image)?;
            // Or the resize's flush would have to write the copy out.
            std::fs::File::open(&image)?.sync_all()?;
            costs.push(resize(subject, job, &image).with_context(|| subject.name)?);
            std::fs::remove_file(&image)?;
        }
    }
    print!("| {:<38}", job.name);
    for costs in &mut costs {
        if costs.is_empty() {
            print!(" | {:>20}", "-");
            continue;
        }
        costs.sort_by_key(|cost| cost.time);
        let time = costs.get(costs.len() / 2).context("no rounds")?.time;
        let memory = costs.iter().map(|cost| cost.memory).max().unwrap_or(0);
        print!(" | {:>9.1} ms {:>4.0} MiB", time.as_secs_f64() * 1000.0, memory as f64 / KIB);
    }
    println!(" |");
    Ok(std::fs::remove_file(fixture)?)
}

fn make(job: &Job, image: &Path) -> Result<()> {
    let mut create = Command::new("qemu-img");
    create.args(["create", "-q"]).args(job.create.0.split(' ')).arg(image).arg(job.create.1);
    run(create)?;
    for write in job.writes {
        let mut io = Command::new("qemu-io");
        io.args(["-f", format(job), "-c", write]).arg(image);
        run(io)?;
    }
    for nth in 0..job.snapshots {
        let mut io = Command::new("qemu-io");
        io.args(["-f", format(job), "-c", &format!("write -q {} 64k", nth % 16 * (64 << 10))]).arg(image);
        run(io)?;
        let mut snapshot = Command::new("qemu-img");
        snapshot.args(["snapshot", "-c", &format!("s{nth}")]).arg(image);
        run(snapshot)?;
    }
    Ok(())
}

fn resize(subject: &Subject, job: &Job, image: &Path) -> Result<Cost> {
    let mut command = Command::new(&subject.program);
    command.args(subject.words).args(["-q", "-f", format(job)]);
    command.args(job.resize.0.split_whitespace()).arg(image).arg(job.resize.1);
    run(command)
}

fn format(job: &Job) -> &'static str {
    job.create.0.split(' ').nth(1).unwrap_or("raw")
}

impl Subject {
    /// Whether the program resizes images of the job's format.
    fn resizes(&self, job: &Job) -> bool {
        self.name != "qemu-img" || matches!(format(job), "raw" | "qcow2")
    }
}

/// Runs a command that must succeed.
fn run(mut command: Command) -> Result<Cost> {
    let start = Instant::now();
    let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("{command:?}"))?;
    let (mut status, pid) = (0, libc::pid_t::try_from(child.id())?);
    // SAFETY: all zeros is a value of this plain C struct, and wait4 fills it in.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that outlive the call; the child is ours and not waited for
    // by anybody else, because `Child` does so only when it is told to.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    let time = start.elapsed();
    if waited != pid {
        return Err(io::Error::last_os_error()).context("wait4");
    }
    if status != 0 {
        bail!("{command:?} ended with wait status {status:#x}");
    }
    Ok(Cost { time, memory: usage.ru_maxrss })
}

/// Runs `oracle compare` against PATH's qemu-img and prints how fast it was.
fn compare(oracle: &str, engine: &str, dir: &Path) -> Result<()> {
    let mut compare = Command::new(oracle);
    compare.args(["compare", "--cases", CASES, "--output", "json", "--engine", engine]);
    compare.arg("--archive").arg(dir).arg("--keep").arg(dir.join("findings"));
    let output = compare.stdin(Stdio::null()).output().with_context(|| oracle.to_string())?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let (cases, seconds) = (report["cases"].as_f64(), report["seconds"].as_f64());
    let (cases, seconds) = cases.zip(seconds).context("a report without times")?;
    let rate = cases / seconds;
    println!("oracle compare --engine {engine}: {cases} cases in {seconds:.1} s, {rate:.1} cases/s");
    Ok(())
}
