//! A resize changes the bytes that it must and no others.

use super::outcome::QED_SIZE;
use crate::disk::Disk;
use crate::oracles::Oracle;
use crate::qcow2::{BITMAPS, COPIED, Entry, EntryKind, FIELDS, Layout, Role, WalkError, walk};
use crate::sparse::{Range, diff};
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Step, Trial, Verdict};
use oracle_case::{FormatOptions, Preallocation, Tweak};
use std::collections::BTreeSet;

/// See the module.
pub struct Untouched;

const NAME: &str = "untouched";
/// Ranges of differing bytes looked at per step; small clusters can have many.
const MAX_RANGES: usize = 200_000;
/// Header fields that a resize may change.
const MAY_CHANGE: &[&str] = &[
    "size",
    "l1_size",
    "l1_table_offset",
    "refcount_table_offset",
    "refcount_table_clusters",
    "autoclear_features",
];
/// Autoclear bits that are known: bitmaps, raw external data. Any other must be cleared by a writer.
const KNOWN_AUTOCLEAR: u64 = 0b11;

impl Oracle for Untouched {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "header fields, extensions, table entries, data and leaked clusters that a resize has no business with keep every byte"
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        if trial.case.fixture.tweaks.iter().any(|tweak| matches!(tweak, Tweak::Dirty { .. })) {
            return Ok(Verdict::skip("a dirty image is repaired first"));
        }
        let mut findings = Vec::new();
        for (before, step) in trial.left.transitions().filter(|(_, step)| step.ran.success()) {
            let found = if trial.is_qcow2() {
                judge_qcow2(trial, before, step)?
            } else if trial.case.fixture.format.is_unresized() {
                judge_disk(trial, before, step)?
            } else if trial.case.fixture.format.qed().is_some() {
                judge_qed(trial, before, step)?.into_iter().collect()
            } else {
                judge_raw(trial, before, step)?.into_iter().collect()
            };
            findings.extend(found);
        }
        Ok(Verdict::of(findings))
    }
}

fn judge_raw(trial: &Trial, before: &State, step: &Step) -> Result<Option<Finding>, JudgeError> {
    let kept = before.len.min(step.after.len);
    let changed = diff(&before.path(), &step.after.path(), 1)?;
    let first = changed.first().filter(|range| range.start < kept);
    Ok(first.map(|range| {
        let detail = format!("byte {:#x} of the preserved range changed", range.start);
        trial.finding(NAME, "data", Kind::Touched, detail)
    }))
}

/// Nothing but the size in its header changes.
fn judge_qed(trial: &Trial, before: &State, step: &Step) -> Result<Option<Finding>, JudgeError> {
    let size = QED_SIZE..QED_SIZE + 8;
    let changed = diff(&before.path(), &step.after.path(), MAX_RANGES)?;
    let wrong = changed.iter().find(|range| !size.contains(&range.start) || range.end > size.end);
    Ok(wrong.map(|range| {
        let detail = format!("bytes {:#x} to {:#x} changed", range.start, range.end);
        trial.finding(NAME, "data", Kind::Touched, detail)
    }))
}

/// Identity, options and unknown structures stay; of what is preserved all keeps a place, the same one if the disk grows.
fn judge_disk(trial: &Trial, before: &State, step: &Step) -> Result<Vec<Finding>, JudgeError> {
    let format = &trial.case.fixture.format;
    let (Some(old), Some(new)) = (Disk::read(format, before)?, Disk::read(format, &step.after)?) else {
        return Ok(Vec::new());
    };
    let mut touched = Touched::default();
    for (name, value) in &old.kept {
        let gone = !new.kept.contains_key(name) && name.starts_with("extent");
        if !gone && new.kept.get(name) != Some(value) {
            let field = name.split('.').next().unwrap_or_default().trim_end_matches(char::is_numeric);
            touched.note(format!("kept-{field}"), || format!("{name}: {value} is {:?}", new.kept.get(name)));
        }
    }
    let end = old.size.min(new.size);
    let places = |disk: &Disk| -> Vec<_> {
        let whole =
            |run: &crate::disk::Run| if new.size < old.size { None } else { Some((run.file, run.offset)) };
        disk.runs.range(..end).map(|(start, run)| (*start, whole(run))).collect()
    };
    let asked = trial.case.resizes.iter().any(|resize| resize.preallocation != Preallocation::Off);
    let (was, is) = (places(&old), places(&new));
    // The block in which the new area begins gets its place with the others.
    let edge = |(start, _): &&(u64, _)| asked && *start == end / format.unit() * format.unit();
    if was.iter().ne(is.iter().filter(|one| was.contains(one) || !edge(one))) {
        touched.note("places".into(), || "data that is preserved lies elsewhere, or nowhere".into());
    }
    let beyond = new.runs.range(old.size.next_multiple_of(format.unit())..).next();
    if let (Some((start, _)), false, true) = (beyond, asked, has_blocks(format)) {
        touched.note("beyond".into(), || format!("the new area has data at {start:#x}"));
    }
    let finding = |(field, detail)| trial.finding(NAME, field, Kind::Touched, detail);
    Ok(touched.first.into_iter().map(finding).collect())
}

