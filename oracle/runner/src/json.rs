//! The report for programs.

use crate::keep::Kept;
use crate::report::replay;
use crate::run::Outcome;
use anyhow::Result;
use oracle_judge::Subject;
use serde_json::{Value, json};

/// Prints what came of a campaign as one JSON object.
///
/// # Errors
/// It cannot be written as JSON.
pub fn outcome(outcome: &Outcome, kept: &[Kept]) -> Result<()> {
    let tally = &outcome.tally;
    let instar: Vec<&str> = outcome.equipment.instars.iter().map(|i| i.name()).collect();
    let qemu: Vec<&str> = outcome.equipment.qemus.iter().map(|q| q.name()).collect();
    let groups: Vec<Value> = tally
        .groups
        .iter()
        .enumerate()
        .map(|(i, group)| {
            let mut value = serde_json::to_value(group)?;
            if let (Some(kept), Some(map)) = (kept.get(i), value.as_object_mut()) {
                map.insert("case".into(), json!(kept.case));
                map.insert("replay".into(), json!(replay(kept)));
            }
            Ok(value)
        })
        .collect::<Result<_>>()?;
    let counts: serde_json::Map<String, Value> = tally
        .oracles
        .iter()
        .map(|(name, counts)| Ok(((*name).to_string(), serde_json::to_value(counts)?)))
        .collect::<Result<_>>()?;
    let report = json!({
        "instar": instar,
        "qemu": qemu,
        "notes": outcome.equipment.notes,
        "cases": tally.cases,
        "seconds": outcome.elapsed.as_secs_f64(),
        "oracles": counts,
        "divergences": groups,
        "known": tally.known,
        "baselines": outcome.recorded,
        "stale": tally.stale,
        "unchecked": tally.unchecked,
        "failures": tally.failures,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
