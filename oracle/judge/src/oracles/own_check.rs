//! The subject's own `check` counts in both images what the other side's counts.

use super::support::{compare_json, on_both_images};
use crate::oracles::Oracle;
use crate::text::without_environment;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Record, Scope, State, Trial, Verdict};
use serde_json::Value;

/// Under the name by which it is reported.
pub struct OwnCheck(pub &'static str);

impl Oracle for OwnCheck {
    fn name(&self) -> &'static str {
        self.0
    }

    fn about(&self) -> &'static str {
        "both sides' own check count the same and exit alike, on both sides' images"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let format = &trial.case.fixture.format;
        if format.is_unresized() && !format.is_checked() {
            return Ok(Verdict::skip("qemu-img does not check this format"));
        }
        on_both_images(trial, "check", |other, image| judge_image(self.0, trial, other, image))
    }
}

fn judge_image(
    oracle: &'static str,
    trial: &Trial,
    other: &Record,
    image: &State,
) -> Result<Vec<Finding>, JudgeError> {
    let own = trial.desk.check(trial.left.subject, image)?;
    let their = trial.desk.check(other.subject, image)?;
    if own.ran.ending != their.ran.ending {
        let detail = format!("{} here, {} there", own.ran.summary(), their.ran.summary());
        return Ok(vec![trial.finding(oracle, "exit-code", Kind::Differs, detail)]);
    }
    let report = |answer: &crate::desk::Answer| answer.json.as_ref().map_or(Value::Null, without_environment);
    Ok(compare_json(trial, oracle, "check of one image", &report(&own), &report(&their)))
}
