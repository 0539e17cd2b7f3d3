//! qemu-img counts the same in both images.

use super::support::{compare_json, different_course, identical, required};
use crate::oracles::Oracle;
use crate::text::without_environment;
use crate::{JudgeError, Scope, Trial, Verdict};

/// See the module.
pub struct CheckParity;

const NAME: &str = "check";

impl Oracle for CheckParity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "qemu-img check counts the same in both sides' images: clusters, fragments, leaks, end offset"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let (Some((left, right)), Some(reader)) = (trial.last_states(), trial.reader()) else {
            return Ok(Verdict::skip("nothing to compare with"));
        };
        if !trial.case.fixture.format.has_metadata() {
            return Ok(Verdict::skip("raw has nothing to check"));
        }
        if let Some(why) = different_course(trial) {
            return Ok(Verdict::skip(why));
        }
        if identical(trial) {
            return Ok(Verdict::Agree);
        }
        let ours = trial.desk.check(reader, left)?;
        let theirs = trial.desk.check(reader, right)?;
        let what = format!("{} check", reader.name());
        let jsons =
            required(trial, NAME, &what, &ours).and_then(|l| Ok((l, required(trial, NAME, &what, &theirs)?)));
        Ok(match jsons {
            Err(finding) => Verdict::Disagree(vec![*finding]),
            Ok((l, r)) => {
                let (l, r) = (without_environment(l), without_environment(r));
                Verdict::of(compare_json(trial, NAME, &what, &l, &r))
            }
        })
    }
}
