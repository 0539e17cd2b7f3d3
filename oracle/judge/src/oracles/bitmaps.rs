//! Persistent bitmaps follow their disk: what is cut off is forgotten, what is new is clean, the rest stays.

use crate::oracles::Oracle;
use crate::qcow2::{Bitmap, Header, bitmaps};
use crate::sparse::Range;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Trial, Verdict};
use oracle_case::Outcome;
use std::fs::File;

/// See the module.
pub struct Bitmaps;

const NAME: &str = "bitmaps";

impl Oracle for Bitmaps {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "every bitmap keeps name, granularity, flags and the bits of what is preserved; the rest is clean; read by the oracle's own reader"
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        if trial.case.fixture.bitmaps.is_empty() {
            return Ok(Verdict::skip("no bitmaps"));
        }
        if let Some(why) = super::support::unexpected_course(trial) {
            return Ok(Verdict::skip(why));
        }
        let mut expected = read(&trial.left.start)?;
        for (step, ran) in trial.expected.iter().zip(&trial.left.steps) {
            if step.outcome != Outcome::Resized {
                continue;
            }
            expected.iter_mut().for_each(|bitmap| cut(bitmap, step.content.size()));
            let found = read(&ran.after)?;
            let findings = compare(trial, &expected, &found);
            if !findings.is_empty() {
                return Ok(Verdict::Disagree(findings));
            }
        }
        Ok(Verdict::Agree)
    }
}

/// The bitmaps of an image; none if it has none or cannot be read.
fn read(image: &State) -> Result<Vec<Bitmap>, JudgeError> {
    let file = File::open(image.path()).map_err(JudgeError::io(image.path()))?;
    let Ok(header) = Header::read(&file) else { return Ok(Vec::new()) };
    let found = bitmaps(&file, &header).map_err(JudgeError::io(image.path()))?;
    Ok(found.map(|(bitmaps, _)| bitmaps).unwrap_or_default())
}

/// Forgets what lies beyond a disk of `size` bytes. The granule at its end stays as it is.
fn cut(bitmap: &mut Bitmap, size: u64) {
    let bits = Range { start: 0, end: size.div_ceil(1 << bitmap.granularity_bits.min(63)) };
    let kept = bitmap.set.iter().map(|range| range.overlap(bits));
    bitmap.set = kept.filter(|range| !range.is_empty()).collect();
}

fn compare(trial: &Trial, expected: &[Bitmap], found: &[Bitmap]) -> Vec<Finding> {
    let names = |list: &[Bitmap]| list.iter().map(|bitmap| bitmap.name.clone()).collect::<Vec<_>>();
    if names(expected) != names(found) {
        let detail = format!("{:?}, not {:?}", names(found), names(expected));
        return vec![trial.finding(NAME, "list", Kind::Differs, detail)];
    }
    let mut findings = Vec::new();
    for (want, got) in expected.iter().zip(found) {
        let mut differs = |field: &str, same: bool, detail: String| {
            if !same {
                let detail = format!("{}: {detail}", want.name);
                findings.push(trial.finding(NAME, field, Kind::Differs, detail));
            }
        };
        differs("flags", want.flags == got.flags, format!("{:#x}, not {:#x}", got.flags, want.flags));
        let same = want.granularity_bits == got.granularity_bits;
        differs("granularity", same, format!("2^{}, not 2^{}", got.granularity_bits, want.granularity_bits));
        let place = want.set.iter().zip(&got.set).find(|(want, got)| want != got);
        let counts = (got.set.len(), want.set.len());
        differs("bits", want.set == got.set, format!("{counts:?} runs, the first that differ {place:?}"));
    }
    findings
}
