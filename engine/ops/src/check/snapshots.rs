//! The snapshot table itself: what keeps others from reading it, and what its entries lack.
//!
//! Too many snapshots are cut off by one write of the header's count, when nothing can be refused any more and before
//! refcounts go down: from then on what only they have is leaked. Entries with too much extra data, or with less than
//! version 3 demands, take a new table, which [`rewrite`] makes once the refcounts are right.

use super::tally::Tally;
use super::{Buffers, Longer};
use crate::resize::OnDisk;
use crate::{CheckFinding, Damage, Disk, ImageError, OpError, Repair};
use instar_formats::qcow2::extension::ExtensionError;
use instar_formats::qcow2::snapshot::{SnapshotEntry, Snapshots};
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{Header, header};
use instar_planner::PlanError;
use instar_planner::qcow2::snapshots;

/// What is wrong with the table and is to be repaired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Snapshots that are cut off.
    pub cut: u64,
    /// Entries that will be others in a new table.
    pub entries: u64,
}

/// Looks the table over. Under [`Repair::All`] what is wrong is told as repaired, and the tally's header has no more
/// snapshots than can stay.
///
/// # Errors
/// The device's; if nothing is repaired, [`ImageError`]: nobody can read the table.
pub(super) fn examine<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    what: Repair,
) -> Result<Wrong, OpError> {
    let repairs = what == Repair::All;
    let mut wrong = Wrong { cut: u64::from(tally.header.overhanging), entries: 0 };
    if wrong.cut != 0 {
        tally.tell(CheckFinding::Damage {
            what: Damage::SnapshotsOverhanging { count: wrong.cut },
            fixed: true,
        });
    }
    let mut table = table(&tally.header, repairs);
    loop {
        match table.next(disk, &mut buffers.list) {
            Ok(None) => break,
            Ok(Some(entry)) => wrong.entries = wrong.entries.saturating_add(discard(tally, &entry)),
            Err(ExtensionError::Image(ImageError::SnapshotTableTooBig { overhanging })) if repairs => {
                let what = Damage::SnapshotsTooBig { count: overhanging };
                tally.tell(CheckFinding::Damage { what, fixed: true });
                let kept = u64::from(tally.header.snapshots).saturating_sub(overhanging);
                tally.header.snapshots = u32::try_from(kept).unwrap_or(0);
                wrong.cut = wrong.cut.saturating_add(overhanging);
                break;
            }
            Err(e) => return Err(e.into()),
        }
    }
    wrong.entries = wrong.entries.saturating_add(incomplete(disk, buffers, tally, repairs)?);
    Ok(wrong)
}

const fn table(header: &Header, repairs: bool) -> Snapshots {
    if repairs { Snapshots::repairable(header) } else { Snapshots::new(header) }
}

/// Tells what an entry has too much; returns how many entries that are.
fn discard(tally: &mut Tally<'_>, entry: &SnapshotEntry) -> u64 {
    if entry.has_excess() {
        let what = Damage::SnapshotExtra { entry: entry.index, len: entry.extra_len };
        tally.tell(CheckFinding::Damage { what, fixed: true });
    }
    u64::from(entry.has_excess())
}

/// Tells the entries that lack something, and counts them.
fn incomplete<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    repairs: bool,
) -> Result<u64, OpError> {
    let (mut table, mut count) = (table(&tally.header, repairs), 0_u64);
    while let Some(entry) = table.next(disk, &mut buffers.list)? {
        if entry.incomplete {
            let what = Damage::SnapshotIncomplete { entry: entry.index };
            if repairs {
                tally.tell(CheckFinding::Damage { what, fixed: true });
            } else {
                tally.find(CheckFinding::Damage { what, fixed: false });
            }
            count = count.saturating_add(1);
        }
    }
    Ok(count)
}

/// That everybody can read the table.
///
/// # Errors
/// The device's, or [`ImageError`].
pub(super) fn refuse_unreadable<D: Disk>(
    disk: &mut Longer<'_, D>,
    header: &Header,
    piece: &mut [u8],
) -> Result<(), OpError> {
    let (mut table, mut reader) = (Snapshots::new(header), Buffered::new(piece));
    while table.next(disk, &mut reader)?.is_some() {}
    Ok(())
}

/// Has the header count the snapshots that stay, and nothing else, for good.
///
/// # Errors
/// The device's.
pub(super) fn cut<D: Disk>(
    disk: &mut Longer<'_, D>,
    tally: &mut Tally<'_>,
    wrong: Wrong,
) -> Result<(), OpError> {
    if wrong.cut != 0 {
        disk.write_at(header::at::SNAPSHOTS as u64, &tally.header.snapshots.to_be_bytes())?;
        disk.flush()?;
        tally.header.overhanging = 0;
    }
    Ok(())
}

/// Writes the table anew; says whether it did. If something else is `broken`, the new table stays within the file: what
/// cannot be right may name clusters behind it.
///
/// # Errors
/// The device's.
pub(super) fn rewrite<D: Disk>(
    disk: &mut Longer<'_, D>,
    header: &mut Header,
    broken: bool,
    scratch: &mut [u8],
) -> Result<bool, OpError> {
    use instar_formats::io::ReadAt as _;
    let limit = if broken { header.geometry.clusters(disk.len()) } else { u64::MAX };
    match snapshots::rewrite(&mut OnDisk(&mut *disk), header, limit, scratch) {
        Ok(Some(len)) => {
            disk.reach(len);
            Ok(true)
        }
        Ok(None) | Err(PlanError::Image(_) | PlanError::Resize(_)) => Ok(false),
        Err(e) => Err(e.into()),
    }
}
