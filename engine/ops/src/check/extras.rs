//! Counting what only some images have: snapshots, an encryption header, bitmaps.

use super::Buffers;
use super::mapping::{self, L1};
use super::tally::{Place, Tally};
use crate::{CheckFinding, Damage, Disk, ImageError, OpError, ReadAt, Table};
use instar_formats::bytes::be64;
use instar_formats::qcow2::Extensions;
use instar_formats::qcow2::bitmap::{BitmapEntry, Bitmaps, table_entry};
use instar_formats::qcow2::extension::CRYPTO;
use instar_formats::qcow2::geometry::MAX_L1_ENTRIES;
use instar_formats::qcow2::snapshot::{SnapshotEntry, Snapshots};

/// Byte offset of the header's field that names the snapshot table.
const SNAPSHOTS_FIELD: u64 = 64;

/// Counts the snapshot table and what its snapshots name.
pub(super) fn snapshots<D: Disk>(
    disk: &mut D,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), OpError> {
    let mut table = Snapshots::repairable(&tally.header);
    while let Some(entry) = table.next(disk, &mut buffers.list)? {
        snapshot(disk, buffers, tally, &entry)?;
    }
    let start = tally.header.snapshots_offset;
    tally.refer(start, table.len(), Place { table: Table::L1, offset: SNAPSHOTS_FIELD, value: start });
    Ok(())
}

fn snapshot<D: Disk>(
    disk: &mut D,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    entry: &SnapshotEntry,
) -> Result<(), OpError> {
    let named_by = Place { table: Table::L1, offset: entry.offset, value: entry.l1_offset };
    if let Some(what) = misplaced(tally, entry) {
        if tally.judging() {
            tally.find(CheckFinding::Damage { what, fixed: false });
        }
        return Ok(());
    }
    let l1 = L1 { offset: entry.l1_offset, entries: entry.l1_entries, active: false, named_by };
    Ok(mapping::count(disk, buffers, tally, l1)?)
}

/// What keeps the L1 table of a snapshot from being walked.
fn misplaced(tally: &Tally<'_>, entry: &SnapshotEntry) -> Option<Damage> {
    let SnapshotEntry { index, l1_offset, l1_entries, .. } = *entry;
    if tally.geometry().in_cluster(l1_offset) != 0 {
        return Some(Damage::SnapshotL1Offset { entry: index, offset: l1_offset });
    }
    let too_many = l1_entries > MAX_L1_ENTRIES;
    too_many.then_some(Damage::SnapshotL1Size { entry: index, entries: l1_entries })
}

/// Counts the encryption header.
pub(super) fn crypto<R: ReadAt>(disk: &mut R, tally: &mut Tally<'_>) -> Result<(), OpError> {
    let mut extensions = Extensions::new(&tally.header);
    while let Some(extension) = extensions.next(disk)? {
        if extension.kind == CRYPTO {
            let mut data = [0; 16];
            extension.read(disk, &mut data)?;
            let (offset, len) = (be64(&data, 0), be64(&data, 8));
            tally.refer(offset, len, Place { table: Table::L1, offset: extension.offset, value: offset });
        }
    }
    Ok(())
}

/// Counts the bitmap directory, the bitmaps' tables and their clusters.
pub(super) fn bitmaps<R: ReadAt>(
    disk: &mut R,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), OpError> {
    let header = tally.header;
    let mut directory = Bitmaps::find(&header, disk)?;
    let named_by = Place { table: Table::L2, offset: directory.start, value: directory.start };
    tally.refer(directory.start, directory.len, named_by);
    while let Some(entry) = directory.next(&header, disk, &mut buffers.list)? {
        bitmap(disk, buffers, tally, &entry)?;
    }
    Ok(())
}

fn bitmap<R: ReadAt>(
    disk: &mut R,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    entry: &BitmapEntry,
) -> Result<(), OpError> {
    let bytes = entry.table_entries.saturating_mul(8);
    let named_by = Place { table: Table::L2, offset: entry.offset, value: entry.table_offset };
    tally.refer(entry.table_offset, bytes, named_by);
    let mut done = 0;
    while done < bytes && entry.table_offset.saturating_add(done) < tally.file_len {
        let at = entry.table_offset.saturating_add(done);
        let piece = buffers.l1.piece(disk, at, bytes.saturating_sub(done))?;
        for (i, value) in piece.as_chunks::<8>().0.iter().enumerate() {
            let offset = at.saturating_add((i as u64).saturating_mul(8));
            let place = Place { table: Table::L2, offset, value: u64::from_be_bytes(*value) };
            bitmap_cluster(tally, place, entry)?;
        }
        done = done.saturating_add(piece.len() as u64 & !7).max(done.saturating_add(1));
    }
    Ok(())
}

/// An entry that cannot be right keeps QEMU from opening the image, and is no mere finding here either.
fn bitmap_cluster(tally: &mut Tally<'_>, place: Place, entry: &BitmapEntry) -> Result<(), ImageError> {
    match table_entry(place.value, &tally.header) {
        Ok(0) => {}
        Ok(offset) => tally.refer(offset, tally.geometry().cluster_size(), place),
        Err(_) => return Err(ImageError::BitmapDirectory { offset: entry.offset }),
    }
    Ok(())
}
