//! `oracle crash` in both engines, and real resizes that are killed at some moment or run out of space.

mod full;
mod parts;

use instar_ops::Format;
use libtest_mimic::{Arguments, Failed, Trial};
use oracle_case::child::Tool;
use oracle_case::seed::SplitMix64;
use oracle_case::{
    Case, Fixture, FormatOptions, Maker, Qcow2, Tools, Write, WriteKind, build, expected_content,
};
use oracle_crash::{Image, Judge};
use serde_json::Value;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Resizes that are killed, of each kind.
const KILLS: u64 = 24;
/// Size of the images that are killed, in bytes.
const SIZE: u64 = 8 << 20;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let without = |tool: &str| Command::new(tool).arg("--version").output().is_err();
    let no_qemu = without("qemu-img").then_some("no qemu-img in PATH");
    let no_kvm = instar_vmm::Kvm::open().err().map(|e| e.to_string());
    let ignored = |trial: Trial, why: Option<&str>| match why {
        Some(why) => trial.with_ignored_flag(true).with_kind(why.to_string()),
        None => trial,
    };
    let mut trials = vec![
        ignored(Trial::test("in-process-states-are-good", || campaign("in-process")), no_qemu),
        ignored(
            Trial::test("kvm-traces-are-the-same-and-good", || campaign("kvm")),
            no_qemu.or(no_kvm.as_deref()),
        ),
        Trial::test("a-killed-grow-leaves-a-good-image", || killed(4 << 30)),
        Trial::test("a-killed-shrink-leaves-a-good-image", || killed(64 << 10)),
    ];
    trials.extend(parts::trials().into_iter().map(|trial| ignored(trial, no_qemu)));
    let no_mount = full::missing();
    for engine in ["in-process", "kvm"] {
        let why = no_mount.or(no_kvm.as_deref().filter(|_| engine == "kvm"));
        for (format, preallocation) in [("qcow2", "off"), ("raw", "falloc"), ("raw", "full")] {
            let name = format!("a-full-file-system-{engine}-{format}-{preallocation}");
            let trial = Trial::test(name, move || full::is_survived(engine, format, preallocation));
            trials.push(ignored(trial, why));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A short run of `oracle crash`: no state is bad, and an engine other than the one in process takes the same way.
fn campaign(engine: &str) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let mut oracle = Command::new(env!("CARGO_BIN_EXE_oracle"));
    oracle.args(["crash", "--cases", "32", "--output", "json", "--engine", engine, "--keep"]).arg(dir.path());
    let output = oracle.output()?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let states = report["distinct_states"].as_u64().unwrap_or(0);
    if !output.status.success() || states < 100 {
        return Err(format!("{} after {states} states: {:#}", output.status, report["bad"]).into());
    }
    let guest = |what: &str| report[what].as_u64().unwrap_or(0);
    if engine == "kvm" && (guest("guest_traces") < 20 || guest("guest_faults") < 20) {
        return Err(format!("too little of it is a guest's: {report:#}").into());
    }
    Ok(())
}

/// A populated image of small clusters: its resizes write many tables, with flushes in between.
fn fixture() -> Fixture {
    let write = |i: u8| Write {
        kind: WriteKind::Data,
        pattern: i + 1,
        offset: u64::from(i) * (SIZE / 64),
        len: 64 << 10,
    };
    let options = Qcow2 { cluster_bits: 9, ..Qcow2::default() };
    Fixture {
        maker: Maker::Own,
        writes: (0..64).map(write).collect(),
        ..Fixture::new(FormatOptions::Qcow2(options), SIZE)
    }
}

/// Kills resizes to `new` bytes at seeded moments of the time that a whole one takes, and judges each file.
fn killed(new: u64) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let (fixture, none) = (fixture(), Tool::new("none"));
    let path = build(&fixture, dir.path(), &Tools { qemu_img: none.clone(), qemu_io: none })?;
    let (start, mut judge, mut rng) = (Image::load(&path)?, Judge::default(), SplitMix64::new(new));
    let content = expected_content(&Case { fixture, resizes: Vec::new(), after: Vec::new() }.fixture);
    let step = judge.step(&start, Format::Qcow2, &content, new, false)?;
    let resize = || {
        let mut instar = Command::new(env!("CARGO_BIN_EXE_oracle"));
        instar.args(["__instar", "resize", "--engine", "in-process", "-q", "-f", "qcow2", "--shrink"]);
        instar.arg(&path).arg(new.to_string()).stdout(Stdio::null()).spawn()
    };
    let begun = Instant::now();
    if !resize()?.wait()?.success() {
        return Err("the resize itself fails".into());
    }
    let whole = u64::try_from(begun.elapsed().as_micros())?;
    judge.judge_end(&Image::load(&path)?, &step)?;
    for kill in 0..KILLS {
        start.store(&path)?;
        let mut child = resize()?;
        std::thread::sleep(Duration::from_micros(rng.below(whole)));
        child.kill()?;
        child.wait()?;
        let mut image = Image::load(&path)?;
        judge.judge(&mut image, &step, |_, _| ()).map_err(|bad| format!("kill {kill}: {bad}"))?;
    }
    Ok(())
}
