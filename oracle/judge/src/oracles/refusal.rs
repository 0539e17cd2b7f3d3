//! Both sides accept, or both refuse in the same words with the same exit code.

use super::support::{same_words, unresized};
use crate::oracles::Oracle;
use crate::text::normalised;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, Step, Trial, Verdict};
use oracle_case::child::Ending;

/// See the module.
pub struct Refusal;

const NAME: &str = "refusal";

impl Oracle for Refusal {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "both accept or both refuse: same exit code, same words on the same streams"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let Some(right) = trial.right else {
            return Ok(Verdict::skip("nothing to compare with"));
        };
        if let Some(why) = unresized(trial) {
            return Ok(Verdict::skip(why));
        }
        let steps = trial.left.steps.iter().zip(&right.steps);
        Ok(Verdict::of(steps.flat_map(|(l, r)| compare(trial, l, r)).collect()))
    }
}

fn compare(trial: &Trial, left: &Step, right: &Step) -> Vec<Finding> {
    let (l, r) = (&left.ran, &right.ran);
    let both = format!("{} here, {} there", l.summary(), r.summary());
    if l.ending == Ending::TimedOut || r.ending == Ending::TimedOut {
        return vec![trial.finding(NAME, "resize", Kind::TimedOut, both)];
    }
    let crashed = |ending| matches!(ending, Ending::Signal(_));
    if crashed(l.ending) || crashed(r.ending) {
        return vec![trial.finding(NAME, "resize", Kind::Failed, both)];
    }
    if l.success() != r.success() {
        return vec![trial.finding(NAME, "resize", Kind::OneRefused, both)];
    }
    if !same_words(trial) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if l.ending != r.ending {
        findings.push(trial.finding(NAME, "exit-code", Kind::Differs, both));
    }
    for (field, l, r) in [("stdout", &l.stdout, &r.stdout), ("stderr", &l.stderr, &r.stderr)] {
        let (l, r) = (normalised(l), normalised(r));
        if l != r {
            let detail = format!("{l:?} here, {r:?} there");
            findings.push(trial.finding(NAME, field, Kind::Differs, detail));
        }
    }
    findings
}
