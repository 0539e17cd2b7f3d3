//! Every oracle catches the fault planted for it, and finds nothing where none is planted.
//!
//! The subject under test is a qemu-img behind a script that makes it look like an instar. Faults
//! are planted in its words, by the script, or in the image that it leaves.

mod faults;
mod lab;

use lab::Lab;
use libtest_mimic::{Arguments, Failed, Trial};
use oracle_judge::all;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = faults::FAULTS.iter().map(trial).collect();
    trials.extend(
        all().iter().map(|o| Trial::test(format!("{}/nothing planted", o.name()), move || quiet(o.name()))),
    );
    if Command::new("qemu-img").arg("--version").output().is_err() {
        let ignored = trials.into_iter().map(|t| {
            let name = format!("{} (no qemu-img in PATH)", t.name());
            Trial::test(name, || Ok(())).with_ignored_flag(true)
        });
        trials = ignored.collect();
    }
    trials.push(Trial::test("every oracle has a fault", every_oracle_has_a_fault));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(fault: &'static faults::Fault) -> Trial {
    match fault.needs().filter(|program| Command::new(program).output().is_err()) {
        None => Trial::test(fault.name(), move || caught(fault)),
        Some(program) => {
            Trial::test(format!("{} (no {program} in PATH)", fault.name()), || Ok(())).with_ignored_flag(true)
        }
    }
}

fn caught(fault: &faults::Fault) -> Result<(), Failed> {
    let fields = Lab::new(fault.case, fault.script)?.judge(fault.oracle, fault.image)?;
    if fields.iter().any(|field| field == fault.field) {
        return Ok(());
    }
    Err(format!("{} should have been found, was: {fields:?}", fault.field).into())
}

fn quiet(oracle: &str) -> Result<(), Failed> {
    let parts = [faults::OVERLAY, faults::DATA_FILE, faults::SNAPSHOT, faults::BITMAP];
    // How qemu-img treats these is what some of the others take exception to.
    let wide = ["companions", "snapshots", "bitmaps", "content", "clean", "reader"].contains(&oracle);
    let parts = parts.into_iter().filter(|_| wide);
    let new = [faults::VHD, faults::VMDK].into_iter().filter(|_| oracle == "fresh-create");
    for case in [faults::GROW, faults::SHRINK, faults::RAW].into_iter().chain(parts).chain(new) {
        let fields = Lab::new(case, "")?.judge(oracle, None)?;
        if !fields.is_empty() {
            return Err(format!("{fields:?} found in {case}").into());
        }
    }
    Ok(())
}

fn every_oracle_has_a_fault() -> Result<(), Failed> {
    for oracle in all() {
        if !faults::FAULTS.iter().any(|fault| fault.oracle == oracle.name()) {
            return Err(format!("{} has none", oracle.name()).into());
        }
    }
    Ok(())
}
