//! Relations between resizes that hold without knowing what either should do.

use super::support::{most_compared, too_large};
use crate::oracles::Oracle;
use crate::subject::{Qemu, resize_args};
use crate::text::{differences, without_environment};
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Trial, Verdict};
use oracle_case::child::Ending;
use oracle_case::{Outcome, Preallocation, Resize, Tweak, expected_content};

/// See the module.
pub struct Metamorphic;

const NAME: &str = "metamorphic";

impl Oracle for Metamorphic {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "a grow in two steps is a grow in one; a resize to the same size changes no byte; a grow and a shrink back keep the content"
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let (Some(expected), Some(first), Some(resize)) =
            (trial.expected.first(), trial.left.steps.first(), trial.case.resizes.first())
        else {
            return Ok(Verdict::skip("no resize"));
        };
        if expected.outcome != Outcome::Resized || !first.ran.success() {
            return Ok(Verdict::skip("the first resize is refused"));
        }
        if trial.case.fixture.tweaks.iter().any(|tweak| matches!(tweak, Tweak::Dirty { .. })) {
            return Ok(Verdict::skip("a dirty image is repaired first"));
        }
        if resize.preallocation != Preallocation::Off {
            return Ok(Verdict::skip("with preallocation"));
        }
        let Some(reader) = trial.desk.newest() else {
            return Ok(Verdict::skip("no qemu-img reads this"));
        };
        let relations = Relations { trial, reader, one: &first.after };
        let old = expected_content(&trial.case.fixture).size();
        let new = expected.content.size();
        let mut findings = relations.same_size(expected.length)?;
        if new > old {
            let middle = (old + (new - old) / 2) / 512 * 512;
            if middle > old && middle < new {
                findings.extend(relations.two_steps(middle, expected.length)?);
            }
            if old > 0 && trial.case.fixture.format.qed().is_none() {
                findings.extend(relations.there_and_back(trial.case.fixture.size)?);
            }
        }
        Ok(Verdict::of(findings))
    }
}

struct Relations<'a> {
    trial: &'a Trial<'a>,
    reader: &'a Qemu,
    /// After the first resize.
    one: &'a State,
}

impl Relations<'_> {
    fn same_size(&self, size: u64) -> Result<Vec<Finding>, JudgeError> {
        let again = match self.resized(self.one, &[size])? {
            Ok(image) => image,
            Err(finding) => return Ok(vec![*finding]),
        };
        if again.fingerprint == self.one.fingerprint {
            return Ok(Vec::new());
        }
        let detail = format!("a resize to the same {size} bytes changed the file");
        Ok(vec![self.trial.finding(NAME, "same-size", Kind::Touched, detail)])
    }

    fn two_steps(&self, middle: u64, size: u64) -> Result<Vec<Finding>, JudgeError> {
        match self.resized(&self.trial.left.start, &[middle, size])? {
            Ok(two) => self.alike("two-steps", &two, self.one),
            Err(finding) => Ok(vec![*finding]),
        }
    }

    fn there_and_back(&self, size: u64) -> Result<Vec<Finding>, JudgeError> {
        let back = match self.resized(self.one, &[size])? {
            Ok(image) => image,
            Err(finding) => return Ok(vec![*finding]),
        };
        self.alike("there-and-back", &back, &self.trial.left.start)
    }

    /// A copy of `image`, resized to each of `sizes` in turn; or the finding that this failed.
    fn resized(&self, image: &State, sizes: &[u64]) -> Result<Result<State, Box<Finding>>, JudgeError> {
        let dir = self.trial.desk.scratch()?;
        image.copy_to(&dir)?;
        for size in sizes {
            let resize = Resize {
                size: size.to_string(),
                shrink: true,
                preallocation: Preallocation::Off,
                name_format: true,
            };
            let args = resize_args(&self.trial.case.fixture.format, &resize);
            let ran = self.trial.left.subject.run(&dir, "resize", &args)?;
            if !ran.success() {
                let detail = format!("a resize to {size} bytes: {}", ran.summary());
                let kind = match ran.ending {
                    Ending::TimedOut => Kind::TimedOut,
                    _ => Kind::Failed,
                };
                let finding = self.trial.finding(NAME, "resize", kind, detail);
                return Ok(Err(Box::new(finding)));
            }
        }
        State::of(dir).map(Ok)
    }

    /// Same info, same content; where things lie may differ.
    fn alike(&self, field: &str, a: &State, b: &State) -> Result<Vec<Finding>, JudgeError> {
        if a.fingerprint == b.fingerprint {
            return Ok(Vec::new());
        }
        let desk = self.trial.desk;
        let infos = [desk.info(self.reader, a, None)?, desk.info(self.reader, b, None)?];
        let [l, r] =
            infos.each_ref().map(|answer| answer.json.as_ref().map(without_environment).unwrap_or_default());
        let finding = |kind, detail: String| self.trial.finding(NAME, field, kind, detail);
        if let Some(d) = differences(&l, &r).first() {
            let detail = format!("info's {} is {}", d.path, d.values());
            return Ok(vec![finding(Kind::Differs, detail)]);
        }
        // What comes in between may be larger than what comes last.
        let largest = self.trial.expected.first().map_or(0, |step| step.content.size());
        if too_large(self.trial).is_some() || largest > most_compared(&self.trial.case.fixture.format) {
            return Ok(Vec::new());
        }
        let answer = desk.compare(self.reader, a, b, self.trial.format())?;
        if answer.ran.success() {
            return Ok(Vec::new());
        }
        let told = format!("{}{}", answer.ran.stdout, answer.ran.stderr);
        Ok(vec![finding(Kind::Differs, told.trim().to_string())])
    }
}
