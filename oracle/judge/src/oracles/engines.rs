//! The engines say the same and leave the same bytes.

use crate::oracles::Oracle;
use crate::subject::Family;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, Step, Trial, Verdict, sparse};

/// See the module.
pub struct Engines;

const NAME: &str = "engines";

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
    let place = sparse::diff(&left.after.path(), &right.after.path(), 1)?;
    let detail = match place.first() {
        Some(range) => format!("the files differ from byte {:#x} on", range.start),
        None => format!("{} and {} bytes long", left.after.len, right.after.len),
    };
    Ok(Some(trial.finding(NAME, "bytes", Kind::Differs, detail)))
}
