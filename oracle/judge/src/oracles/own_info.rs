//! The subject's own `info` says of both images what the other side's says of them.

use super::support::{compare_json, on_both_images, required};
use crate::oracles::Oracle;
use crate::text::without_environment;
use crate::verdict::Finding;
use crate::{JudgeError, Record, Scope, State, Trial, Verdict};

/// Under the name by which it is reported.
pub struct OwnInfo(pub &'static str);

impl Oracle for OwnInfo {
    fn name(&self) -> &'static str {
        self.0
    }

    fn about(&self) -> &'static str {
        "both sides' own info say the same, instar in a qemu-img's schema, of both sides' images"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        on_both_images(trial, "info", |other, image| judge_image(self.0, trial, other, image))
    }
}

fn judge_image(
    oracle: &'static str,
    trial: &Trial,
    other: &Record,
    image: &State,
) -> Result<Vec<Finding>, JudgeError> {
    let (ours, theirs) = (trial.left.subject, other.subject);
    let own = trial.desk.info(ours, image, Some(theirs))?;
    let their = trial.desk.info(theirs, image, Some(ours))?;
    let jsons = required(trial, oracle, &format!("{} info", ours.name()), &own)
        .and_then(|l| Ok((l, required(trial, oracle, theirs.name(), &their)?)));
    Ok(match jsons {
        Err(finding) => vec![*finding],
        Ok((l, r)) => {
            let (l, r) = (without_environment(l), without_environment(r));
            compare_json(trial, oracle, "info of one image", &l, &r)
        }
    })
}
