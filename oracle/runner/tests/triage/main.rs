//! From a campaign over one bug to one case that a person can read: what `compare`, `minimize` and
//! `fuzz` make of an instar that grows every raw file to one sector less than it should; and of one whose fault shows with
//! one option of VHD, VHDX and VMDK only, which is the option that is left.

mod faults;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

/// The argument that makes this test program be the faulty instar.
const AS_FAULTY: &str = "__faulty";
/// How many cases the campaign has, unless [`CASES_VARIABLE`] says otherwise.
const CASES: &str = "150";
/// How many one over a format has whose fault needs an option.
const FEW_CASES: &str = "24";
/// The variable that names another number of cases.
const CASES_VARIABLE: &str = "TRIAGE_CASES";

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == AS_FAULTY) {
        return faulty(&words[1..]).unwrap_or(ExitCode::from(99));
    }
    let there = Command::new("qemu-img").arg("--version").output().is_ok();
    let whole = Trial::test("a campaign over one bug ends with one finding and one small case", campaign);
    let options = OPTIONS.iter().map(|(format, what, left)| {
        Trial::test(format!("{format}: {what}"), move || only_what_matters(format, &left()))
    });
    let ignored = |trial: Trial| trial.with_ignored_flag(true).with_kind("no qemu-img in PATH");
    let trials = std::iter::once(whole).chain(options);
    let trials = trials.map(|trial| if there { trial } else { ignored(trial) }).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A format, what the fault in it needs ([`faults`]), and the options that are left then.
type Needed = (&'static str, &'static str, fn() -> Value);
const OPTIONS: &[Needed] = &[
    (
        "vpc",
        "a fault in every image leaves qemu-img's own options",
        || json!({"vpc": {"fixed": false, "creator": "qemu", "block_bits": 21}}),
    ),
    (
        "vhdx",
        "a fault with a long log leaves the long log",
        || json!({"vhdx": {"fixed": false, "block_bits": 23, "log_mib": 2, "zeroed": true}}),
    ),
    ("vmdk", "a fault in descriptor files leaves the simplest subformat that has one", || {
        json!({"vmdk": {"subformat": "monolithicFlat", "adapter": "ide", "compat6": false,
            "zeroed_grain": false, "grain_bits": 16}})
    }),
];

/// Is instar, but for what [`faults`] does to the image then.
fn faulty(args: &[std::ffi::OsString]) -> std::io::Result<ExitCode> {
    let before = File::open("disk.img").and_then(|file| file.metadata()).map_or(0, |meta| meta.len());
    let status = Command::new(env!("CARGO_BIN_EXE_oracle")).arg("__instar").args(args).status()?;
    let code = ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(98));
    if args.first().is_some_and(|verb| verb == "resize") && status.success() {
        let format =
            ["raw", "vpc", "vhdx", "vmdk"].iter().find(|name| args.iter().any(|word| word == **name));
        format.map_or(Ok(()), |format| faults::spoil(format, before))?;
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
    readable(&case, 1)?;

    let small = dir.path().join("small.json");
    let run = oracle(dir.path(), &["minimize", &case.display().to_string(), "--out"], &small)?;
    ensure(run.status.code() == Some(1), "the kept case does not show it", &run)?;
    readable(&small, 1)?;

    let fuzz = ["fuzz", "--time", "5s", "--format", "raw", "--findings"];
    let run = oracle(dir.path(), &fuzz, &findings)?;
    ensure(run.status.code() != Some(1), "what was kept before is found again", &run)?;
    let run = oracle(dir.path(), &fuzz, &dir.path().join("new"))?;
    ensure(run.status.code() == Some(1), "fuzz finds nothing where nothing was kept", &run)
}

/// A campaign and `minimize` end with a case in which nothing but what the fault needs is left.
fn only_what_matters(format: &str, options: &Value) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let findings = dir.path().join("findings");
    let words = ["compare", "--format", format, "--cases", FEW_CASES, "--keep"];
    let run = oracle(dir.path(), &words, &findings)?;
    ensure(run.status.code() == Some(1), "the campaign found nothing", &run)?;
    let report: Value = serde_json::from_slice(&run.stdout)?;
    let case = report["findings"][0]["case"].as_str().unwrap_or_default();
    ensure(!case.is_empty(), "no case was kept", &run)?;
    let small = dir.path().join("small.json");
    let run = oracle(dir.path(), &["minimize", case, "--out"], &small)?;
    ensure(run.status.code() == Some(1), "the kept case does not show it", &run)?;
    // A class says which way the resizes go: where they go both ways, one alone is of another class.
    readable(&small, 2)?;
    let value: Value = serde_json::from_str(&std::fs::read_to_string(&small)?)?;
    let fixture = &value["fixture"];
    let plain = fixture["maker"] == "qemu" && fixture["format"] == *options;
    if plain { Ok(()) } else { Err(format!("not the simplest: {fixture:#}").into()) }
}

/// An image without anything, and not more than `most` resizes.
fn readable(case: &Path, most: usize) -> Result<(), Failed> {
    let text = std::fs::read_to_string(case)?;
    let value: Value = serde_json::from_str(&text)?;
    let few = value["resizes"].as_array().is_some_and(|resizes| (1..=most).contains(&resizes.len()));
    let empty = value["fixture"]["writes"].is_null() && value["after"].is_null();
    if few && empty { Ok(()) } else { Err(format!("not small: {text}").into()) }
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
