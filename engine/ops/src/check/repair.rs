//! Repairing what a check has found, in the order and to the extent that `qemu-img check -r` does.
//!
//! **A crash at any moment** leaves the image no worse than it was, and another repair ends it:
//!
//! 1. An entry that reads as zeros and names what it cannot is replaced by one that names nothing.
//! 2. Refcounts become what was counted, each on its own, in place: a raised one protects its cluster, a
//!    lowered one frees what nothing refers to. In which order they reach the disk does not matter.
//!    Where they cannot be repaired in place, [`super::rebuild`] makes new structures in clusters that
//!    nothing refers to and switches to them by one write of the header's sector.
//! 3. Behind a barrier, COPIED flags become what the refcounts say. In between, a flag that is missing
//!    costs a copy, and one that is too many was there before.
//! 4. Behind another barrier, a snapshot table whose entries are broken is written anew: the old one stays, and
//!    stays counted, until the header names the new one. (That there are too many snapshots is repaired before 2, by one
//!    word of the header.)
//! 5. Behind another barrier, the dirty and corrupt bits are cleared: the image keeps them until
//!    everything else is on the disk.

use super::snapshots::{self, Wrong};
use super::tally::{Flags, Shown, Stage, Tally};
use super::{ADDED, Buffers, Longer, active_l1, each_window, mapping, prepare, rebuild, references, walk};
use crate::{CheckFinding, CheckReport, Disk, ImageError, OpError, ReadAt, Refusal, Repair};
use instar_formats::bytes::{be64, put_be64};
use instar_formats::io::IoError;
use instar_formats::qcow2::header::{AUTOCLEAR_BITMAPS, AUTOCLEAR_RAW};
use instar_formats::qcow2::{Header, Incompatible};

/// Byte offset of the header's incompatible feature bits.
const INCOMPATIBLE: u64 = 72;
/// The incompatible, compatible and autoclear feature bits, 8 bytes each.
const FEATURES: usize = 24;
/// Where in them the autoclear bits are.
const AUTOCLEAR: usize = 16;

