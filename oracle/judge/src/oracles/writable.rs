//! Another tool can go on writing to the image, and everything stays right.

use super::support::{check_content, io_commands, required, unexpected_course, unusable};
use crate::oracles::Oracle;
use crate::subject::Subject;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Trial, Verdict};
use oracle_case::{Content, Write, WriteKind, expected_content};

/// See the module.
pub struct Writable;

const NAME: &str = "writable";
/// What is written: a byte that no fixture uses.
const PATTERN: u8 = 0xa7;
/// Length of each write, in bytes.
const LEN: u64 = 4096;

impl Oracle for Writable {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "qemu-io writes across the old end and at the new one; the image is still clean and reads as it should"
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        if let Some(why) = unexpected_course(trial).or_else(|| unusable(trial)) {
            return Ok(Verdict::skip(why));
        }
        let Some(writer) = trial.desk.writer() else {
            return Ok(Verdict::skip("no qemu-img writes this"));
        };
        let mut content = trial.expected_content();
        let writes = writes(trial, &content);
        let dir = trial.desk.scratch()?;
        trial.left.last().copy_to(&dir)?;
        let commands = io_commands(trial, &writes);
        let Some(ran) = trial.desk.write(writer, &dir, &commands)? else {
            return Ok(Verdict::skip(format!("{} has no qemu-io", writer.name())));
        };
        if !ran.success() || ran.stdout.contains("failed") {
            let detail = format!("{}: {}{}", writer.name(), ran.summary(), ran.stdout.trim());
            return Ok(Verdict::of(vec![trial.finding(NAME, "write", Kind::Failed, detail)]));
        }
        writes.iter().for_each(|write| content.write(write));
        let image = State::of(dir)?;
        let mut findings = check_content(trial, NAME, writer, &image, &content)?;
        findings.extend(super::clean::by_disk(trial, &image)?);
        if trial.case.fixture.format.is_unresized() {
            findings.extend(own_check(trial, &image)?);
            findings.extend(super::foreign::CRATES.look(trial, &image, &content)?);
        }
        if trial.case.fixture.format.is_checked() {
            let answer = trial.desk.check(writer, &image)?;
            let before = trial.desk.check(writer, trial.left.last())?;
            match required(trial, NAME, "check", &answer) {
                Err(finding) => findings.push(*finding),
                // What was wrong before the writes is another oracle's finding, and a dirty image that no resize repaired is
                // repaired by who writes to it.
                Ok(_) if !answer.ran.success() && answer.ran.ending != before.ran.ending => {
                    let detail = format!("{}: {}", writer.name(), answer.ran.summary());
                    findings.push(trial.finding(NAME, "check", Kind::Broken, detail));
                }
                Ok(_) => {}
            }
        }
        Ok(Verdict::of(findings))
    }
}

/// That the subject's own check finds nothing in what another tool has written to.
fn own_check(trial: &Trial, image: &State) -> Result<Option<Finding>, JudgeError> {
    let answer = trial.desk.check(trial.left.subject, image)?;
    let detail = || format!("after the writes: {}", answer.ran.summary());
    Ok((!answer.ran.success()).then(|| trial.finding(NAME, "own-check", Kind::Broken, detail())))
}

/// Writes at the start, across the old end, at the new end, and what the case asks for.
fn writes(trial: &Trial, content: &Content) -> Vec<Write> {
    let size = content.size() / 512 * 512;
    let old = expected_content(&trial.case.fixture).size() / 512 * 512;
    let data = |at: u64| Write {
        kind: WriteKind::Data,
        pattern: PATTERN,
        offset: at.min(size),
        len: LEN.min(size.saturating_sub(at)),
    };
    let places = [0, old.saturating_sub(LEN / 2), size.saturating_sub(LEN)];
    let own = places.into_iter().map(data).filter(|write| write.len > 0);
    trial.case.after.iter().cloned().chain(own).collect()
}
