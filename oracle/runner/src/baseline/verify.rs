//! `oracle baseline verify`.

use super::{LiveArgs, regen, sweep};
use crate::DIVERGED;
use anyhow::Result;
use oracle_baseline::{Case, Label, Store};
use oracle_judge::text::differences;
use std::path::Path;
use std::process::ExitCode;

/// Drifted cases that are shown of every version.
const MAX_SHOWN: usize = 20;

/// Asks every wanted version again what is kept of it.
pub fn verify(dir: &Path, args: &LiveArgs) -> Result<ExitCode> {
    let store = Store::load(dir)?;
    let cases = regen::cases(&store, args);
    let mut drifted = 0;
    for entry in args.entries()? {
        let label = Label::from(entry.version.clone());
        let Some(lab) = regen::lab(&entry) else {
            println!("{label}: not asked, it has no qemu-io");
            continue;
        };
        let asked: Vec<_> = cases.iter().map(|case| (case, Vec::new())).collect();
        let outcomes = sweep(&lab, &asked, args.jobs, &format!("qemu-img {label}"), |_, _| Ok(()))?;
        let told: Vec<String> = cases
            .iter()
            .zip(&outcomes)
            .filter_map(|(case, outcome)| drift(&store, &label, case, outcome))
            .collect();
        for line in told.iter().take(MAX_SHOWN) {
            println!("{line}");
        }
        println!("qemu-img {label}: {} cases, {} answered otherwise than kept", cases.len(), told.len());
        drifted += told.len();
    }
    Ok(if drifted == 0 { ExitCode::SUCCESS } else { ExitCode::from(DIVERGED) })
}

fn drift(store: &Store, label: &Label, case: &Case, now: &oracle_baseline::Outcome) -> Option<String> {
    let Some(kept) = store.entry(case).and_then(|entry| entry.outcome(label)) else {
        return Some(format!(
            "DRIFT {} {}: no answer is kept; run `oracle baseline regen`",
            case.key(),
            case.name()
        ));
    };
    let places = differences(now, kept);
    let told: Vec<String> = places.iter().map(|d| format!("  {}: {}", d.path, d.values())).collect();
    (!places.is_empty()).then(|| format!("DRIFT {} {}\n{}", case.key(), case.name(), told.join("\n")))
}
