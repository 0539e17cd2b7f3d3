//! The engines say the same and leave the same bytes.

use crate::disk::vhdx_log;
use crate::oracles::Oracle;
use crate::sparse::Range;
use crate::subject::Family;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, Step, Trial, Verdict, sparse};

/// See the module.
pub struct Engines;

const NAME: &str = "engines";
/// Where a VHDX image has its headers.
const VHDX_HEADERS: (u64, u64) = (64 << 10, 192 << 10);
/// Ranges of differing bytes looked at.
const MAX_RANGES: usize = 10_000;

impl Oracle for Engines {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "the KVM guest and the in-process engine say the same and leave the same bytes"
    }

    fn scope(&self) -> Scope {
        Scope::Engines
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let Some(right) = trial.right else {
            return Ok(Verdict::skip("only one engine"));
        };
        if [trial.left, right].iter().any(|record| record.subject.family() != Family::Instar) {
            return Ok(Verdict::skip("not two engines of instar"));
        }
        let mut findings = Vec::new();
        for (l, r) in trial.left.steps.iter().zip(&right.steps) {
            findings.extend(compare(trial, l, r)?);
        }
        Ok(Verdict::of(findings))
    }
}

fn compare(trial: &Trial, left: &Step, right: &Step) -> Result<Option<Finding>, JudgeError> {
    if left.ran != right.ran {
        let detail = format!("{:?} and {:?}", left.ran, right.ran);
        return Ok(Some(trial.finding(NAME, "words", Kind::Differs, detail)));
    }
    if left.after.fingerprint == right.after.fingerprint {
        return Ok(None);
    }
    if trial.case.fixture.format.vhdx().is_some() {
        return vhdx(trial, left, right);
    }
    let place = sparse::diff(&left.after.path(), &right.after.path(), 1)?;
    let detail = match place.first() {
        Some(range) => format!("the files differ from byte {:#x} on", range.start),
        None => format!("{} and {} bytes long", left.after.len, right.after.len),
    };
    Ok(Some(trial.finding(NAME, "bytes", Kind::Differs, detail)))
}

/// Of VHDX images every resize has new GUIDs in the headers, and in what is left in the log.
fn vhdx(trial: &Trial, left: &Step, right: &Step) -> Result<Option<Finding>, JudgeError> {
    let logs = [vhdx_log(&left.after)?, vhdx_log(&right.after)?];
    let headers = Range { start: VHDX_HEADERS.0, end: VHDX_HEADERS.1 };
    let free = |range: &Range| range.within(headers) || logs.iter().any(|log| range.within(*log));
    let different = sparse::diff(&left.after.path(), &right.after.path(), MAX_RANGES)?;
    let place = different.iter().find(|range| !free(range));
    let detail = match place {
        Some(range) => format!("the files differ from byte {:#x} on", range.start),
        None if left.after.len == right.after.len => return Ok(None),
        None => format!("{} and {} bytes long", left.after.len, right.after.len),
    };
    Ok(Some(trial.finding(NAME, "bytes", Kind::Differs, detail)))
}
