//! `oracle baseline regen`.

use super::journal::Journal;
use super::{LiveArgs, scratch, sweep};
use crate::archive::Entry;
use anyhow::Result;
use oracle_baseline::{Case, Lab, Label, Resizer, Store, matrix, reproducible};
use oracle_case::Tools;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// Asks every wanted version every case, and writes the files.
pub fn regen(dir: &Path, args: &LiveArgs) -> Result<ExitCode> {
    let mut store = Store::load(dir)?;
    let cases = cases(&store, args);
    for entry in args.entries()? {
        let Some(lab) = lab(&entry) else {
            println!("{}: not asked, it has no qemu-io", entry.version);
            continue;
        };
        let label = Label::from(entry.version.clone());
        let journal = Journal::open(&args.journal, &label.to_string(), &identity(&entry)?)?;
        let known = |case: &&Case| journal.found.contains_key(&case.key());
        let (old, new): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(known);
        let asked: Vec<_> = new.iter().map(|case| (*case, Vec::new())).collect();
        let title = format!("qemu-img {label}");
        let outcomes = sweep(&lab, &asked, args.jobs, &title, |case, outcome| journal.note(case, outcome))?;
        for case in &old {
            if let Some(outcome) = journal.found.get(&case.key()) {
                store.set(case, label.clone(), outcome.clone());
            }
        }
        for (case, outcome) in new.iter().zip(outcomes) {
            store.set(case, label.clone(), outcome);
        }
        store.save(dir)?;
        journal.finish()?;
        println!("{title}: {} cases, {} of them from an interrupted run", cases.len(), old.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// The matrix, and what else there are answers to: a version that is here answers that too.
pub fn cases(store: &Store, args: &LiveArgs) -> Vec<Case> {
    let stored = store.entries().map(|entry| entry.case.clone());
    let all =
        matrix().into_iter().chain(stored).filter(|case| reproducible(case) && args.wants(&case.format));
    let by_name: BTreeMap<_, _> = all.map(|case| ((case.name(), case.key()), case)).collect();
    by_name.into_values().collect()
}

/// Where that version makes, resizes and reads, if it can make images with data.
pub fn lab(entry: &Entry) -> Option<Lab> {
    let tools = Tools { qemu_img: entry.qemu_img.clone(), qemu_io: entry.qemu_io.clone()? };
    Some(Lab { tools, resizer: Resizer::Maker, place: scratch() })
}

/// What tells the binary from another one of the same version.
fn identity(entry: &Entry) -> Result<String> {
    let meta = std::fs::metadata(&entry.path)?;
    Ok(format!("{entry}, {:?}, {} bytes", meta.modified()?, meta.len()))
}