/// Whether new areas of such images need no place.
fn has_blocks(format: &FormatOptions) -> bool {
    match format {
        FormatOptions::Vpc(options) => !options.fixed,
        FormatOptions::Vhdx(options) => !options.fixed,
        FormatOptions::Vmdk(options) => !options.subformat.is_flat(),
        _ => true,
    }
}

fn judge_qcow2(trial: &Trial, before: &State, step: &Step) -> Result<Vec<Finding>, JudgeError> {
    let read = |image: &State| match walk(&image.path()) {
        Ok(layout) => Ok(Some(layout)),
        Err(WalkError::Io(e)) => Err(JudgeError::io(image.path())(e)),
        // An image that cannot be read any more is the clean oracle's finding.
        Err(WalkError::Malformed(_)) => Ok(None),
    };
    let (Some(old), Some(new)) = (read(before)?, read(&step.after)?) else {
        return Ok(Vec::new());
    };
    let change = Change { old: &old, new: &new, fills: fills(trial) };
    let mut touched = Touched::default();
    for range in diff(&before.path(), &step.after.path(), MAX_RANGES)? {
        for piece in range.pieces(old.header.cluster_size()) {
            if let Some(field) = change.forbidden(piece) {
                touched.note(field, || format!("bytes {:#x} to {:#x}", piece.start, piece.end));
            }
        }
    }
    change.entries(&mut touched);
    let finding = |(field, detail)| trial.finding(NAME, field, Kind::Touched, detail);
    Ok(touched.first.into_iter().map(finding).collect())
}

/// Whether a grow may map the new area: where it is preallocated, where it hides a backing file, in a raw data file.
fn fills(trial: &Trial) -> bool {
    let fixture = &trial.case.fixture;
    let raw = fixture.data_file.is_some_and(|file| file.raw);
    let asked = trial.case.resizes.iter().any(|resize| resize.preallocation != Preallocation::Off);
    raw || asked || fixture.backing.is_some()
}

/// The first place of each kind.
#[derive(Default)]
struct Touched {
    seen: BTreeSet<String>,
    first: Vec<(String, String)>,
}

impl Touched {
    fn note(&mut self, field: String, detail: impl FnOnce() -> String) {
        if self.seen.insert(field.clone()) {
            self.first.push((field, detail()));
        }
    }
}

/// An image before and after one resize.
struct Change<'a> {
    old: &'a Layout,
    new: &'a Layout,
    /// Whether what is beyond the old end may be mapped.
    fills: bool,
}

