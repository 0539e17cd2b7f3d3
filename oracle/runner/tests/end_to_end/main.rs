//! `oracle compare` as a user runs it: it finds nothing where nothing is wrong, catches faults as a
//! planner could make them, and says clearly why it could not run.

mod faulty;
mod harness;

use harness::{Run, oracle};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if let Some(code) = faulty::run(&words) {
        return code;
    }
    let mut trials: Vec<Trial> = faulty::FAULTS
        .iter()
        .map(|fault| Trial::test(format!("planted: {}", fault.name), move || planted(fault)))
        .collect();
    trials.push(Trial::test("nothing is wrong with the known divergences", known));
    trials.push(Trial::test("a version that is not there", absent_version));
    trials.push(Trial::test("a case that is none", no_case));
    if Command::new("qemu-img").arg("--version").output().is_err() {
        let name = |t: &Trial| format!("{} (no qemu-img in PATH)", t.name());
        let ignored = trials.iter().map(|t| Trial::test(name(t), || Ok(())).with_ignored_flag(true));
        trials = ignored.collect();
    }
    trials.push(Trial::test("no qemu-img at all", no_qemu));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn planted(fault: &faulty::Fault) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let stand_in = faulty::stand_in(fault.name, dir.path())?;
    let case = dir.path().join("case.json");
    std::fs::write(&case, fault.case)?;
    let run = oracle(dir.path(), |command| {
        command.arg("compare").arg("--case").arg(&case).arg("--instar").arg(&stand_in);
        command.args(["--engine", "in-process", "--output", "json"]);
    })?;
    let report: serde_json::Value = serde_json::from_str(&run.stdout)?;
    let found = report["divergences"].as_array().into_iter().flatten().any(|group| {
        let class = &group["class"];
        class["oracle"] == fault.oracle && class["field"] == fault.field
    });
    match (run.code, found) {
        (Some(1), true) => Ok(()),
        _ => Err(format!("exit {:?}, divergences: {:#}", run.code, report["divergences"]).into()),
    }
}

/// Runs nothing but the case of every known divergence: each must still diverge, and only so.
fn known() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let run = oracle(dir.path(), |command| {
        command.args(["compare", "--cases", "0", "--engine", "in-process"]);
    })?;
    match run.code {
        Some(0) => Ok(()),
        _ => Err(run.stdout.into()),
    }
}

fn absent_version() -> Result<(), Failed> {
    refused(&["compare", "--qemu", "1.7"], "there is no qemu-img 1.7; there is ", |_| {})
}

fn no_case() -> Result<(), Failed> {
    refused(&["replay", "Cargo.toml"], "Cargo.toml: ", |_| {})
}

fn no_qemu() -> Result<(), Failed> {
    refused(&["compare"], "no qemu-img in PATH or in the archive: ", |command| {
        command.env("PATH", "/nonexistent");
    })
}

/// The oracle could not run, and says why in one line that begins so.
fn refused(words: &[&str], why: &str, prepare: fn(&mut Command)) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let Run { code, stderr, .. } = oracle(dir.path(), |command| {
        command.args(words);
        prepare(command);
    })?;
    let one_line = stderr.lines().count() == 1;
    if code == Some(2) && one_line && stderr.starts_with(&format!("oracle: {why}")) {
        return Ok(());
    }
    Err(format!("exit {code:?}: {stderr}").into())
}
