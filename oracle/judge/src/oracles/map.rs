//! qemu-img maps both images alike.

use super::support::{different_course, identical, required, too_large};
use crate::oracles::Oracle;
use crate::verdict::Kind;
use crate::{JudgeError, Scope, Trial, Verdict};
use oracle_case::Preallocation;
use serde_json::Value;

/// See the module.
pub struct MapParity;

const NAME: &str = "map";

impl Oracle for MapParity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "qemu-img map shows the same kinds of extents in both sides' images, wherever they lie in the file"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let (Some((left, right)), Some(reader)) = (trial.last_states(), trial.desk.newest()) else {
            return Ok(Verdict::skip("nothing to compare with"));
        };
        if let Some(why) = different_course(trial).or_else(|| too_large(trial)) {
            return Ok(Verdict::skip(why));
        }
        let allocated = trial.case.resizes.iter().any(|r| r.preallocation != Preallocation::Off);
        if allocated && !trial.is_qcow2() {
            return Ok(Verdict::skip("how a raw file's space is allocated is the host's affair"));
        }
        if identical(trial) && trial.is_qcow2() {
            return Ok(Verdict::Agree);
        }
        let (ours, theirs) = (trial.desk.map(reader, left)?, trial.desk.map(reader, right)?);
        let jsons =
            required(trial, NAME, "map", &ours).and_then(|l| Ok((l, required(trial, NAME, "map", &theirs)?)));
        let (l, r) = match jsons {
            Err(finding) => return Ok(Verdict::Disagree(vec![*finding])),
            Ok((l, r)) => (joined(l), joined(r)),
        };
        let different = (0..l.len().max(r.len())).find(|i| l.get(*i) != r.get(*i));
        Ok(Verdict::of(
            different
                .map(|i| {
                    let detail = format!("{:?} here, {:?} there", l.get(i), r.get(i));
                    trial.finding(NAME, "extents", Kind::Differs, detail)
                })
                .into_iter()
                .collect(),
        ))
    }
}

/// One extent of a map: where it starts and ends, and what it is.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    start: u64,
    end: u64,
    kind: Vec<(String, bool)>,
}

/// The extents, neighbours of one kind joined. Where they lie in the file is left out, and so is
/// whether those that do lie there are holes of it: that is the host's affair.
fn joined(map: &Value) -> Vec<Extent> {
    let mut found: Vec<Extent> = Vec::new();
    for item in map.as_array().into_iter().flatten() {
        let number = |key: &str| item.get(key).and_then(Value::as_u64).unwrap_or(0);
        let placed = item.get("offset").is_some();
        let flags = item.as_object().into_iter().flatten();
        let mut kind: Vec<(String, bool)> = flags
            .filter(|(key, _)| !placed || !matches!(key.as_str(), "zero" | "data"))
            .filter_map(|(key, v)| Some((key.clone(), v.as_bool()?)))
            .collect();
        kind.push(("placed".into(), placed));
        kind.sort();
        let (start, end) = (number("start"), number("start") + number("length"));
        match found.last_mut() {
            Some(last) if last.kind == kind && last.end == start => last.end = end,
            _ => found.push(Extent { start, end, kind }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::joined;
    use serde_json::json;

    #[test]
    fn places_and_holes_do_not_matter_and_kinds_do() {
        let extent = |start, length, offset, zero| json!({"start": start, "length": length, "offset": offset, "zero": zero, "depth": 0});
        let split = json!([extent(0, 5, 70, false), extent(5, 5, 900, true)]);
        assert_eq!(joined(&split), joined(&json!([extent(0, 10, 1, false)])));
        let nowhere = |zero| json!([{"start": 0, "length": 10, "zero": zero, "depth": 0}]);
        assert_ne!(joined(&split), joined(&nowhere(true)));
        assert_ne!(joined(&nowhere(false)), joined(&nowhere(true)));
    }
}
