//! Every recorded outcome of qemu-img 10.0, once more with instar in the place of `qemu-img resize`.
//!
//! The installed qemu-img makes the images and reads the results. Where there is none that can, or no
//! /dev/kvm, the trials concerned are ignored and their kind says why.

mod examine;
mod explained;
mod record;

use explained::{Explained, explain};
use libtest_mimic::{Arguments, Failed, Trial};
use oracle_case::child::Tool;
use oracle_judge::Version;
use oracle_judge::subject::run_tool;
use oracle_judge::text::{Difference, differences};
use record::Record;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::ExitCode;

/// instar's engines.
const ENGINES: [&str; 2] = ["in-process", "kvm"];
/// The oldest qemu-img that answers everything recorded as 10.0 does.
const OLDEST: &str = "8.0";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let records = match record::all() {
        Ok(records) => records,
        Err(e) => {
            eprintln!("observed: {e}");
            return ExitCode::FAILURE;
        }
    };
    let tools = missing_tools();
    let mut trials = Vec::new();
    for engine in ENGINES {
        let missing = tools.clone().or_else(|| missing_engine(engine));
        let mut add = |trial: Trial| trials.push(unless(missing.as_deref(), trial));
        for record in &records {
            let (name, record) = (record.case.name(), record.clone());
            add(Trial::test(format!("{engine}/{name}"), move || same(&record, engine)));
        }
        for explained in explained::ALL {
            let record = records.iter().find(|r| r.case.name() == explained.shown_by).cloned();
            let name = format!("{engine}/{}/{}", explained.id, explained.shown_by);
            add(Trial::test(name, move || still_diverges(record.as_ref(), engine, explained)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Ignores a trial, with the reason as its kind.
fn unless(missing: Option<&str>, trial: Trial) -> Trial {
    match missing {
        Some(reason) => trial.with_ignored_flag(true).with_kind(reason),
        None => trial,
    }
}

/// Why images cannot be made or read here, if they cannot.
fn missing_tools() -> Option<String> {
    for name in ["qemu-img", "qemu-io"] {
        let banner = run_tool(&Tool::new(name), Path::new("."), ["--version"]);
        let version = banner.ok().and_then(|ran| Version::from_banner(&ran.stdout));
        match (version, OLDEST.parse()) {
            (None, _) => return Some(format!("no {name} in PATH")),
            (Some(version), Ok(oldest)) if version < oldest => {
                return Some(format!("{name} {version} is older than {OLDEST}"));
            }
            _ => {}
        }
    }
    None
}

/// Why an engine cannot be had here, if it cannot.
fn missing_engine(engine: &str) -> Option<String> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    (engine == "kvm" && device.is_err()).then(|| "no usable /dev/kvm".into())
}

/// Every place in which instar's outcome and the recorded one differ.
fn compare(record: &Record, engine: &str) -> Result<Vec<Difference>, Failed> {
    let ours = examine::examine(&record.case, engine, &record.outcome).map_err(|e| e.to_string())?;
    Ok(differences(&ours, &examine::expected(&record.outcome)))
}

fn same(record: &Record, engine: &str) -> Result<(), Failed> {
    let differs = compare(record, engine)?;
    let unexplained: Vec<String> = differs
        .iter()
        .filter(|d| explain(&record.case, d).is_none())
        .map(|d| format!("{}: {}", d.path, d.values()))
        .collect();
    if unexplained.is_empty() { Ok(()) } else { Err(unexplained.join("\n").into()) }
}

fn still_diverges(record: Option<&Record>, engine: &str, explained: &Explained) -> Result<(), Failed> {
    let record = record.ok_or("there is no record of this name")?;
    let shows = |d: &Difference| explain(&record.case, d).is_some_and(|e| e.id == explained.id);
    match compare(record, engine)?.iter().any(shows) {
        true => Ok(()),
        false => Err("nothing differs any more: remove the explanation".into()),
    }
}
