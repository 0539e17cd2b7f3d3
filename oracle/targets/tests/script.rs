//! `scripts/fuzz` with programs that only pretend: no finding is hidden by what runs after it, and nothing that did not run
//! counts as clean.

use libtest_mimic::{Arguments, Trial};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What a program of libFuzzer says in the end.
const CLEAN: &str = "echo 'stat::number_of_executed_units: 7'";
/// As above, of one that was given nothing to do.
const IDLE: &str = "echo 'stat::number_of_executed_units: 0'";
/// One that finds something, and writes it where it is told to.
const CRASH: &str =
    r#"for word; do case $word in -artifact_prefix=*) echo x >"${word#*=}crash-1" ;; esac; done; exit 77"#;

fn main() -> ExitCode {
    let trials = [
        ("every_target_clean", [CLEAN, CLEAN], true, "clean"),
        ("a_crash_is_not_hidden_by_what_follows", [CRASH, CLEAN], false, "--replay"),
        ("a_crash_is_found_at_the_end", [CLEAN, CRASH], false, "CRASH"),
        ("a_target_that_ran_nothing_is_no_success", [IDLE, CLEAN], false, "NOTHING RUN"),
    ];
    let trials = trials.map(|(name, scripts, fine, said)| {
        Trial::test(name, move || {
            let (ended_well, text) = fuzz_all(scripts)?;
            match ended_well == fine && text.contains(said) {
                true => Ok(()),
                false => Err(format!("ended well: {ended_well}\n{text}").into()),
            }
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

/// Runs all targets: `first` instead of the first, `others` instead of each of the others.
fn fuzz_all([first, others]: [&str; 2]) -> std::io::Result<(bool, String)> {
    let (dir, root) = (tempfile::tempdir()?, Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(root.join("fuzz/fuzz_targets"))? {
        names.push(entry?.path());
    }
    names.sort();
    for (index, name) in names.iter().enumerate() {
        let program = dir.path().join(name.file_stem().unwrap_or_default());
        std::fs::write(&program, format!("#!/bin/sh\n{}\n", if index == 0 { first } else { others }))?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    }
    let mut command = Command::new(root.join("scripts/fuzz"));
    command
        .args(["all", "--time", "1"])
        .env("FUZZ_PROGRAMS", dir.path())
        .env("FUZZ_OUT", dir.path().join("out"));
    let output = command.output()?;
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), text))
}
