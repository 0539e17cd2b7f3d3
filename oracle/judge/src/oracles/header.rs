//! The headers of both images say the same, read by the oracle's own reader.

use super::support::{different_course, identical};
use crate::oracles::Oracle;
use crate::qcow2::{BITMAPS, Extension, FIELDS, Header};
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Trial, Verdict};
use std::cmp::Ordering;
use std::fs::File;

/// See the module.
pub struct HeaderParity;

const NAME: &str = "header";
/// Where tables lie is an allocator's choice.
const PLACES: &[&str] = &["l1_table_offset", "refcount_table_offset"];

impl Oracle for HeaderParity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "every header field and extension is equal, but for the places of tables"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let Some((left, right)) = trial.last_states() else {
            return Ok(Verdict::skip("nothing to compare with"));
        };
        if !trial.is_qcow2() {
            return Ok(Verdict::skip("no qcow2 header"));
        }
        if let Some(why) = different_course(trial) {
            return Ok(Verdict::skip(why));
        }
        if identical(trial) {
            return Ok(Verdict::Agree);
        }
        Ok(Verdict::of(compare(trial, NAME, left, right)?))
    }
}

/// A finding for everything in which two headers differ.
pub(super) fn compare(
    trial: &Trial,
    oracle: &'static str,
    left: &State,
    right: &State,
) -> Result<Vec<Finding>, JudgeError> {
    let read = |image: &State| {
        let file = File::open(image.path()).map_err(JudgeError::io(image.path()))?;
        Ok(Header::read(&file))
    };
    let (left, right) = match (read(left)?, read(right)?) {
        (Ok(left), Ok(right)) => (left, right),
        (Err(e), _) | (_, Err(e)) => {
            return Ok(vec![trial.finding(oracle, "header", Kind::Failed, e.to_string())]);
        }
    };
    let names = FIELDS.iter().map(|f| f.name).filter(|name| !PLACES.contains(name));
    let mut findings: Vec<Finding> = names
        .filter_map(|name| {
            let (l, r) = (left.get(name), right.get(name));
            let kind = match l.cmp(&r) {
                Ordering::Less => Kind::Less,
                Ordering::Greater => Kind::More,
                Ordering::Equal => return None,
            };
            let detail = format!("{name} is {l} here, {r} there");
            Some(trial.finding(oracle, format!("header.{name}"), kind, detail))
        })
        .collect();
    let (ours, theirs) = (placeless(&left), placeless(&right));
    if ours != theirs {
        let detail = format!("{ours:?} here, {theirs:?} there");
        findings.push(trial.finding(oracle, "header.extensions", Kind::Differs, detail));
    }
    Ok(findings)
}

/// The extensions without the place of the directory of bitmaps, the last of that extension's fields.
fn placeless(header: &Header) -> Vec<Extension> {
    /// Bytes of the fields before it.
    const BEFORE: usize = 16;
    let mut extensions = header.extensions.clone();
    let bitmaps = extensions.iter_mut().filter(|extension| extension.kind == BITMAPS);
    bitmaps.for_each(|extension| extension.data.truncate(BEFORE));
    extensions
}
