//! A guest sees the same in both images, read by the qemu-img that made one of them.

use super::support::{blanked, different_course, identical, locate, mismatch, too_large};
use crate::oracles::Oracle;
use crate::{JudgeError, Scope, Trial, Verdict};

/// See the module.
pub struct ContentParity;

const NAME: &str = "content-parity";

impl Oracle for ContentParity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "qemu-img compare finds both sides' images identical"
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
        if identical(trial) {
            return Ok(Verdict::Agree);
        }
        let format = trial.format();
        let Some(finding) = mismatch(trial, NAME, reader, left, right, format)? else {
            return Ok(Verdict::Agree);
        };
        let finding = locate(trial, finding, |writes| {
            let left = blanked(trial, reader, left, writes)?;
            let right = blanked(trial, reader, right, writes)?;
            mismatch(trial, NAME, reader, &left, &right, format)
        })?;
        Ok(Verdict::of(vec![finding]))
    }
}
