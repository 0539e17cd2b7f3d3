//! The report for programs.

use crate::cause::Cause;
use crate::equipment::Equipment;
use crate::keep::Kept;
use crate::report::replay;
use crate::run::Outcome;
use crate::tally::Tally;
use anyhow::Result;
use oracle_judge::Subject;
use serde_json::{Map, Value, json};

/// Prints what came of a campaign as one JSON object.
///
/// # Errors
/// It cannot be written as JSON.
pub fn outcome(outcome: &Outcome, kept: &[Kept]) -> Result<()> {
    print!("{}", text(outcome, kept, false)?);
    Ok(())
}

/// The same as text; with `grid` also every case with every version.
///
/// # Errors
/// It cannot be written as JSON.
pub fn text(outcome: &Outcome, kept: &[Kept], grid: bool) -> Result<String> {
    let tally = &outcome.tally;
    let findings: Vec<Value> =
        tally.causes.iter().enumerate().map(|(i, cause)| finding(tally, cause, kept.get(i))).collect();
    let counts: serde_json::Map<String, Value> = tally
        .oracles
        .iter()
        .map(|(name, counts)| Ok(((*name).to_string(), serde_json::to_value(counts)?)))
        .collect::<Result<_>>()?;
    let mut report = json!({
        "notes": outcome.equipment.notes,
        "cases": tally.cases,
        "seconds": outcome.seconds(),
        "pace": outcome.live,
        "oracles": counts,
        "findings": findings,
        "divergences": tally.groups,
        "known": tally.known,
        "baselines": outcome.recorded,
        "stale": tally.stale,
        "unchecked": tally.unchecked,
        "failures": tally.failures,
    });
    if let Some(map) = report.as_object_mut() {
        map.extend(subjects(&outcome.equipment));
    }
    if let (true, Some(map)) = (grid, report.as_object_mut()) {
        map.insert("grid".into(), serde_json::to_value(&outcome.grid)?);
    }
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

/// The names of what was compared.
fn subjects(equipment: &Equipment) -> Map<String, Value> {
    let named = match &equipment.pair {
        Some(pair) => vec![("left", json!(pair.left.name())), ("right", json!(pair.right.name()))],
        None => {
            let instar: Vec<&str> = equipment.instars.iter().map(|i| i.name()).collect();
            let qemu: Vec<&str> = equipment.qemus.iter().map(|q| q.name()).collect();
            vec![("instar", json!(instar)), ("qemu", json!(qemu))]
        }
    };
    named.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
}

/// Divergences of one probable cause, with the case that was kept of them.
fn finding(tally: &Tally, cause: &Cause, kept: Option<&Kept>) -> Value {
    let first = cause.first(&tally.groups);
    let also: Vec<String> = cause.others(&tally.groups).iter().map(|group| group.class.to_string()).collect();
    json!({
        "class": first.map(|group| group.class.to_string()),
        "detail": first.map(|group| &group.detail),
        "cases": cause.cases,
        "also": also,
        "case": kept.map(|kept| &kept.case),
        "describe": kept.map(|kept| &kept.describe),
        "replay": kept.map(replay),
    })
}
