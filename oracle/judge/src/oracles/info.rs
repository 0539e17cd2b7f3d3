//! qemu-img says the same of both images.

use super::support::{compare_json, different_course, identical, required};
use crate::oracles::Oracle;
use crate::text::without_environment;
use crate::{JudgeError, Scope, Trial, Verdict};

/// See the module.
pub struct InfoParity;

const NAME: &str = "info";

impl Oracle for InfoParity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "qemu-img info says the same of both sides' images, but for what depends on the host"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let (Some((left, right)), Some(reader)) = (trial.last_states(), trial.reader()) else {
            return Ok(Verdict::skip("nothing to compare with"));
        };
        if let Some(why) = different_course(trial) {
            return Ok(Verdict::skip(why));
        }
        if identical(trial) {
            return Ok(Verdict::Agree);
        }
        let ours = trial.desk.info(reader, left, None)?;
        let theirs = trial.desk.info(reader, right, None)?;
        let what = format!("{} info", reader.name());
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
