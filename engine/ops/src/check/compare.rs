//! Comparing the refcounts with what was counted, and setting them right where they stand.

use super::refcounts;
use super::tally::Tally;
use super::window::{Slot, UNREADABLE};
use super::{Buffers, Longer};
use crate::{CheckFinding, Disk, Repair};
use core::ops::Range;
use instar_formats::bytes::index;
use instar_formats::io::IoError;
use instar_formats::qcow2::entry::REFCOUNT_TABLE_RESERVED;
use instar_formats::qcow2::{Geometry, refcount};

/// Compares the refcounts of the window's clusters with the references. Those that the stage is to
/// fix are told as fixed, and [`write`] fixes them.
pub(super) fn compare(tally: &mut Tally<'_>) {
    let file_clusters = tally.file_clusters();
    let mut next = tally.window.range().start;
    while let Some((cluster, slot)) = tally.window.next_used(next).filter(|(c, _)| *c <= file_clusters) {
        next = cluster.saturating_add(1);
        need(tally, cluster, slot);
        // A table that ends in the cluster after the last one of the file puts it into the image.
        if cluster >= file_clusters && slot.references == 0 {
            continue;
        }
        if slot.refcount == UNREADABLE {
            tally.find(CheckFinding::Unreadable { cluster });
        } else {
            tally.report.image_end_offset = tally.geometry().offset(cluster.saturating_add(1));
            judge(tally, cluster, slot);
        }
    }
}

/// Notes that `cluster` needs a refcount block, if it is referred to.
fn need(tally: &mut Tally<'_>, cluster: u64, slot: Slot) {
    if slot.references == 0 {
        return;
    }
    let bits = tally.geometry().refcounts_per_block_bits();
    let last = tally.shown.end.checked_sub(1);
    let another = last.is_none_or(|last| last.wrapping_shr(bits) != cluster.wrapping_shr(bits));
    tally.shown.blocks = tally.shown.blocks.saturating_add(u64::from(another));
    tally.shown.end = cluster.saturating_add(1);
}

fn judge(tally: &mut Tally<'_>, cluster: u64, slot: Slot) {
    let (refcount, references) = (u64::from(slot.refcount), u64::from(slot.references));
    let fixed = is_fixed(tally.stage.fixes, slot);
    match refcount.cmp(&references) {
        core::cmp::Ordering::Equal => {}
        core::cmp::Ordering::Greater => {
            tally.find(CheckFinding::Leak { cluster, refcount, references, fixed });
        }
        core::cmp::Ordering::Less => {
            tally.shown.unusable |= refcount == 0;
            tally.shown.too_low = tally.shown.too_low.saturating_add(u64::from(!fixed));
            tally.find(CheckFinding::Refcount { cluster, refcount, references, fixed });
        }
    }
}

/// Whether a cluster's refcount is wrong and to be set right.
fn is_fixed(fixes: Repair, slot: Slot) -> bool {
    slot.refcount != UNREADABLE
        && match fixes {
            Repair::Nothing => false,
            Repair::Leaks => slot.refcount > slot.references,
            Repair::All => slot.refcount != slot.references,
        }
}

/// The clusters of the window that one refcount block counts.
pub(super) struct Part {
    /// The block's entry in the refcount table.
    pub index: u64,
    /// The first cluster that the block counts, before the window perhaps.
    pub first: u64,
    /// Those of them in the window.
    pub clusters: Range<u64>,
}

/// The window, as far as the file and one cluster more reach, by the blocks that count it.
pub(super) fn window_by_block(tally: &Tally<'_>) -> impl Iterator<Item = Part> + use<> {
    let g = tally.geometry();
    let window = tally.window.range();
    let end = window.end.min(tally.file_clusters().saturating_add(1));
    let mut cluster = window.start;
    core::iter::from_fn(move || {
        let index = cluster.wrapping_shr(g.refcounts_per_block_bits());
        let first = index.saturating_mul(g.refcounts_per_block());
        let clusters = cluster..first.saturating_add(g.refcounts_per_block()).min(end);
        cluster = clusters.end;
        (!clusters.is_empty()).then_some(Part { index, first, clusters })
    })
}

/// Writes the references of the window's clusters as their refcounts, as far as the stage fixes them.
///
/// Each refcount is right on its own, whichever of its neighbours a crash keeps from the disk.
///
/// # Errors
/// The device's.
pub(super) fn write<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), IoError> {
    let g = tally.geometry();
    if tally.stage.fixes == Repair::Nothing {
        return Ok(());
    }
    for Part { index, first, clusters } in window_by_block(tally) {
        if index >= tally.header.refcount_table_entries() {
            break;
        }
        let (fixes, file_clusters) = (tally.stage.fixes, tally.file_clusters());
        let wrong = |c: u64| {
            let slot = tally.window.get(c).filter(|slot| c < file_clusters || slot.references != 0);
            slot.filter(|slot| is_fixed(fixes, *slot))
        };
        if clusters.clone().any(|c| wrong(c).is_some()) {
            let block =
                refcounts::entry(disk, &mut buffers.claims, tally, index)?.value & !REFCOUNT_TABLE_RESERVED;
            let right = |c, old| wrong(c).map_or(old, |slot| u64::from(slot.references));
            store(disk, g, (block, first), clusters, buffers.edit, right)?;
        }
    }
    Ok(())
}

/// Sets the refcounts of `clusters`, all counted by the block at byte `block` whose first one is
/// `first`, to what `value` makes of them. What does not change is not written.
///
/// # Errors
/// The device's.
pub(super) fn store<D: Disk>(
    disk: &mut D,
    g: Geometry,
    (block, first): (u64, u64),
    clusters: Range<u64>,
    buf: &mut [u8],
    value: impl Fn(u64, u64) -> u64,
) -> Result<(), IoError> {
    let order = g.refcount_order();
    let per_piece = ((buf.len() as u64) << 3 >> order).saturating_sub(8);
    let mut from = clusters.start;
    while from < clusters.end {
        let to = from.saturating_add(per_piece.max(1)).min(clusters.end);
        // Entries narrower than a byte are changed in the byte they are in.
        let start = (from.saturating_sub(first) << order) >> 3;
        let skip = from.saturating_sub(first).saturating_sub((start << 3) >> order);
        let bits = skip.saturating_add(to.saturating_sub(from)) << order;
        let piece = buf.get_mut(..index(bits.div_ceil(8))).unwrap_or_default();
        let at = block.saturating_add(start);
        disk.read_at(at, piece)?;
        let mut changed = false;
        for cluster in from..to {
            let i = skip.saturating_add(cluster.saturating_sub(from));
            let old = refcount::get(piece, order, i);
            let new = value(cluster, old);
            if new != old {
                refcount::set(piece, order, i, new);
                changed = true;
            }
        }
        if changed {
            disk.write_at(at, piece)?;
        }
        from = to;
    }
    Ok(())
}
