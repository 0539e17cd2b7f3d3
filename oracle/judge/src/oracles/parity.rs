//! A guest sees the same in both images, read by the qemu-img that made one of them.

use super::support::{different_course, ended, identical, io_commands, too_large};
use crate::oracles::Oracle;
use crate::subject::Qemu;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Trial, Verdict};
use oracle_case::{Write, WriteKind};

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
        let Some(mismatch) = mismatch(trial, reader, left, right)? else {
            return Ok(Verdict::Agree);
        };
        let mut findings = Vec::new();
        if let Some(stale) = trial.expected.last().map(|s| &s.stale).filter(|s| !s.is_empty()) {
            // Do the images differ elsewhere too? Look again with that part of both made zero.
            let writes: Vec<Write> = stale.iter().map(|r| zero(r.start, r.end - r.start)).collect();
            let left = blank(trial, reader, left, &writes)?;
            let right = blank(trial, reader, right, &writes)?;
            match self::mismatch(trial, reader, &left, &right)? {
                None => findings.push(rename(mismatch, "boundary-tail")),
                Some(elsewhere) => findings.push(elsewhere),
            }
        } else {
            findings.push(mismatch);
        }
        Ok(Verdict::of(findings))
    }
}

fn zero(offset: u64, len: u64) -> Write {
    Write { kind: WriteKind::Zero, pattern: 0, offset, len }
}

fn rename(mut finding: Finding, field: &str) -> Finding {
    finding.class.field = field.into();
    finding
}

fn mismatch(
    trial: &Trial,
    reader: &Qemu,
    left: &State,
    right: &State,
) -> Result<Option<Finding>, JudgeError> {
    let answer = trial.desk.compare(reader, left, right, trial.format())?;
    if answer.ran.success() {
        return Ok(None);
    }
    let kind = match ended(&answer) {
        // 1 is "they differ", anything above "they could not be read".
        Kind::Differs if answer.ran.ending != oracle_case::child::Ending::Exit(1) => Kind::Failed,
        kind => kind,
    };
    let told = format!("{}{}", answer.ran.stdout, answer.ran.stderr);
    Ok(Some(trial.finding(NAME, "content", kind, told.trim())))
}

/// A copy of `image` to which `writes` were made.
fn blank(trial: &Trial, writer: &Qemu, image: &State, writes: &[Write]) -> Result<State, JudgeError> {
    let dir = trial.desk.scratch()?;
    image.copy_to(&dir)?;
    trial.desk.io(writer, &dir, &io_commands(trial, writes))?;
    State::of(dir)
}
