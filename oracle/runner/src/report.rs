//! The report for people.

use crate::baseline::recorded;
use crate::cause::Cause;
use crate::equipment::Equipment;
use crate::keep::Kept;
use crate::run::Outcome;
use crate::tally::{Counts, Tally};

/// Prints what is going to be compared.
pub fn equipment(equipment: &Equipment, plan: &str) {
    for note in &equipment.notes {
        println!("  {note}");
    }
    println!("{plan}\n");
}

/// Prints what came of it.
pub fn outcome(outcome: &Outcome, kept: &[Kept]) {
    let tally = &outcome.tally;
    table(&tally.oracles);
    recorded::print(&outcome.recorded);
    for (id, count) in &tally.known {
        let reason = outcome.known.iter().find(|k| k.id == *id).map_or("", |k| &k.reason);
        println!("known: {id}: {count} trials: {reason}");
    }
    for id in &tally.unchecked {
        println!("known: {id}: not checked, no version that it speaks of is here");
    }
    for id in &tally.stale {
        println!("STALE: {id}: its case does not diverge any more; remove the entry");
    }
    for (label, why) in &tally.failures {
        println!("COULD NOT RUN: {label}: {why}");
    }
    for (i, cause) in tally.causes.iter().enumerate() {
        print_cause(tally, cause, kept.get(i));
    }
    let seconds = outcome.elapsed.as_secs_f64();
    let rate = tally.cases as f64 / seconds.max(0.001);
    println!("\n{} cases in {seconds:.1} s ({rate:.1} cases/s): {}", tally.cases, verdict(tally));
}

/// What came of it in a few words.
pub fn verdict(tally: &Tally) -> String {
    let findings = match tally.causes.len() {
        0 => return "no unexplained divergence".to_string(),
        1 => "1 finding".to_string(),
        n => format!("{n} findings"),
    };
    match tally.groups.len() {
        1 => format!("{findings}, 1 kind of divergence"),
        n => format!("{findings}, {n} kinds of divergence"),
    }
}

fn table(oracles: &[(&'static str, Counts)]) {
    println!("{:<16}{:>8}{:>8}{:>8}{:>10}", "oracle", "agree", "skip", "known", "disagree");
    for (name, counts) in oracles {
        let Counts { agree, skip, known, disagree, .. } = counts;
        println!("{name:<16}{agree:>8}{skip:>8}{known:>8}{disagree:>10}");
    }
    println!();
    for (name, counts) in oracles {
        for (why, count) in &counts.skipped_because {
            println!("{name} skipped {count}: {why}");
        }
    }
}

fn print_cause(tally: &Tally, cause: &Cause, kept: Option<&Kept>) {
    let Some(group) = cause.first(&tally.groups) else { return };
    println!("\nDIVERGENCE {} ({} cases, first in {})", group.class, cause.cases, group.label);
    println!("  {}", group.detail);
    for between in &group.between {
        println!("  between {between}");
    }
    for other in cause.others(&tally.groups) {
        println!("  also seen as {} ({} cases)", other.class, other.jobs.len());
    }
    if let Some(kept) = kept {
        println!("  shrunk to: {}", kept.describe);
        println!("  replay: {}", replay(kept));
    }
}

/// The command that runs a kept case again.
pub fn replay(kept: &Kept) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "oracle".into());
    format!("{program} replay {}", kept.case.display())
}
