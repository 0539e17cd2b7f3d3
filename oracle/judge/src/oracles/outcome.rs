//! Accepted and refused as a model of our own expects, the file untouched on refusal, the size as asked.

use super::support::{is_dirty, opens};
use crate::disk::Disk;
use crate::oracles::Oracle;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Step, Trial, Verdict, qcow2};
use oracle_case::FormatOptions;
use oracle_case::child::Ending;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// See the module.
pub struct Outcome;

/// Where a QED header has the virtual size: 8 bytes, little endian.
pub(super) const QED_SIZE: u64 = 48;

/// Where a LUKS header has the sector at which the disk begins: 4 bytes, big endian (version 1, "phdr").
const LUKS_PAYLOAD: u64 = 104;

const NAME: &str = "outcome";

impl Oracle for Outcome {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "accepted, refused and sized as a model of the oracle's own expects; a refusal leaves the file as it was"
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let mut findings = Vec::new();
        for (expected, (before, step)) in trial.expected.iter().zip(trial.left.transitions()) {
            findings.extend(judge_step(trial, expected, before, step)?);
        }
        Ok(Verdict::of(findings))
    }
}

fn judge_step(
    trial: &Trial,
    expected: &oracle_case::Step,
    before: &State,
    step: &Step,
) -> Result<Vec<Finding>, JudgeError> {
    let finding = |field, kind, detail: String| vec![trial.finding(NAME, field, kind, detail)];
    let said = step.ran.summary();
    let wanted = expected.outcome == oracle_case::Outcome::Resized;
    match step.ran.ending {
        Ending::TimedOut => return Ok(finding("resize", Kind::TimedOut, said)),
        Ending::Signal(_) => return Ok(finding("resize", Kind::Failed, said)),
        Ending::Exit(_) if step.ran.success() != wanted => {
            let detail = format!("{:?} expected: {said}", expected.outcome);
            let mut findings = finding("resize", Kind::Differs, detail);
            if wanted && step.after.fingerprint != before.fingerprint {
                findings.extend(finding("refused-file", Kind::Touched, said));
            }
            return Ok(findings);
        }
        Ending::Exit(_) => {}
    }
    if let oracle_case::Outcome::Refused(refusal) = expected.outcome {
        let repaired = opens(refusal) && is_dirty(trial);
        if !repaired && step.after.fingerprint != before.fingerprint {
            return Ok(finding("refused-file", Kind::Touched, said));
        }
        return Ok(Vec::new());
    }
    let size = recorded_size(trial, &step.after)?;
    if size != Some(expected.length) {
        let detail = format!("{size:?} recorded, {} expected", expected.length);
        return Ok(finding("size", Kind::Differs, detail));
    }
    Ok(Vec::new())
}

/// The byte of a LUKS file at which the disk begins.
pub(super) fn luks_payload(file: &File) -> Option<u64> {
    let mut sector = [0; 4];
    file.read_exact_at(&mut sector, LUKS_PAYLOAD).ok()?;
    Some(u64::from(u32::from_be_bytes(sector)) * 512)
}

/// The size that an image records: a raw file's length, that of a LUKS file without its header, a header's field.
fn recorded_size(trial: &Trial, image: &State) -> Result<Option<u64>, JudgeError> {
    let file = File::open(image.path()).map_err(JudgeError::io(image.path()))?;
    match trial.case.fixture.format {
        FormatOptions::Raw => return Ok(Some(image.len)),
        // Its header says where the disk begins, not where it ends.
        FormatOptions::Luks => return Ok(luks_payload(&file).and_then(|at| image.len.checked_sub(at))),
        FormatOptions::Qed(_) => {
            let mut size = [0; 8];
            let read = file.read_exact_at(&mut size, QED_SIZE);
            return Ok(read.is_ok().then_some(u64::from_le_bytes(size)));
        }
        FormatOptions::Vpc(_) | FormatOptions::Vhdx(_) | FormatOptions::Vmdk(_) => {
            return Ok(Disk::read(&trial.case.fixture.format, image)?.map(|disk| disk.size));
        }
        FormatOptions::Qcow2(_) => {}
    }
    Ok(qcow2::Header::read(&file).ok().map(|header| header.get("size")))
}