/// Repairs `what`, and checks again if anything was.
///
/// # Errors
/// [`OpError`]: the metadata makes no sense, the device failed, or [`Refusal::CheckFailed`].
pub(super) fn run<D: Disk>(
    disk: &mut Longer<'_, D>,
    header: Header,
    what: Repair,
    scratch: &mut [u8],
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<CheckReport, OpError> {
    let Done { report, mut header, shown, .. } = once(disk, header, what, scratch, findings)?;
    if shown.unwalked {
        return Ok(report);
    }
    let sound = report.check_errors == 0 && report.corruptions == 0;
    let bits = if sound { Incompatible::DIRTY | Incompatible::CORRUPT } else { 0 };
    clear_bits(disk, &mut header, bits)?;
    let CheckReport { corruptions_fixed, leaks_fixed, .. } = report;
    if corruptions_fixed == 0 && leaks_fixed == 0 {
        return Ok(report);
    }
    let (mut buffers, mut tally) = prepare(header, (disk.len(), ADDED), scratch, findings);
    snapshots::examine(disk, &mut buffers, &mut tally, Repair::Nothing)?;
    walk(disk, &mut buffers, &mut tally, Stage::refcounts(true, Repair::Nothing))?;
    walk(disk, &mut buffers, &mut tally, Stage::flags(Flags::Told))?;
    Ok(CheckReport { corruptions_fixed, leaks_fixed, ..tally.report })
}

/// What a repair has come to.
pub(super) struct Done {
    /// The counts of what is left and of what was repaired.
    pub report: CheckReport,
    /// The header as it is now.
    pub header: Header,
    /// About the refcount structures.
    pub shown: Shown,
}

/// Everything but the feature bits.
///
/// # Errors
/// As [`run`].
pub(super) fn once<D: Disk>(
    disk: &mut Longer<'_, D>,
    header: Header,
    what: Repair,
    scratch: &mut [u8],
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<Done, OpError> {
    let (mut buffers, mut tally) = prepare(header, (disk.len(), ADDED), &mut *scratch, &mut *findings);
    let wrong = snapshots::examine(disk, &mut buffers, &mut tally, what)?;
    references_and_flags(disk, &mut buffers, &mut tally, (what, wrong))?;
    let (mut report, mut header, shown) = (tally.report, tally.header, tally.shown);
    let Wrong { cut, entries } = if what == Repair::All { wrong } else { Wrong::default() };
    if shown.unwalked {
        report.corruptions = report.corruptions.saturating_add(cut).saturating_add(entries);
        return Ok(Done { report, header, shown });
    }
    report.corruptions_fixed = report.corruptions_fixed.saturating_add(cut);
    if entries != 0 {
        let broken = report.check_errors != 0 || report.corruptions != 0;
        let rewritten = snapshots::rewrite(disk, &mut header, broken, scratch)?;
        let count = if rewritten { &mut report.corruptions_fixed } else { &mut report.corruptions };
        *count = count.saturating_add(entries);
    }
    Ok(Done { report, header, shown })
}

/// Entries, refcounts and flags; the snapshot table is left as it is, but for what is cut off.
fn references_and_flags<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    (what, wrong): (Repair, Wrong),
) -> Result<(), OpError> {
    if what == Repair::All {
        clear_entries(disk, buffers, tally)?;
    }
    walk(disk, buffers, tally, Stage::refcounts(true, Repair::Nothing))?;
    if tally.shown.unwalked {
        // Nothing is repaired then, and all that a check finds is told.
        return walk(disk, buffers, tally, Stage::flags(Flags::Told));
    }
    snapshots::cut(disk, tally, wrong)?;
    let unusable = tally.shown.unusable || (what == Repair::All && tally.shown.block_past_end);
    if unusable {
        replace(disk, buffers, tally, what)?;
    } else if tally.report.leaks != 0 || tally.report.corruptions != 0 {
        let report = &mut tally.report;
        report.leaks = 0;
        report.corruptions = report.corruptions.saturating_sub(tally.shown.too_low);
        walk(disk, buffers, tally, Stage::refcounts(false, what))?;
    }
    disk.flush()?;
    let CheckReport { check_errors, corruptions, leaks, .. } = tally.report;
    let repairs = what == Repair::All || (check_errors, corruptions, leaks) == (0, 0, 0);
    walk(disk, buffers, tally, Stage::flags(if repairs { Flags::Repaired } else { Flags::Told }))?;
    disk.flush()?;
    Ok(())
}

/// Replaces entries that read as zeros and name what they cannot, in tables that nothing else refers to.
///
/// # Errors
/// As [`run`]; [`ImageError::Overlap`]: the L1 table serves as an L2 table, too. Setting its flags right would change what the
/// guest sees.
fn clear_entries<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), OpError> {
    walk(disk, buffers, tally, Stage::COUNT)?;
    if let Some(offset) = tally.shown.inside_l1 {
        return Err(ImageError::Overlap { offset }.into());
    }
    if tally.shown.clearable == 0 || tally.shown.unwalked {
        return Ok(());
    }
    each_window(disk, buffers, tally, |disk, buffers, tally| {
        tally.stage = Stage::COUNT;
        references(disk, buffers, tally)?;
        buffers.forget();
        tally.stage = Stage::CLEAR;
        mapping::count(disk, buffers, tally, active_l1(&tally.header))?;
        Ok(tally.patches.write(disk)?)
    })?;
    disk.flush()?;
    Ok(())
}

/// Puts new refcount structures in the place of unusable ones and gives those back. What is
/// counted as repaired is what was found before and is no more.
fn replace<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    what: Repair,
) -> Result<(), OpError> {
    if what != Repair::All {
        tally.find(CheckFinding::NeedsRebuild);
        return Err(Refusal::CheckFailed.into());
    }
    tally.find(CheckFinding::Rebuilding);
    rebuild::run(disk, buffers, tally)?;
    let before = tally.report;
    tally.report = CheckReport::new(before.total_clusters);
    walk(disk, buffers, tally, Stage::refcounts(true, Repair::Leaks))?;
    let after = &mut tally.report;
    let gone = |before: u64, after: u64| before.saturating_sub(after);
    after.leaks_fixed = before.leaks_fixed.saturating_add(gone(before.leaks, after.leaks));
    after.corruptions_fixed =
        before.corruptions_fixed.saturating_add(gone(before.corruptions, after.corruptions));
    Ok(())
}

/// Clears incompatible `bits`, and autoclear bits nobody here knows, as whoever writes to an image must.
///
/// # Errors
/// The device's.
pub(super) fn clear_bits<D: Disk>(
    disk: &mut Longer<'_, D>,
    header: &mut Header,
    bits: u64,
) -> Result<(), IoError> {
    if header.version < 3 {
        return Ok(());
    }
    let mut old = [0; FEATURES];
    disk.read_at(INCOMPATIBLE, &mut old)?;
    let mut new = old;
    put_be64(&mut new, 0, be64(&old, 0) & !bits);
    put_be64(&mut new, AUTOCLEAR, be64(&old, AUTOCLEAR) & (AUTOCLEAR_BITMAPS | AUTOCLEAR_RAW));
    if new != old {
        disk.write_at(INCOMPATIBLE, &new)?;
        disk.flush()?;
        header.incompatible = be64(&new, 0);
        header.autoclear = be64(&new, AUTOCLEAR);
    }
    Ok(())
}
