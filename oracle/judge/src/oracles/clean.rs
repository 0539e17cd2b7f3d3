//! Nothing is wrong with the image after any step: asked of qemu-img, of the subject itself and of
//! the oracle's own reader.

use super::support::{required, still_dirty};
use crate::disk::Disk;
use crate::oracles::Oracle;
use crate::qcow2::{Problem, audit, walk};
use crate::subject::Subject;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Trial, Verdict};

/// See the module.
pub struct Clean;

const NAME: &str = "clean";

impl Oracle for Clean {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "no corruption and no new leak after any step, by qemu-img check, by the subject's own check and by the oracle's reader"
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        if !trial.case.fixture.format.has_metadata() {
            return Ok(Verdict::skip("raw has no metadata"));
        }
        if still_dirty(trial) {
            return Ok(Verdict::skip("no resize got as far as repairing a dirty image"));
        }
        let leaks = match walk(&trial.left.start.path()) {
            Ok(layout) => audit(&layout).len() as u64,
            Err(_) => 0,
        };
        let mut findings = Vec::new();
        if trial.case.fixture.format.is_unresized() {
            findings.extend(by_disk(trial, &trial.left.start)?);
            findings.extend(by_tool(trial, trial.left.subject, &trial.left.start, leaks)?);
        }
        for step in &trial.left.steps {
            if trial.is_qcow2() {
                findings.extend(by_reader(trial, &step.after, leaks));
            }
            findings.extend(by_disk(trial, &step.after)?);
            findings.extend(by_tool(trial, trial.left.subject, &step.after, leaks)?);
            if let Some(qemu) = trial.desk.newest().filter(|_| trial.case.fixture.format.is_checked()) {
                findings.extend(by_tool(trial, qemu, &step.after, leaks)?);
            }
        }
        Ok(Verdict::of(findings))
    }
}

/// The oracle's own reader; it names what is wrong. `leaks` were there before.
fn by_reader(trial: &Trial, image: &State, leaks: u64) -> Vec<Finding> {
    let problems = match walk(&image.path()) {
        Ok(layout) => audit(&layout),
        Err(e) => return vec![trial.finding(NAME, "header", Kind::Broken, e.to_string())],
    };
    let (leaked, mut bad): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|p| matches!(p, Problem::Leak { .. }));
    if leaked.len() as u64 > leaks {
        bad.extend(leaked);
    }
    let mut fields: Vec<String> = Vec::new();
    bad.into_iter()
        .filter(|p| {
            let new = !fields.contains(&p.field());
            fields.push(p.field());
            new
        })
        .map(|p| trial.finding(NAME, p.field(), Kind::Broken, p.to_string()))
        .collect()
}

/// The oracle's own reader of what `qemu-img` does not resize.
pub(super) fn by_disk(trial: &Trial, image: &State) -> Result<Vec<Finding>, JudgeError> {
    let disk = Disk::read(&trial.case.fixture.format, image)?;
    let mut problems = disk.map(|disk| disk.problems).unwrap_or_default();
    problems.dedup_by_key(|problem| problem.field);
    Ok(problems.into_iter().map(|p| trial.finding(NAME, p.field, Kind::Broken, p.detail)).collect())
}

fn by_tool(trial: &Trial, who: &dyn Subject, image: &State, leaks: u64) -> Result<Vec<Finding>, JudgeError> {
    let answer = trial.desk.check(who, image)?;
    let report = match required(trial, NAME, &format!("{} check", who.name()), &answer) {
        Ok(report) => report,
        Err(finding) => return Ok(vec![*finding]),
    };
    let allowed = [("corruptions", 0), ("check-errors", 0), ("leaks", leaks)];
    let counts = allowed.into_iter().filter_map(|(field, allowed)| {
        let count = report.get(field).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let first = answer.ran.stderr.lines().next().unwrap_or_default();
        let detail = format!("{} counts {count}: {first}", who.name());
        (count > allowed).then(|| trial.finding(NAME, field, Kind::Broken, detail))
    });
    Ok(counts.collect())
}
