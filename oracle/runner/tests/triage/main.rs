//! From a campaign over one bug to one case that a person can read: what `compare`, `minimize` and
//! `fuzz` make of an instar that grows every raw file to one sector less than it should.

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

/// The argument that makes this test program be the faulty instar.
const AS_FAULTY: &str = "__faulty";
/// How many cases the campaign has, unless [`CASES_VARIABLE`] says otherwise.
const CASES: &str = "150";
/// The variable that names another number of cases.
const CASES_VARIABLE: &str = "TRIAGE_CASES";

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == AS_FAULTY) {
        return faulty(&words[1..]).unwrap_or(ExitCode::from(99));
    }
    let name = "a campaign over one bug ends with one finding and one small case";
    let there = Command::new("qemu-img").arg("--version").output().is_ok();
    let trial = match there {
        true => Trial::test(name, campaign),
        false => Trial::test(format!("{name} (no qemu-img in PATH)"), || Ok(())).with_ignored_flag(true),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// Is instar, but for the last sector of a raw file that has grown.
fn faulty(args: &[std::ffi::OsString]) -> std::io::Result<ExitCode> {
    let before = File::open("disk.img").and_then(|file| file.metadata()).map_or(0, |meta| meta.len());
    let status = Command::new(env!("CARGO_BIN_EXE_oracle")).arg("__instar").args(args).status()?;
    let code = ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(98));
    if args.first().is_some_and(|verb| verb == "resize") && args.iter().any(|word| word == "raw") {
        let image = OpenOptions::new().write(true).open("disk.img")?;
        let len = image.metadata()?.len();
        if len > before {
            image.set_len(len.saturating_sub(512))?;
        }
    }
    Ok(code)
}

fn campaign() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let findings = dir.path().join("findings");
    let cases = std::env::var(CASES_VARIABLE).unwrap_or_else(|_| CASES.into());
    let run = oracle(dir.path(), &["compare", "--format", "raw", "--cases", &cases, "--keep"], &findings)?;
    ensure(run.status.code() == Some(1), "the campaign found nothing", &run)?;
    let report: Value = serde_json::from_slice(&run.stdout)?;
    let found = report["findings"].as_array().map_or(0, Vec::len);
    ensure(found == 1, &format!("{found} findings: {:#}", report["findings"]), &run)?;
    let finding = &report["findings"][0];
    ensure(finding["cases"].as_u64().is_some_and(|cases| cases > 50), "the bug is in few cases", &run)?;
    let case = PathBuf::from(finding["case"].as_str().ok_or("no case")?);
    readable(&case)?;

    let small = dir.path().join("small.json");
    let run = oracle(dir.path(), &["minimize", &case.display().to_string(), "--out"], &small)?;
    ensure(run.status.code() == Some(1), "the kept case does not show it", &run)?;
    readable(&small)?;

    let fuzz = ["fuzz", "--time", "5s", "--format", "raw", "--findings"];
    let run = oracle(dir.path(), &fuzz, &findings)?;
    ensure(run.status.code() != Some(1), "what was kept before is found again", &run)?;
    let run = oracle(dir.path(), &fuzz, &dir.path().join("new"))?;
    ensure(run.status.code() == Some(1), "fuzz finds nothing where nothing was kept", &run)
}

/// A raw image without anything, resized once.
fn readable(case: &Path) -> Result<(), Failed> {
    let text = std::fs::read_to_string(case)?;
    let value: Value = serde_json::from_str(&text)?;
    let one = value["resizes"].as_array().is_some_and(|resizes| resizes.len() == 1);
    let empty = value["fixture"]["writes"].is_null() && value["after"].is_null();
    if one && empty { Ok(()) } else { Err(format!("not small: {text}").into()) }
}

fn oracle(dir: &Path, words: &[&str], path: &Path) -> Result<Output, Failed> {
    let stand_in = dir.join("instar");
    let script = format!("#!/bin/sh\nexec '{}' {AS_FAULTY} \"$@\"\n", std::env::current_exe()?.display());
    std::fs::write(&stand_in, script)?;
    std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_oracle"));
    command.args(words).arg(path).arg("--instar").arg(&stand_in).arg("--archive").arg(dir.join("archive"));
    command.args(["--engine", "in-process", "--output", "json"]);
    Ok(command.output()?)
}

fn ensure(holds: bool, otherwise: &str, run: &Output) -> Result<(), Failed> {
    if holds {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(4000).collect::<String>();
    Err(format!("{otherwise}\n{}\n{}", text(&run.stderr), text(&run.stdout)).into())
}
