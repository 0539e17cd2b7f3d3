//! A guest sees what the oracle's own model says, read by qemu-img.

use super::support::{check_content, unexpected_course};
use crate::oracles::Oracle;
use crate::{JudgeError, Scope, Trial, Verdict};

/// See the module.
pub struct Content;

const NAME: &str = "content";

impl Oracle for Content {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "the preserved range is as written and the new range is zero, by a model of the oracle's own, read by qemu-img"
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        if let Some(why) = unexpected_course(trial) {
            return Ok(Verdict::skip(why));
        }
        let Some(reader) = trial.desk.newest() else {
            return Ok(Verdict::skip("no qemu-img reads this"));
        };
        let expected = trial.expected_content();
        let findings = check_content(trial, NAME, reader, trial.left.last(), &expected)?;
        Ok(Verdict::of(findings))
    }
}
