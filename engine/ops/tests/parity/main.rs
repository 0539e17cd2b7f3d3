//! `info` and `check` against the `qemu-img` of this machine, on images that it made and on what
//! became of them by hand. Without `qemu-img` every trial is ignored.

mod faults;
mod grow;
#[path = "../common/made.rs"]
mod made;
mod recipe;
mod repair;
#[path = "../common/share.rs"]
mod share;
mod subject;

use faults::Fault;
use libtest_mimic::{Arguments, Failed, Trial};
use recipe::Recipe;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use subject::FileDisk;

fn main() {
    let args = Arguments::from_args();
    let absent =
        ["qemu-img", "qemu-io"].into_iter().find(|tool| Command::new(tool).arg("-V").output().is_err());
    let mut trials = Vec::new();
    for image in recipe::images() {
        let faults = faults::of(image.name);
        trials.push(trial(absent, format!("info::{}", image.name), move || info(&image, None)));
        trials.push(trial(absent, format!("check::{}", image.name), move || check(&image, None)));
        for fault in faults {
            let name = format!("{}::{}", image.name, fault.name);
            trials.push(trial(absent, format!("info::{name}"), move || info(&image, Some(&fault))));
            trials.push(trial(absent, format!("check::{name}"), move || check(&image, Some(&fault))));
            for what in repair::KINDS {
                let name = format!("repair::{}::{name}", what.word);
                trials.push(trial(absent, name, move || repair::repair(&image, &fault, what)));
            }
        }
    }
    for growth in grow::growths() {
        let name = format!("grow::{}", growth.name());
        trials.push(trial(absent, name, move || growth.compare()));
    }
    libtest_mimic::run(&args, share::share(trials.into_iter())).exit();
}

fn trial(
    absent: Option<&str>,
    name: String,
    run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    match absent {
        Some(tool) => Trial::test(format!("{name} (no {tool} here)"), || Ok(())).with_ignored_flag(true),
        None => Trial::test(name, run),
    }
}

fn info(image: &Recipe, fault: Option<&Fault>) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let file = make(image, fault, dir.path())?;
    same(&subject::info(&mut FileDisk::open(&file)?), &subject::qemu_info(&file)?)
}

fn make(image: &Recipe, fault: Option<&Fault>, dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let file = image.build(dir)?;
    if let Some(fault) = fault {
        let mut bytes = std::fs::read(&file)?;
        (fault.apply)(&mut bytes);
        std::fs::write(&file, bytes)?;
    }
    Ok(file)
}

fn check(image: &Recipe, fault: Option<&Fault>) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let file = make(image, fault, dir.path())?;
    let ours = subject::check(&mut FileDisk::open(&file)?);
    let theirs = subject::qemu_check(&file)?;
    if fault.is_some_and(|fault| fault.exit_code_only) {
        return same(&subject::exit_code(&ours), &subject::exit_code(&theirs));
    }
    same(&ours, &theirs)
}

fn same<T: PartialEq + std::fmt::Debug>(ours: &T, theirs: &T) -> Result<(), Failed> {
    if ours == theirs {
        return Ok(());
    }
    Err(format!("ours:   {ours:?}\ntheirs: {theirs:?}").into())
}
