//! Reading the image's refcounts, and counting the structures that hold them.

use super::Buffers;
use super::tally::{Flags, Place, Tally};
use super::window::UNREADABLE;
use crate::disk::IoError;
use crate::{Fault, ReadAt, Table};
use instar_formats::bytes::{round_up, used_words};
use instar_formats::qcow2::entry::{OFFSET_MASK, REFCOUNT_TABLE_RESERVED};
use instar_formats::qcow2::header::SECTOR;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{header, refcount};

/// Bytes of a refcount block that are read when one refcount is wanted: its neighbours may be next.
const FEW: u64 = 4096;
/// Bytes of an entry of the refcount table.
const ENTRY: usize = 8;

/// Pieces of the refcount table and of a refcount block.
pub(super) struct Claims<'b> {
    /// Of the table.
    pub table: Buffered<'b>,
    /// Of a block.
    pub block: Buffered<'b>,
}

/// Reads the refcounts of the window's clusters.
pub(super) fn load<R: ReadAt>(
    disk: &mut R,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), IoError> {
    let per_block = tally.geometry().refcounts_per_block();
    let window = tally.window.range();
    let last = tally.file_clusters();
    let mut index = window.start.wrapping_shr(tally.geometry().refcounts_per_block_bits());
    while index < tally.header.refcount_table_entries() && index.saturating_mul(per_block) <= last {
        let first = index.saturating_mul(per_block);
        let block = entry(disk, &mut buffers.claims, tally, index)?.value & !REFCOUNT_TABLE_RESERVED;
        if block != 0 && first >= window.end {
            tally.window.mention(first);
            break;
        }
        if block != 0 {
            load_block(disk, buffers, tally, block, first)?;
        }
        index = index.saturating_add(1);
    }
    Ok(())
}

fn load_block<R: ReadAt>(
    disk: &mut R,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    block: u64,
    first: u64,
) -> Result<(), IoError> {
    let (geometry, order) = (tally.geometry(), tally.geometry().refcount_order());
    let window = tally.window.range();
    let end =
        first.saturating_add(geometry.refcounts_per_block()).min(tally.file_clusters().saturating_add(1));
    let (from, to) = (first.max(window.start), end.min(window.end));
    if to < end {
        tally.window.mention(to);
    }
    if geometry.in_cluster(block) != 0 {
        (from..to).for_each(|cluster| tally.window.claim(cluster, UNREADABLE));
        return Ok(());
    }
    let mut cluster = from;
    while cluster < to {
        // Entries narrower than a byte are read from the byte they are in.
        let index = cluster.saturating_sub(first);
        let start = (index << order) / 8;
        // What counts clusters past the end of the file is of no interest. What is at hand ends between two words all the
        // same: others look there for single ones.
        let wanted = round_up((to.saturating_sub(first) << order).div_ceil(8), SECTOR);
        let ahead = wanted.min(geometry.cluster_size()).saturating_sub(start);
        let piece = buffers.claims.block.piece(disk, block.saturating_add(start), ahead)?;
        let skip = index.saturating_sub((start << 3) >> order);
        let there = ((piece.len() as u64) << 3 >> order).saturating_sub(skip).min(to.saturating_sub(cluster));
        for i in 0..there {
            let value = refcount::get(piece, order, skip.saturating_add(i));
            let value = u32::try_from(value).unwrap_or(UNREADABLE).min(UNREADABLE.saturating_sub(1));
            if value != 0 {
                tally.window.claim(cluster.saturating_add(i), value);
            }
        }
        cluster = cluster.saturating_add(there.max(1));
    }
    Ok(())
}

/// Counts the refcount table and its blocks. They come last: whatever else refers to a block by
/// then is one reference too many.
pub(super) fn count<R: ReadAt>(
    disk: &mut R,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), IoError> {
    let (offset, len) = (tally.header.refcount_table_offset, tally.header.refcount_table_bytes());
    let named_by = Place {
        table: Table::RefcountTable,
        offset: header::at::REFCOUNT_TABLE_OFFSET as u64,
        value: offset,
    };
    tally.refer(offset, len, named_by);
    if offset >= tally.file_len {
        return Ok(());
    }
    let mut index = 0;
    while index < tally.header.refcount_table_entries() {
        index = index.saturating_add(count_piece(disk, &mut buffers.claims, tally, index)?.max(1));
    }
    Ok(())
}

