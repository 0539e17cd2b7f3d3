//! An image of a format that `qemu-img` does not resize is like one that it creates at that size, and reads as the model says.

use super::support::{check_content, compare_json, required, unexpected_course};
use crate::oracles::Oracle;
use crate::subject::{Qemu, Subject, create_args};
use crate::text::{without_environment, without_identity};
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Trial, Verdict};
use oracle_case::{Fixture, FormatOptions, Maker};

/// See the module.
pub struct Created;

const NAME: &str = "created";

impl Oracle for Created {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "in formats that qemu-img does not resize, each version finds the image clean and full of what the model says, and info says what it says of one created at that size"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let Some(right) = trial.right else {
            return Ok(Verdict::skip("nothing to compare with"));
        };
        let format = &trial.case.fixture.format;
        if !format.is_unresized() {
            return Ok(Verdict::skip("resized by both sides"));
        }
        if let Some(why) = unexpected_course(trial) {
            return Ok(Verdict::skip(why));
        }
        let version = right.subject.version();
        let Some(qemu) = trial.desk.readers().find(|qemu| Subject::version(*qemu) == version) else {
            return Ok(Verdict::skip("no qemu-img that reads this"));
        };
        let image = trial.left.last();
        let mut findings = check_content(trial, NAME, qemu, image, &trial.expected_content())?;
        if format.is_checked() {
            findings.extend(clean(trial, qemu, image)?);
        }
        findings.extend(alike(trial, qemu, image)?);
        Ok(Verdict::of(findings))
    }
}

fn clean(trial: &Trial, qemu: &Qemu, image: &State) -> Result<Option<Finding>, JudgeError> {
    let answer = trial.desk.check(qemu, image)?;
    let detail = || format!("{}: {}", qemu.name(), answer.ran.summary());
    Ok((!answer.ran.success()).then(|| trial.finding(NAME, "check", Kind::Broken, detail())))
}

/// That `info` tells it from no image that is created at the same size.
fn alike(trial: &Trial, qemu: &Qemu, image: &State) -> Result<Vec<Finding>, JudgeError> {
    if !is_like_created(&trial.case.fixture) {
        return Ok(Vec::new());
    }
    let dir = trial.desk.scratch()?;
    let mut args = vec!["-q".to_string()];
    args.extend(create_args(&trial.case.fixture, trial.expected_content().size()));
    let ran = qemu.run(&dir, "create", &args)?;
    if !ran.success() {
        return Ok(vec![trial.finding(NAME, "create", Kind::Failed, ran.summary())]);
    }
    let (ours, theirs) =
        (trial.desk.info(qemu, image, None)?, trial.desk.info(qemu, &State::of(dir)?, None)?);
    let what = format!("{} info", qemu.name());
    let jsons =
        required(trial, NAME, &what, &ours).and_then(|l| Ok((l, required(trial, NAME, &what, &theirs)?)));
    Ok(match jsons {
        Err(finding) => vec![*finding],
        Ok((l, r)) => {
            let (l, r) = (without_identity(without_environment(l)), without_identity(without_environment(r)));
            compare_json(trial, NAME, &what, &l, &r)
        }
    })
}

/// Whether `qemu-img` can create an image of these options, in as many files.
fn is_like_created(fixture: &Fixture) -> bool {
    match &fixture.format {
        FormatOptions::Vpc(options) => options.block_bits == 21,
        FormatOptions::Vmdk(options) => {
            let odd = fixture.maker == Maker::Own && options.subformat.is_split();
            options.grain_bits == 16 && !odd
        }
        _ => true,
    }
}