impl Change<'_> {
    /// What a changed range of bytes within one cluster belonged to, if it should not have changed.
    fn forbidden(&self, range: Range) -> Option<String> {
        let cluster = range.start / self.old.header.cluster_size();
        if self.old.of_snapshots.contains(&cluster) {
            return Some("snapshot".into());
        }
        match self.old.roles.get(&cluster) {
            Some(Role::Header) => self.forbidden_header(range),
            Some(Role::Data(guest)) => self.forbidden_data(*guest, range),
            Some(Role::Compressed) => self.forbidden_compressed(range),
            Some(Role::Snapshots | Role::OfSnapshot) => Some("snapshot".into()),
            Some(Role::Crypto) => Some("encryption-header".into()),
            // What changed in these is judged by value, and by their refcounts.
            Some(Role::Bitmaps | Role::RefcountTable | Role::RefcountBlock(_) | Role::L1 | Role::L2(_)) => {
                None
            }
            None => self.old.refcounts.contains_key(&cluster).then(|| "leaked-cluster".to_string()),
        }
    }

    fn forbidden_header(&self, range: Range) -> Option<String> {
        // Where the directory of bitmaps lies changes with their size.
        let bitmaps = self.old.header.extension(BITMAPS).map(|(_, place)| place);
        if bitmaps.is_some_and(|place| range.within(place)) {
            return None;
        }
        let field = FIELDS.iter().find(|f| {
            let bytes = Range { start: f.at as u64, end: (f.at + f.len) as u64 };
            !range.overlap(bytes).is_empty() && bytes.end <= self.old.header.length
        });
        match field {
            None => Some("header.extensions".into()),
            // A range of changed bytes may run from one field into the next.
            Some(f) => {
                let rest = Range { start: (f.at + f.len) as u64, ..range };
                let here = (!self.may_change(f.name)).then(|| format!("header.{}", f.name));
                let next = || (!rest.is_empty()).then(|| self.forbidden_header(rest)).flatten();
                here.or_else(next)
            }
        }
    }

    fn may_change(&self, field: &str) -> bool {
        let (old, new) = (self.old.header.get(field), self.new.header.get(field));
        match field {
            "autoclear_features" => new == old & KNOWN_AUTOCLEAR,
            _ => MAY_CHANGE.contains(&field),
        }
    }

    /// The part of the disk that exists before and after, in bytes.
    fn kept(&self) -> u64 {
        self.old.header.get("size").min(self.new.header.get("size"))
    }

    /// Of a data cluster: nothing below the end of what is kept may change. What is above it in the
    /// boundary cluster may be made zero.
    fn forbidden_data(&self, guest: u64, range: Range) -> Option<String> {
        let size = self.old.header.cluster_size();
        let visible = self.kept().saturating_sub(guest * size).min(size);
        (range.start % size < visible).then(|| "data".to_string())
    }

    /// Of compressed data: nothing that a kept cluster needs may change.
    fn forbidden_compressed(&self, range: Range) -> Option<String> {
        let size = self.old.header.cluster_size();
        let kept = self.old.l2.range(..self.kept() / size);
        let mut needed = kept.filter_map(|(_, entry)| match entry.kind(&self.old.header) {
            EntryKind::Compressed(bytes) => Some(bytes),
            _ => None,
        });
        needed.any(|bytes| !bytes.overlap(range).is_empty()).then(|| "compressed-data".to_string())
    }

    /// Notes table entries that are not what they should be.
    fn entries(&self, touched: &mut Touched) {
        let header = &self.old.header;
        let tables = header.l1_needed(self.kept());
        let mapped = if self.fills { self.new.header.get("size") } else { self.kept() };
        let mapped_tables = header.l1_needed(mapped);
        let l1: BTreeSet<u64> = self.old.l1.keys().chain(self.new.l1.keys()).copied().collect();
        for i in l1 {
            let (old, new) = (self.old.l1.get(&i), self.new.l1.get(&i));
            // What a snapshot has, too, is copied before it changes.
            let boundary = i + 1 == tables && old.is_none_or(|entry| entry & COPIED == 0);
            if i < tables && old != new && !boundary {
                touched.note("l1-entry".into(), || format!("L1 entry {i}: {old:x?} to {new:x?}"));
            }
            if i >= mapped_tables && new.is_some() {
                touched.note("l1-beyond".into(), || format!("L1 entry {i} beyond the end: {new:x?}"));
            }
        }
        let whole = self.kept() / header.cluster_size();
        let end = mapped.div_ceil(header.cluster_size());
        let guests: BTreeSet<u64> = self.old.l2.keys().chain(self.new.l2.keys()).copied().collect();
        for guest in guests {
            let entry = |layout: &Layout| -> Option<Entry> { layout.l2.get(&guest).copied() };
            let (old, new) = (entry(self.old), entry(self.new));
            if guest < whole && old != new {
                let detail = || format!("L2 entry of guest cluster {guest}: {old:x?} to {new:x?}");
                touched.note("l2-entry".into(), detail);
            }
            if guest >= end && new.is_some() {
                let detail = || format!("guest cluster {guest} beyond what is kept has {new:x?}");
                touched.note("l2-beyond".into(), detail);
            }
        }
    }
}
