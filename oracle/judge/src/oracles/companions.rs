//! The other files of an image: nobody writes to what is behind it, and its data file is as long as the disk.

use super::support::raw_image;
use crate::oracles::Oracle;
use crate::subject::{IMAGE, Subject, run_tool};
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Step, Trial, Verdict};
use oracle_case::parts::DATA_FILE;

/// See the module.
pub struct Companions;

const NAME: &str = "companions";

impl Oracle for Companions {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "no backing file changes a byte; a data file has the length of the disk, and a raw one its content; a refusal changes neither"
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let fixture = &trial.case.fixture;
        if fixture.backing.is_none() && fixture.data_file.is_none() {
            return Ok(Verdict::skip("one file alone"));
        }
        let mut findings = Vec::new();
        // Images that name what is behind them from the root share it.
        let shared = State::of(&trial.left.start.dir)?;
        findings.extend(unchanged(trial, &trial.left.start, &shared));
        for (expected, (before, step)) in trial.expected.iter().zip(trial.left.transitions()) {
            findings.extend(unchanged(trial, before, &step.after));
            findings.extend(data_file(trial, expected, before, step));
        }
        if fixture.data_file.is_some_and(|file| file.raw) && findings.is_empty() {
            findings.extend(raw_content(trial)?);
        }
        Ok(Verdict::of(findings))
    }
}

/// A finding for every backing file that is not what it was.
fn unchanged(trial: &Trial, before: &State, after: &State) -> Vec<Finding> {
    let backings = before.parts.iter().filter(|(name, _)| *name != DATA_FILE);
    let changed = backings.filter(|(name, part)| after.parts.get(*name) != Some(part));
    changed
        .map(|(name, _)| trial.finding(NAME, "backing", Kind::Touched, format!("{name} changed")))
        .collect()
}

fn data_file(trial: &Trial, expected: &oracle_case::Step, before: &State, step: &Step) -> Option<Finding> {
    let (old, new) = (before.parts.get(DATA_FILE)?, step.after.parts.get(DATA_FILE));
    let Some(new) = new else {
        return Some(trial.finding(NAME, "data-file", Kind::Missing, "the data file is gone"));
    };
    if !step.ran.success() {
        return (old != new).then(|| trial.finding(NAME, "data-file", Kind::Touched, "changed by a refusal"));
    }
    // A resize to the same size changes nothing, whatever the length was.
    let same = before.fingerprint == step.after.fingerprint;
    (new.len != expected.length && !same).then(|| {
        let detail = format!("{} bytes, {} expected", new.len, expected.length);
        trial.finding(NAME, "data-file.length", Kind::Differs, detail)
    })
}

/// A raw data file is a disk of its own.
fn raw_content(trial: &Trial) -> Result<Option<Finding>, JudgeError> {
    let Some(reader) = trial.desk.newest() else { return Ok(None) };
    if super::support::unexpected_course(trial).is_some() {
        return Ok(None);
    }
    let expected = raw_image(trial, &trial.expected_content())?;
    let words = ["compare", "-f", "raw", "-F", "raw", DATA_FILE].map(String::from);
    let other = expected.dir.join(IMAGE).display().to_string();
    let ran = run_tool(reader.tool(), &trial.left.last().dir, words.into_iter().chain([other]))?;
    let detail = || format!("read as a raw disk: {}{}", ran.stdout.trim(), ran.stderr.trim());
    Ok((!ran.success()).then(|| trial.finding(NAME, "data-file.content", Kind::Differs, detail())))
}
