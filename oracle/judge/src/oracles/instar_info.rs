//! The subject's own `info` says of both images what qemu-img says of them.

use super::support::{compare_json, required};
use crate::oracles::Oracle;
use crate::text::without_environment;
use crate::verdict::Finding;
use crate::{JudgeError, Record, Scope, State, Trial, Verdict};

/// See the module.
pub struct InstarInfo;

const NAME: &str = "instar-info";

impl Oracle for InstarInfo {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "instar info says what qemu-img info says, in that version's schema, of both sides' images"
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
    let own = trial.desk.info(trial.left.subject, image, Some(qemu.subject))?;
    let their = trial.desk.info(qemu.subject, image, None)?;
    let jsons = required(trial, NAME, "instar info", &own)
        .and_then(|l| Ok((l, required(trial, NAME, qemu.subject.name(), &their)?)));
    Ok(match jsons {
        Err(finding) => vec![*finding],
        Ok((l, r)) => {
            let (l, r) = (without_environment(l), without_environment(r));
            compare_json(trial, NAME, "info of one image", &l, &r)
        }
    })
}
