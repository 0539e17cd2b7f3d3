//! What several oracles need.

use crate::desk::Answer;
use crate::subject::{DEADLINE, Family, IMAGE, Qemu, Subject};
use crate::text::differences;
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Record, State, Trial, Verdict};
use oracle_case::child::Ending;
use oracle_case::{Content, FormatOptions, Outcome, Refusal, Subformat, Tweak, Write, WriteKind};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// How many L2 tables qemu-img may have to look at when it lists or compares a whole image: it
/// takes about 3 us for each, allocated or not.
const MAX_L2_TABLES: u64 = 1 << 16;
/// The longest raw file that every common file system takes.
const MAX_RAW_LEN: u64 = 8 << 40;

/// Whether the image says that it was not closed properly.
pub fn is_dirty(trial: &Trial) -> bool {
    trial.case.fixture.tweaks.iter().any(|tweak| matches!(tweak, Tweak::Dirty { .. }))
}

/// Whether a resize that is refused so has opened the image: a dirty one is then repaired first.
pub fn opens(refusal: Refusal) -> bool {
    !matches!(refusal, Refusal::Syntax | Refusal::Corrupt)
}

/// Whether no resize got as far as repairing a dirty image.
pub fn still_dirty(trial: &Trial) -> bool {
    let unopened =
        |step: &oracle_case::Step| matches!(step.outcome, Outcome::Refused(refusal) if !opens(refusal));
    is_dirty(trial) && trial.expected.iter().all(unopened)
}

/// Why the whole disk cannot be looked at in reasonable time, if it cannot.
pub fn too_large(trial: &Trial) -> Option<&'static str> {
    let size = trial.expected_content().size();
    let format = &trial.case.fixture.format;
    let tables = match format.qcow2() {
        Some(q) => size.div_ceil(q.l2_coverage()),
        None => 0,
    };
    (tables > MAX_L2_TABLES || size > MAX_RAW_LEN || size > most_compared(format))
        .then_some("disk too large to look at all of it")
}

/// The largest disk of a format that is compared whole, in bytes: of VHDX and of fixed disks qemu-img reads all, of the
/// others it asks block by block what there is.
pub fn most_compared(format: &FormatOptions) -> u64 {
    match format {
        FormatOptions::Vhdx(_) => 512 << 20,
        FormatOptions::Vpc(_) => 64 << 30,
        FormatOptions::Vmdk(_) => 16 << 30,
        FormatOptions::Raw | FormatOptions::Luks | FormatOptions::Qcow2(_) | FormatOptions::Qed(_) => {
            u64::MAX
        }
    }
}

/// Why the image at the end cannot be held to what was expected, if it cannot: another course is
/// the outcome oracle's finding.
pub fn unexpected_course(trial: &Trial) -> Option<&'static str> {
    let resized = |step: &oracle_case::Step| step.outcome == oracle_case::Outcome::Resized;
    let mut steps = trial.expected.iter().zip(&trial.left.steps);
    let same = steps.all(|(expected, step)| resized(expected) == step.ran.success());
    (!same).then_some("accepted or refused otherwise than expected")
}

/// Why nobody reads or writes the image as a disk, if nobody does.
pub fn unusable(trial: &Trial) -> Option<&'static str> {
    let corrupt = trial.case.fixture.tweaks.iter().any(|tweak| matches!(tweak, Tweak::Corrupt));
    let once = trial.case.fixture.format.vmdk().is_some_and(|o| o.subformat == Subformat::StreamOptimized);
    match (corrupt, once) {
        (true, _) => Some("an image that says it is corrupt is not opened"),
        (_, true) => Some("a streamOptimized image is written once"),
        _ => None,
    }
}

/// Why two records cannot be compared by what came out, if they cannot: a different course is the
/// refusal oracle's finding.
pub fn different_course(trial: &Trial) -> Option<&'static str> {
    let right = trial.right?;
    if let Some(why) = unresized(trial) {
        return Some(why);
    }
    let same = trial.left.steps.iter().zip(&right.steps).all(|(l, r)| l.ran.success() == r.ran.success());
    (!same).then_some("one side refused what the other did")
}

/// Why the two sides' resizes cannot be compared, if one of them made none.
pub fn unresized(trial: &Trial) -> Option<&'static str> {
    let right = trial.right?;
    (trial.left.steps.len() != right.steps.len()).then_some("qemu-img does not resize this format")
}

/// Why a subcommand of both sides cannot be compared, if one has none.
pub fn lacking(trial: &Trial, verb: &str) -> Option<String> {
    let sides = [Some(trial.left), trial.right];
    let mut subjects = sides.into_iter().flatten().map(|record| record.subject);
    subjects.find(|who| who.lacks(verb)).map(|who| format!("{} has no {verb}", who.name()))
}

