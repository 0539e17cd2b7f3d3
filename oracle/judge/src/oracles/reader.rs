//! A guest sees what the model says, read in process by a crate that has nothing to do with QEMU.

use super::support::{still_dirty, unexpected_course, unusable};
use crate::disk::Disk;
use crate::foreign::windows;
use crate::oracles::Oracle;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, Trial, Verdict};
use imago::file::File;
use imago::qcow2::Qcow2;
use imago::{FormatAccess, FormatDriverBuilder, PermissiveImplicitOpenGate};

/// See the module.
pub struct Reader;

const NAME: &str = "reader";
/// Bytes that imago is asked for at a time.
const WHOLE: usize = 1 << 20;
/// Bytes compared at a time.
const PIECE: u64 = 4 << 20;

impl Oracle for Reader {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "the imago crate, or a reader of the oracle's own, reads every written extent as written, and zeros around and behind them"
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        if let Some(why) = unexpected_course(trial).or_else(|| unusable(trial)) {
            return Ok(Verdict::skip(why));
        }
        if let Some(disk) = Disk::read(&trial.case.fixture.format, trial.left.last())? {
            return Ok(Verdict::of(by_disk(trial, &disk)?.into_iter().collect()));
        }
        let Some(options) = trial.case.fixture.format.qcow2() else {
            return Ok(Verdict::skip("imago reads qcow2, and raw needs no reader"));
        };
        if options.zstd || options.extended_l2 {
            return Ok(Verdict::skip("imago reads neither zstd nor extended L2"));
        }
        if options.encryption.is_some() {
            return Ok(Verdict::skip("imago has no passphrase"));
        }
        if still_dirty(trial) {
            return Ok(Verdict::skip("imago opens no dirty image"));
        }
        Ok(Verdict::of(read_all(trial).into_iter().collect()))
    }
}

fn read_all(trial: &Trial) -> Option<Finding> {
    let failed = |what: &str, e: std::io::Error| Some(trial.finding(NAME, what, Kind::Failed, e.to_string()));
    let opened =
        Qcow2::<File>::builder_path(trial.left.last().path()).open(PermissiveImplicitOpenGate::default());
    let image = match opened {
        Ok(image) => FormatAccess::new(image),
        Err(e) => return failed("open", e),
    };
    let content = trial.expected_content();
    if image.size() != content.size() {
        let detail = format!("{} bytes, {} expected", image.size(), content.size());
        return Some(trial.finding(NAME, "size", Kind::Differs, detail));
    }
    for (start, len) in windows(&content) {
        for at in (start..start + len).step_by(WHOLE) {
            let len = usize::try_from(start + len - at).map_or(WHOLE, |rest| rest.min(WHOLE));
            let (mut got, mut want) = (vec![0xff; len], vec![0; len]);
            if let Err(e) = image.read(&mut got[..], at) {
                return failed("read", e);
            }
            content.read(at, &mut want);
            if let Some(i) = (0..len).find(|i| got.get(*i) != want.get(*i)) {
                let detail = format!("byte {} is {} and not {}", at + i as u64, got[i], want[i]);
                return Some(trial.finding(NAME, field(trial, at, &got, &want), Kind::Differs, detail));
            }
        }
    }
    None
}

/// By the oracle's own reader, which knows all places in which there is any data.
fn by_disk(trial: &Trial, disk: &Disk) -> Result<Option<Finding>, JudgeError> {
    let content = trial.expected_content();
    let placed = disk.runs.iter().map(|(start, run)| (*start, run.len));
    let extents = content.extents().into_iter().map(|extent| (extent.offset, extent.len));
    for (start, len) in placed.chain(extents) {
        let end = (start + len).min(content.size());
        let mut at = start;
        while at < end {
            let len = usize::try_from((end - at).min(PIECE)).unwrap_or(0);
            let (mut got, mut want) = (vec![0; len], vec![0; len]);
            disk.copy(at, &mut got)?;
            content.read(at, &mut want);
            if got != want {
                let i = (0..len).find(|i| got.get(*i) != want.get(*i)).unwrap_or(0);
                let detail = format!("byte {} is {} and not {}", at + i as u64, got[i], want[i]);
                return Ok(Some(trial.finding(NAME, "content", Kind::Differs, detail)));
            }
            at += len as u64;
        }
    }
    Ok(None)
}

/// `boundary-tail` if all that differs was cut off by an earlier shrink from the middle of a cluster.
fn field(trial: &Trial, at: u64, got: &[u8], want: &[u8]) -> &'static str {
    let stale = trial.expected.last().map(|step| step.stale.as_slice()).unwrap_or_default();
    let mut different = (at..).zip(got.iter().zip(want)).filter(|(_, (g, w))| g != w);
    match different.all(|(i, _)| stale.iter().any(|range| range.contains(&i))) {
        true => "boundary-tail",
        false => "content",
    }
}
