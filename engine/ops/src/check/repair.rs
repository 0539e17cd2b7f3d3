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
//! 4. Behind another barrier, the dirty and corrupt bits are cleared: the image keeps them until
//!    everything else is on the disk.

use super::tally::{Flags, Stage, Tally};
use super::{Buffers, Longer, active_l1, each_window, mapping, rebuild, references, walk};
use crate::{CheckFinding, CheckReport, Disk, ImageError, OpError, ReadAt, Refusal, Repair};
use instar_formats::bytes::{be64, put_be64};
use instar_formats::io::IoError;
use instar_formats::qcow2::Incompatible;
use instar_formats::qcow2::header::{AUTOCLEAR_BITMAPS, AUTOCLEAR_RAW};

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
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    what: Repair,
) -> Result<(), OpError> {
    once(disk, buffers, tally, what)?;
    if tally.shown.unwalked {
        return Ok(());
    }
    let sound = tally.report.check_errors == 0 && tally.report.corruptions == 0;
    let bits = if sound { Incompatible::DIRTY | Incompatible::CORRUPT } else { 0 };
    clear_bits(disk, tally, bits)?;
    let CheckReport { corruptions_fixed, leaks_fixed, .. } = tally.report;
    if corruptions_fixed != 0 || leaks_fixed != 0 {
        tally.report = CheckReport::new(tally.report.total_clusters);
        walk(disk, buffers, tally, Stage::refcounts(true, Repair::Nothing))?;
        walk(disk, buffers, tally, Stage::flags(Flags::Told))?;
        tally.report = CheckReport { corruptions_fixed, leaks_fixed, ..tally.report };
    }
    Ok(())
}

/// Everything but the feature bits.
///
/// # Errors
/// As [`run`].
pub(super) fn once<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    what: Repair,
) -> Result<(), OpError> {
    if what == Repair::All {
        clear_entries(disk, buffers, tally)?;
    }
    walk(disk, buffers, tally, Stage::refcounts(true, Repair::Nothing))?;
    if tally.shown.unwalked {
        // Nothing is repaired then, and all that a check finds is told.
        return walk(disk, buffers, tally, Stage::flags(Flags::Told));
    }
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
    tally: &mut Tally<'_>,
    bits: u64,
) -> Result<(), IoError> {
    if tally.header.version < 3 {
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
        tally.header.incompatible = be64(&new, 0);
        tally.header.autoclear = be64(&new, AUTOCLEAR);
    }
    Ok(())
}