/// Counts the blocks that the table names from entry `index` on, as far as it is at hand; says how many entries that
/// were. Most of a table is zeros, and is only looked over.
fn count_piece<R: ReadAt>(
    disk: &mut R,
    claims: &mut Claims<'_>,
    tally: &mut Tally<'_>,
    index: u64,
) -> Result<u64, IoError> {
    let at = index.saturating_mul(ENTRY as u64);
    let offset = tally.header.refcount_table_offset.saturating_add(at);
    let ahead = tally.header.refcount_table_bytes().saturating_sub(at);
    let (entries, _) = claims.table.piece(disk, offset, ahead)?.as_chunks::<ENTRY>();
    for (i, value) in used_words(entries, 0) {
        let offset = offset.saturating_add((ENTRY as u64).saturating_mul(i as u64));
        let place = Place { table: Table::RefcountTable, offset, value };
        count_block(tally, place, index.saturating_add(i as u64));
    }
    if entries.is_empty() {
        // It is cut by the end of what is at hand.
        let place = entry(disk, claims, tally, index)?;
        if place.value != 0 {
            count_block(tally, place, index);
        }
        return Ok(1);
    }
    Ok(entries.len() as u64)
}

fn count_block(tally: &mut Tally<'_>, place: Place, index: u64) {
    let geometry = tally.geometry();
    let end = geometry.align_up(tally.file_len);
    if place.value & REFCOUNT_TABLE_RESERVED != 0 {
        tally.shown.unusable = true;
        return tally.invalid(place, Fault::Reserved, [index, 0]);
    }
    if geometry.in_cluster(place.value) != 0 {
        tally.shown.unusable = true;
        return tally.invalid(place, Fault::Unaligned, [index, 0]);
    }
    if place.value >= end {
        tally.shown.block_past_end = true;
        return tally.invalid(place, Fault::BlockPastEnd, [index, 0]);
    }
    tally.refer(place.value, geometry.cluster_size(), place);
    let slot = tally.window.get(geometry.cluster(place.value));
    if let Some(slot) = slot.filter(|s| tally.stage.counts && s.references != 1) {
        tally.shown.unusable = true;
        if tally.stage.judges {
            tally.find(place.finding(Fault::BlockShared, [index, u64::from(slot.references)]));
        }
    }
}

pub(super) fn entry<R: ReadAt>(
    disk: &mut R,
    claims: &mut Claims<'_>,
    tally: &Tally<'_>,
    index: u64,
) -> Result<Place, IoError> {
    let at = index.saturating_mul(ENTRY as u64);
    let offset = tally.header.refcount_table_offset.saturating_add(at);
    let mut value = [0; ENTRY];
    let ahead = tally.header.refcount_table_bytes().saturating_sub(at);
    claims.table.exact(disk, offset, ahead, &mut value)?;
    Ok(Place { table: Table::RefcountTable, offset, value: u64::from_be_bytes(value) })
}

/// That the COPIED flag of an entry that names a cluster past the end of the file, where no window
/// is, says whether the refcount is one.
pub(super) fn copied_past_end<R: ReadAt>(
    disk: &mut R,
    claims: &mut Claims<'_>,
    tally: &mut Tally<'_>,
    place: Place,
) -> Result<(), IoError> {
    let repairs = tally.stage.flags == Flags::Repaired;
    if !tally.first_pass || !(tally.looks_past_end() || repairs) {
        return Ok(());
    }
    let cluster = tally.geometry().cluster(place.value & OFFSET_MASK);
    if let Some(refcount) = claimed(disk, claims, tally, cluster)? {
        tally.compare_copied(place, refcount);
    }
    Ok(())
}

/// What the image claims of one cluster, `None` if that cannot be read.
fn claimed<R: ReadAt>(
    disk: &mut R,
    claims: &mut Claims<'_>,
    tally: &Tally<'_>,
    cluster: u64,
) -> Result<Option<u64>, IoError> {
    let (geometry, order) = (tally.geometry(), tally.geometry().refcount_order());
    let table_index = cluster.wrapping_shr(geometry.refcounts_per_block_bits());
    if table_index >= tally.header.refcount_table_entries() {
        return Ok(Some(0));
    }
    let block = entry(disk, claims, tally, table_index)?.value & !REFCOUNT_TABLE_RESERVED;
    if block == 0 || geometry.in_cluster(block) != 0 {
        return Ok((block == 0).then_some(0));
    }
    let index = cluster & geometry.refcounts_per_block().saturating_sub(1);
    let start = ((index << order) >> 6) << 3;
    let ahead = geometry.cluster_size().saturating_sub(start).min(FEW);
    let piece = claims.block.piece(disk, block.saturating_add(start), ahead)?;
    Ok(Some(refcount::get(piece, order, index.saturating_sub((start << 3) >> order))))
}
