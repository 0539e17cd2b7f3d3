//! One case with both subjects, and what the oracles that compare say of it.

use super::Pair;
use crate::campaign::{Judged, fixture, intact};
use crate::equipment::Equipment;
use crate::evidence;
use anyhow::Result;
use oracle_case::Case;
use oracle_case::child::Ending;
use oracle_judge::{Desk, Oracle, Qemu, Record, Subject, Trial, Verdict, between, record};
use std::path::Path;
use std::sync::Arc;

/// Runs `case` in `dir`, which is empty; with `explain` what both sides say goes with each disagreement.
///
/// # Errors
/// The case could not be run or judged.
pub fn look_at_case(
    equipment: &Equipment,
    pair: &Pair,
    case: &Case,
    dir: &Path,
    explain: bool,
) -> Result<Vec<Judged>> {
    let (left, right) = (&pair.left, &pair.right);
    if let Some(why) = [left, right].into_iter().find_map(|who| who.unable(&case.fixture)) {
        return Ok(between()
            .iter()
            .map(|oracle| judged(pair, *oracle, Verdict::skip(why.clone())))
            .collect());
    }
    let fixture = fixture(equipment, case, dir)?;
    let left = record(left, case, &fixture, &dir.join("left"))?;
    let right = record(right, case, &fixture, &dir.join("right"))?;
    let readers: Vec<&Qemu> = equipment.qemus.iter().collect();
    let desk = Desk::new(case, dir, &readers).with_common_reader();
    let trial = Trial::new(case, &left, Some(&right), &desk);
    let mut all = Vec::new();
    for oracle in between() {
        all.push(judged(pair, *oracle, oracle.judge(&trial)?));
    }
    intact(&left)?;
    intact(&right)?;
    let differs = all.iter().any(|one| matches!(one.verdict, Verdict::Disagree(_)));
    if explain && differs && !(late(&left) || late(&right)) {
        let evidence = Arc::new(evidence::gather(&desk, &left, Some(&right))?);
        let found = all.iter_mut().filter(|one| matches!(one.verdict, Verdict::Disagree(_)));
        found.for_each(|one| one.evidence = Some(Arc::clone(&evidence)));
    }
    Ok(all)
}

fn judged(pair: &Pair, oracle: &dyn Oracle, verdict: Verdict) -> Judged {
    Judged { oracle: oracle.name(), left: pair.left.name().to_string(), right: None, verdict, evidence: None }
}

/// Whether a resize did not end: whoever hangs is not asked what it thinks of what it left.
fn late(record: &Record) -> bool {
    record.steps.iter().any(|step| step.ran.ending == Ending::TimedOut)
}
