//! Which findings of a case are excused by the list of known divergences.

use crate::campaign::Judged;
use crate::equipment::Equipment;
use oracle_case::Case;
use oracle_judge::{Class, Finding, Known, Subject, Verdict};
use std::collections::BTreeSet;

/// The known divergences that excuse a finding of `judged`.
pub fn excuses<'k>(
    equipment: &Equipment,
    known: &'k [Known],
    case: &Case,
    judged: &Judged,
    finding: &Finding,
) -> Vec<&'k Known> {
    if let Some(pair) = &equipment.pair {
        let between = |known: &&Known| known.excuses_between(&finding.class, case, &pair.left, &pair.right);
        return known.iter().filter(between).collect();
    }
    let qemu = judged.right.and_then(|right| equipment.qemus.get(right));
    let version = qemu.and_then(Subject::version);
    known.iter().filter(|known| known.excuses(&finding.class, case, version)).collect()
}

/// The classes of all findings that nothing excuses.
pub fn classes(equipment: &Equipment, known: &[Known], case: &Case, judged: &[Judged]) -> BTreeSet<Class> {
    let mut found = BTreeSet::new();
    for one in judged {
        let Verdict::Disagree(findings) = &one.verdict else { continue };
        let fresh = findings.iter().filter(|f| excuses(equipment, known, case, one, f).is_empty());
        found.extend(fresh.map(|finding| finding.class.clone()));
    }
    found
}
