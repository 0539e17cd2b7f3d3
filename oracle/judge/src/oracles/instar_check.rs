//! The subject's own `check` counts in both images what qemu-img counts.

use super::support::compare_json;
use crate::oracles::Oracle;
use crate::text::without_environment;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Record, Scope, State, Trial, Verdict};
use serde_json::Value;

/// See the module.
pub struct InstarCheck;

const NAME: &str = "instar-check";

impl Oracle for InstarCheck {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "instar check counts what qemu-img check counts and exits as it does, on both sides' images"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let (Some((left, right)), Some(qemu)) = (trial.last_states(), trial.right) else {
            return Ok(Verdict::skip("nothing to compare with"));
        };
        if trial.left.subject.version().is_some() {
            return Ok(Verdict::skip("no instar among the two"));
        }
        let mut findings = judge_image(trial, qemu, left)?;
        if findings.is_empty() && left.fingerprint != right.fingerprint {
            findings = judge_image(trial, qemu, right)?;
        }
        Ok(Verdict::of(findings))
    }
}

fn judge_image(trial: &Trial, qemu: &Record, image: &State) -> Result<Vec<Finding>, JudgeError> {
    let own = trial.desk.check(trial.left.subject, image)?;
    let their = trial.desk.check(qemu.subject, image)?;
    if own.ran.ending != their.ran.ending {
        let detail = format!("{} here, {} there", own.ran.summary(), their.ran.summary());
        return Ok(vec![trial.finding(NAME, "exit-code", Kind::Differs, detail)]);
    }
    let report = |answer: &crate::desk::Answer| answer.json.as_ref().map_or(Value::Null, without_environment);
    Ok(compare_json(trial, NAME, "check of one image", &report(&own), &report(&their)))
}