/// Judges the image of the left side, and the right one's where it is another and the first shows nothing: both sides
/// are asked the same of each with the subcommand `verb`.
pub fn on_both_images(
    trial: &Trial,
    verb: &str,
    judge: impl Fn(&Record, &State) -> Result<Vec<Finding>, JudgeError>,
) -> Result<Verdict, JudgeError> {
    let (Some((left, right)), Some(other)) = (trial.last_states(), trial.right) else {
        return Ok(Verdict::skip("nothing to compare with"));
    };
    if let Some(why) = lacking(trial, verb) {
        return Ok(Verdict::skip(why));
    }
    let mut findings = judge(other, left)?;
    if findings.is_empty() && left.fingerprint != right.fingerprint {
        findings = judge(other, right)?;
    }
    Ok(Verdict::of(findings))
}

/// Whether both sides speak qemu-img's words: of another program only whether it refuses is compared.
pub fn same_words(trial: &Trial) -> bool {
    let sides = [Some(trial.left), trial.right];
    sides.into_iter().flatten().all(|record| record.subject.family() != Family::Other)
}

/// Whether both images of a pair have the same bytes, so that no reader can tell them apart.
pub fn identical(trial: &Trial) -> bool {
    trial.last_states().is_some_and(|(l, r)| l.fingerprint == r.fingerprint)
}

/// The JSON of an answer that must have come.
///
/// # Errors
/// The finding that it did not come.
pub fn required<'v>(
    trial: &Trial,
    oracle: &'static str,
    what: &str,
    answer: &'v Answer,
) -> Result<&'v Value, Box<Finding>> {
    answer.json.as_ref().ok_or_else(|| {
        let kind = match answer.ran.ending {
            Ending::TimedOut => Kind::TimedOut,
            _ => Kind::Failed,
        };
        let detail = format!("{what}: {}", answer.ran.summary());
        Box::new(trial.finding(oracle, "answer", kind, detail))
    })
}

/// A finding for every place where two answers differ.
pub fn compare_json(
    trial: &Trial,
    oracle: &'static str,
    what: &str,
    left: &Value,
    right: &Value,
) -> Vec<Finding> {
    differences(left, right)
        .into_iter()
        .map(|d| {
            let kind = d.kind();
            let detail = format!("{what}: {} is {}", d.path, d.values());
            trial.finding(oracle, d.path, kind, detail)
        })
        .collect()
}

/// A raw file with this content, as an image of its own in a new directory.
///
/// # Errors
/// [`JudgeError::Io`].
pub fn raw_image(trial: &Trial, content: &Content) -> Result<State, JudgeError> {
    let dir = trial.desk.scratch()?;
    let path = dir.join(IMAGE);
    let file = File::create(&path).map_err(JudgeError::io(&path))?;
    file.set_len(content.size()).map_err(JudgeError::io(&path))?;
    for extent in content.extents() {
        let mut at = extent.offset;
        let end = at + extent.len;
        let chunk = vec![extent.byte; 64 << 10];
        while at < end {
            let len = usize::try_from(end - at).map_or(chunk.len(), |n| n.min(chunk.len()));
            file.write_all_at(&chunk[..len], at).map_err(JudgeError::io(&path))?;
            at += len as u64;
        }
    }
    State::of(dir)
}

/// Compares `image` with the content it should have, read by a qemu-img: all of it, or if the
/// disk is too large for that, what is written and what lies around the end.
///
/// # Errors
/// [`JudgeError`].
pub fn check_content(
    trial: &Trial,
    oracle: &'static str,
    who: &Qemu,
    image: &State,
    content: &Content,
) -> Result<Vec<Finding>, JudgeError> {
    if too_large(trial).is_some() {
        return check_windows(trial, oracle, who, image, content);
    }
    let expected = raw_image(trial, content)?;
    let Some(mismatch) = mismatch(trial, oracle, who, image, &expected, "raw")? else {
        return Ok(Vec::new());
    };
    Ok(vec![locate(trial, mismatch, |writes| {
        let image = blanked(trial, who, image, &around(writes, content))?;
        self::mismatch(trial, oracle, who, &image, &expected, "raw")
    })?])
}

/// The finding that a qemu-img sees two images differ, if it does; `format` is that of the second.
///
/// # Errors
/// [`JudgeError`].
pub fn mismatch(
    trial: &Trial,
    oracle: &'static str,
    who: &Qemu,
    a: &State,
    b: &State,
    format: &str,
) -> Result<Option<Finding>, JudgeError> {
    let answer = trial.desk.compare(who, a, b, format)?;
    let told = format!("{}{}", answer.ran.stdout, answer.ran.stderr);
    // Images of different size whose common part is equal count as identical, with a warning.
    if answer.ran.success() && !told.to_lowercase().contains("warning") {
        return Ok(None);
    }
    let kind = match answer.ran.ending {
        Ending::TimedOut => Kind::TimedOut,
        // 1 is "they differ", anything above "they could not be read".
        Ending::Exit(0 | 1) => Kind::Differs,
        _ => Kind::Failed,
    };
    let detail = format!("read by {}: {}", who.name(), told.trim());
    Ok(Some(trial.finding(oracle, "content", kind, detail)))
}

