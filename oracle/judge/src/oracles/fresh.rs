//! A new image is what qemu-img makes of the same options.

use super::header;
use super::support::{lacking, required, same_words};
use crate::oracles::Oracle;
use crate::subject::{Family, IMAGE, Subject, create_args};
use crate::text::{differences, without_environment, without_identity};
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Trial, Verdict, identity, sparse};

/// See the module.
pub struct FreshCreate;

const NAME: &str = "fresh-create";

impl Oracle for FreshCreate {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "both sides' create make the same of the same options: same info, header and length, or the same bytes but for identities; and what is made is clean"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let Some(right) = trial.right else {
            return Ok(Verdict::skip("nothing to compare with"));
        };
        if trial.case.fixture.format.qed().is_some() {
            return Ok(Verdict::skip("instar makes no QED images"));
        }
        if trial.case.fixture.format.is_encrypted() {
            return Ok(Verdict::skip("instar makes no encrypted images"));
        }
        if super::support::unusable(trial).is_some() && trial.case.fixture.format.is_unresized() {
            return Ok(Verdict::skip("instar writes streams in the form of the specification"));
        }
        if let Some(why) = lacking(trial, "create") {
            return Ok(Verdict::skip(why));
        }
        let Some(reader) = trial.reader() else {
            return Ok(Verdict::skip("no qemu-img reads this"));
        };
        let size = trial.expected_content().size();
        let (ours, theirs) = (create(trial, trial.left.subject, size)?, create(trial, right.subject, size)?);
        match (ours, theirs) {
            (Err(l), Err(r)) if l == r || !same_words(trial) => Ok(Verdict::Agree),
            (Ok(l), Ok(r)) if l.fingerprint == r.fingerprint => Ok(Verdict::Agree),
            (Ok(l), Ok(r)) => Ok(Verdict::of(compare(trial, reader, &l, &r)?)),
            (l, r) => {
                let detail = format!("{:?} here, {:?} there", l.map(|_| ()), r.map(|_| ()));
                Ok(Verdict::of(vec![trial.finding(NAME, "create", Kind::OneRefused, detail)]))
            }
        }
    }
}

/// The image that `who` creates, or what it says instead.
fn create(trial: &Trial, who: &dyn Subject, size: u64) -> Result<Result<State, Vec<String>>, JudgeError> {
    let dir = trial.desk.scratch()?;
    let mut args = vec!["-q".to_string()];
    args.extend(create_args(&trial.case.fixture, size));
    let ran = who.run(&dir, "create", &args)?;
    if !ran.success() {
        return Ok(Err(crate::text::normalised(&ran.stderr)));
    }
    identity::blank(&dir, &trial.case.fixture.format, who.family() == Family::Qemu)?;
    State::of(dir).map(Ok)
}

fn compare(
    trial: &Trial,
    qemu: &dyn Subject,
    left: &State,
    right: &State,
) -> Result<Vec<Finding>, JudgeError> {
    let mut findings = clean(trial, qemu, left)?;
    if trial.is_qcow2() {
        findings.extend(header::compare(trial, NAME, left, right)?);
    }
    if trial.case.fixture.format.is_unresized() && same_words(trial) {
        findings.extend(bytes(trial, left, right)?);
    }
    // A descriptor quotes a random number without leading zeros.
    if left.len != right.len && left.parts.is_empty() {
        let detail = format!("{} bytes here, {} there", left.len, right.len);
        findings.push(trial.finding(NAME, "length", Kind::Differs, detail));
    }
    let verbs = [trial.desk.info(qemu, left, None)?, trial.desk.info(qemu, right, None)?];
    let [l, r] = &verbs;
    match required(trial, NAME, "info", l).and_then(|l| Ok((l, required(trial, NAME, "info", r)?))) {
        Err(finding) => findings.push(*finding),
        Ok((l, r)) => {
            let [l, r] = [l, r].map(|json| without_identity(without_environment(json)));
            for d in differences(&l, &r) {
                let detail = d.values();
                findings.push(trial.finding(NAME, format!("info.{}", d.path), Kind::Differs, detail));
            }
        }
    }
    Ok(findings)
}

/// What a check finds in the new image of the left side.
fn clean(trial: &Trial, qemu: &dyn Subject, left: &State) -> Result<Vec<Finding>, JudgeError> {
    if !trial.case.fixture.format.is_checked() {
        return Ok(Vec::new());
    }
    let answer = trial.desk.check(qemu, left)?;
    let broken = !answer.ran.success();
    let finding = || trial.finding(NAME, "check", Kind::Broken, answer.ran.summary());
    Ok(broken.then(finding).into_iter().collect())
}

/// The first bytes that differ, identities aside: `qemu-img` lays these formats out as instar does.
fn bytes(trial: &Trial, left: &State, right: &State) -> Result<Option<Finding>, JudgeError> {
    let files = |image: &State| image.parts.keys().cloned().collect::<Vec<_>>();
    let (ours, theirs) = (files(left), files(right));
    if ours != theirs {
        let detail = format!("{ours:?} here, {theirs:?} there");
        return Ok(Some(trial.finding(NAME, "files", Kind::Differs, detail)));
    }
    for name in std::iter::once(IMAGE.to_string()).chain(ours) {
        let found = sparse::diff(&left.dir.join(&name), &right.dir.join(&name), 1)?;
        if let Some(range) = found.first() {
            let detail = format!("{name} from byte {} on", range.start);
            return Ok(Some(trial.finding(NAME, "bytes", Kind::Differs, detail)));
        }
    }
    Ok(None)
}
