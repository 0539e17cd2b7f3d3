//! At which version an answer changed.

use crate::{Entry, Label, Outcome};
use oracle_judge::text::{Difference, differences};
use serde_json::Value;

/// A version that answers otherwise than the one before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The version before.
    pub from: Label,
    /// The version.
    pub to: Label,
    /// What differs: the older value is the left one.
    pub differences: Vec<Difference>,
}

/// Every change of the answer to a case, the oldest first.
#[must_use]
pub fn changes(entry: &Entry) -> Vec<Change> {
    let mut answers: Vec<(&Label, &Outcome)> =
        entry.answers.iter().flat_map(|a| a.versions.iter().map(|label| (label, &a.outcome))).collect();
    answers.sort_by_key(|(label, _)| *label);
    changes_between(&answers)
}

/// [`changes`] of answers in the order given.
pub(crate) fn changes_between(answers: &[(&Label, &Outcome)]) -> Vec<Change> {
    let neighbours = answers.windows(2).filter_map(|pair| match pair {
        [(from, old), (to, new)] if old != new => {
            let differences = difference(old, new);
            Some(Change { from: (*from).clone(), to: (*to).clone(), differences })
        }
        _ => None,
    });
    neighbours.filter(|change| !change.differences.is_empty()).collect()
}

/// What differs between two outcomes. A map that only one of them has was not recorded for the other: that is no
/// difference.
fn difference(old: &Outcome, new: &Outcome) -> Vec<Difference> {
    let recorded = |outcome: &Outcome| outcome.get("map").is_some();
    let both = recorded(old) && recorded(new);
    let kept = |outcome: &Outcome| match outcome {
        Value::Object(parts) if !both => {
            parts.iter().filter(|(key, _)| *key != "map").map(|(k, v)| (k.clone(), v.clone())).collect()
        }
        outcome => outcome.clone(),
    };
    differences(&kept(old), &kept(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, matrix};
    use serde_json::json;

    #[test]
    fn a_change_is_told_at_the_version_that_made_it() {
        let (mut store, case) = (Store::default(), matrix().remove(0));
        for (version, len) in [("10.0.13", 2), ("2.10.0", 1), ("8.2.0", 1), ("11.1.3", 1)] {
            store.set(&case, version.parse().unwrap(), json!({"host": {"length": len}}));
        }
        let changes = changes(store.entry(&case).unwrap());
        let told: Vec<String> = changes
            .iter()
            .map(|c| format!("{} {} {}", c.to, c.differences[0].path, c.differences[0].values()))
            .collect();
        assert_eq!(told, ["10.0.13 host.length 1 here, 2 there", "11.1.3 host.length 2 here, 1 there"]);
    }

    #[test]
    fn a_map_that_was_not_recorded_is_no_change() {
        let (old, new): (Label, Label) = ("8.2.0".parse().unwrap(), "9.0.0".parse().unwrap());
        let (with, without) = (json!({"map": [], "host": {}}), json!({"host": {}}));
        assert!(changes_between(&[(&old, &without), (&new, &with)]).is_empty());
    }
}
