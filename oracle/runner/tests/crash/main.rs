//! `oracle crash` in both engines, and real resizes that are killed at some moment or run out of space.

mod files;
mod full;
mod kill;
mod parts;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::process::{Command, ExitCode};

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
        ignored(Trial::test("kvm-traces-of-all-files", files::are_followed), no_qemu.or(no_kvm.as_deref())),
    ];
    trials.extend(kill::trials("in-process", no_qemu.is_none()));
    trials.extend(kill::trials("kvm", no_qemu.is_none()).map(|trial| ignored(trial, no_kvm.as_deref())));
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