/// Names what differs: `boundary-tail` if nothing differs any more once `look_again` has made the
/// ranges zero that an earlier shrink cut off from the middle of a cluster, `reused-clusters` if that takes the new areas
/// too that were given clusters without being written.
///
/// # Errors
/// [`JudgeError`].
pub fn locate(
    trial: &Trial,
    mut mismatch: Finding,
    look_again: impl Fn(&[Write]) -> Result<Option<Finding>, JudgeError>,
) -> Result<Finding, JudgeError> {
    let last = trial.expected.last();
    let stale = last.map(|step| step.stale.as_slice()).unwrap_or_default();
    let reused = last.map(|step| step.reused.as_slice()).unwrap_or_default();
    let zero = |range: &std::ops::Range<u64>| Write {
        kind: WriteKind::Zero,
        pattern: 0,
        offset: range.start,
        len: range.end - range.start,
    };
    let mut writes: Vec<Write> = Vec::new();
    for (ranges, field) in [(stale, "boundary-tail"), (reused, "reused-clusters")] {
        if ranges.is_empty() {
            continue;
        }
        writes.extend(ranges.iter().map(zero));
        match look_again(&writes)? {
            Some(elsewhere) => mismatch = elsewhere,
            None => {
                mismatch.class.field = field.into();
                break;
            }
        }
    }
    Ok(mismatch)
}

/// The parts of `writes` in which `content` has nothing but zeros.
fn around(writes: &[Write], content: &Content) -> Vec<Write> {
    let mut parts = Vec::new();
    for write in writes {
        let (mut at, end) = (write.offset, write.offset + write.len);
        let data = content.extents().into_iter().map(|e| (e.offset, e.offset + e.len));
        for (from, to) in data.chain([(end, end)]).filter(|(from, to)| *to > write.offset && *from <= end) {
            let len = from.min(end).saturating_sub(at);
            parts.extend((len > 0).then(|| Write { offset: at, len, ..write.clone() }));
            at = at.max(to);
        }
    }
    parts
}

/// A copy of `image` to which `writes` were made.
///
/// # Errors
/// [`JudgeError`].
pub fn blanked(trial: &Trial, who: &Qemu, image: &State, writes: &[Write]) -> Result<State, JudgeError> {
    let dir = trial.desk.scratch()?;
    image.copy_to(&dir)?;
    trial.desk.write(who, &dir, &io_commands(trial, writes))?;
    State::of(dir)
}

fn check_windows(
    trial: &Trial,
    oracle: &'static str,
    who: &Qemu,
    image: &State,
    content: &Content,
) -> Result<Vec<Finding>, JudgeError> {
    /// Bytes looked at before the end of the disk.
    const TAIL: u64 = 64 << 10;
    let mut commands: Vec<String> =
        content.extents().iter().map(|e| format!("read -q -P {} {} {}", e.byte, e.offset, e.len)).collect();
    let start = content.size().saturating_sub(TAIL) / 512 * 512;
    if !content.has_data(start, TAIL) {
        commands.push(format!("read -q -P 0 {start} {}", content.size() - start));
    }
    let Some(ran) = trial.desk.read(who, image, &commands)? else {
        return Ok(Vec::new());
    };
    let told = format!("{}{}", ran.stdout, ran.stderr);
    if ran.success() && !told.contains("failed") {
        return Ok(Vec::new());
    }
    let kind = if ran.ending == Ending::TimedOut { Kind::TimedOut } else { Kind::Differs };
    let detail = format!("{} ({} s allowed)", told.trim(), DEADLINE.as_secs());
    Ok(vec![trial.finding(oracle, "content", kind, detail)])
}

/// Writes as `qemu-io` commands.
pub fn io_commands(trial: &Trial, writes: &[Write]) -> Vec<String> {
    let cluster = trial.case.fixture.format.unit();
    writes.iter().flat_map(|write| write.qemu_io_commands(cluster)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_go_around_data() {
        let zero = |offset, len| Write { kind: WriteKind::Zero, pattern: 0, offset, len };
        let mut content = Content::zeros(1000);
        [(0, 10), (100, 50), (190, 100)].into_iter().for_each(|(at, len)| content.fill(at, len, 7));
        assert_eq!(around(&[zero(50, 150)], &content), [zero(50, 50), zero(150, 40)]);
        assert_eq!(around(&[zero(5, 10), zero(110, 20)], &content), [zero(10, 5)]);
        assert_eq!(around(&[zero(300, 100)], &content), [zero(300, 100)]);
    }
}
