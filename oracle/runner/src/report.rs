//! The report for people.

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
    println!();
    for (what, pace) in outcome.paces() {
        println!("{what}: {pace}");
    }
    println!("{}", verdict(tally));
}

/// What came of it in a few words.
pub fn verdict(tally: &Tally) -> String {
    let findings = match tally.causes.len() {
        0 => return trouble(tally).unwrap_or_else(|| "no unexplained divergence".into()),
        1 => "1 finding".to_string(),
        n => format!("{n} findings"),
    };
    match tally.groups.len() {
        1 => format!("{findings}, 1 kind of divergence"),
        n => format!("{findings}, {n} kinds of divergence"),
    }
}

/// What is wrong with a campaign without findings, if something is.
fn trouble(tally: &Tally) -> Option<String> {
    match (tally.stale.len(), tally.failures.len(), tally.cases) {
        (0, 0, 0) => Some("nothing was compared".into()),
        (0, 0, _) => None,
        (0, failed, _) => Some(format!("{failed} cases could not be run")),
        (stale, ..) => Some(format!("{stale} known divergences are stale")),
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
        println!("  simplest case: {}", kept.describe);
        println!("  replay: {}", replay(kept));
    }
}

/// The command that runs a kept case again.
pub fn replay(kept: &Kept) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "oracle".into());
    format!("{program} replay {}{}", kept.case.display(), kept.options)
}
