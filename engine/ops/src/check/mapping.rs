//! Counting what L1 and L2 tables refer to.

use super::Buffers;
use super::refcounts::{self, Claims};
use super::tally::{Place, Tally};
use crate::disk::IoError;
use crate::{Disk, Fault, Table};
use instar_formats::bytes::used_words;
use instar_formats::qcow2::entry::{COMPRESSED, COPIED, L1_RESERVED, L2_RESERVED, OFFSET_MASK, ZERO};
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{Cluster, L2Format};

/// An L1 table and whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct L1 {
    /// Byte offset in the file.
    pub offset: u64,
    /// Number of entries.
    pub entries: u64,
    /// Whether it maps the disk as it is now: only then COPIED flags mean something and its
    /// clusters enter the statistics.
    pub active: bool,
    /// What names it.
    pub named_by: Place,
}

/// Bytes of an L1 entry.
const L1_ENTRY: u64 = 8;

/// Counts an L1 table, its L2 tables and what they name.
///
/// No image that makes sense names more L2 tables than the file has clusters; beyond as many, the rest
/// of the table goes unread, so that a few bytes cannot keep a check busy for ever.
pub(super) fn count<D: Disk>(
    disk: &mut D,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    l1: L1,
) -> Result<(), IoError> {
    let bytes = l1.entries.saturating_mul(L1_ENTRY);
    tally.refer(l1.offset, bytes, l1.named_by);
    let mut done = 0;
    let mut walks = tally.file_clusters();
    while done < bytes && l1.offset.saturating_add(done) < tally.file_len {
        let at = l1.offset.saturating_add(done);
        let piece = buffers.l1.piece(disk, at, bytes.saturating_sub(done))?;
        for (i, value) in used_words(piece.as_chunks::<8>().0, 0) {
            let offset = at.saturating_add((i as u64).saturating_mul(L1_ENTRY));
            let place = Place { table: Table::L1, offset, value };
            let Some(table) = l1_entry(tally, place, l1.active) else {
                if l1.active {
                    refcounts::copied_past_end(disk, &mut buffers.claims, tally, place)?;
                    tally.settle(disk)?;
                }
                continue;
            };
            tally.settle(disk)?;
            let Some(left) = walks.checked_sub(1) else {
                tally.unwalked();
                return Ok(());
            };
            walks = left;
            l2_table(disk, (&mut buffers.l2, &mut buffers.claims), tally, table, l1.active)?;
        }
        done = done.saturating_add(piece.len() as u64 & !7).max(done.saturating_add(1));
    }
    Ok(())
}

/// Counts the L2 table that an L1 entry names, and returns where it is, if there is anything to read.
fn l1_entry(tally: &mut Tally<'_>, place: Place, active: bool) -> Option<u64> {
    let offset = place.value & OFFSET_MASK;
    if place.value & L1_RESERVED != 0 {
        tally.invalid(place, Fault::Reserved, [0; 2]);
    }
    tally.refer(offset, tally.geometry().cluster_size(), place);
    if active {
        tally.copied(offset, place);
        if offset.wrapping_sub(tally.header.l1_offset) < tally.header.l1_bytes() {
            tally.shown.inside_l1 = Some(place.offset);
        }
    }
    if tally.geometry().in_cluster(offset) != 0 {
        tally.invalid(place, Fault::Unaligned, [offset, 0]);
    }
    (offset < tally.file_len).then_some(offset)
}

fn l2_table<D: Disk>(
    disk: &mut D,
    (reader, claims): (&mut Buffered<'_>, &mut Claims<'_>),
    tally: &mut Tally<'_>,
    table: u64,
    active: bool,
) -> Result<(), IoError> {
    let size = tally.geometry().cluster_size();
    let step = tally.geometry().l2_entry_size();
    let alone = tally.window.get(tally.geometry().cluster(table)).is_some_and(|slot| slot.references == 1);
    let mut l2 = L2 { active, clears: tally.stage.clears && alone, expected: 0 };
    let mut done = 0;
    while done < size {
        let at = table.saturating_add(done);
        let piece = reader.piece(disk, at, size.saturating_sub(done))?;
        let words = piece.as_chunks::<8>().0;
        for (i, value, bitmap) in used_entries(words, step == 16) {
            let offset = at.saturating_add((i as u64).saturating_mul(8));
            let place = Place { table: Table::L2, offset, value };
            l2.entry(tally, place, bitmap);
            if active && names_past_end(tally, value) {
                refcounts::copied_past_end(disk, claims, tally, place)?;
            }
            tally.settle(disk)?;
        }
        done = done.saturating_add((piece.len() as u64).max(step));
    }
    // Another entry may name the same table.
    if tally.patches.is_pending() {
        tally.patches.write(disk)?;
        reader.forget();
    }
    Ok(())
}

/// The entries of an L2 table that are not zeros: the index of the first word, that word, and the bitmap of an extended one.
fn used_entries(words: &[[u8; 8]], extended: bool) -> impl Iterator<Item = (usize, u64, u64)> {
    let word = |i: usize| words.get(i).map_or(0, |word| u64::from_be_bytes(*word));
    let mut next = 0;
    core::iter::from_fn(move || {
        let (used, _) = used_words(words, next).next()?;
        // The first of the two words of an extended entry.
        let first = if extended { used & !1 } else { used };
        let second = first.saturating_add(1);
        next = second.saturating_add(usize::from(extended));
        Some((first, word(first), if extended { word(second) } else { 0 }))
    })
}

/// Whether a standard entry names a cluster past the end of the file.
const fn names_past_end(tally: &Tally<'_>, value: u64) -> bool {
    value & COMPRESSED == 0 && value & OFFSET_MASK >= tally.file_len && !tally.data_file()
}

/// An L2 table on the way through it.
struct L2 {
    active: bool,
    /// Whether entries may be replaced: this is a table and nothing else.
    clears: bool,
    /// Where the next cluster would be if the guest's clusters followed each other; 0 at the start.
    expected: u64,
}

impl L2 {
    fn entry(&mut self, tally: &mut Tally<'_>, place: Place, bitmap: u64) {
        if place.value & COMPRESSED != 0 {
            self.compressed(tally, place, bitmap);
        } else {
            self.standard(tally, place, bitmap);
        }
    }

    fn compressed(&self, tally: &mut Tally<'_>, place: Place, bitmap: u64) {
        let format = L2Format { geometry: tally.geometry(), version: tally.header.version };
        let Cluster::Compressed { offset, len } = format.decode(place.value & !COPIED, 0) else {
            return tally.invalid(place, Fault::Other, [0; 2]);
        };
        if place.value & COPIED != 0 {
            tally.invalid(place, Fault::CopiedCompressed, [offset, 0]);
        }
        if tally.data_file() || bitmap != 0 {
            return tally.invalid(place, Fault::Other, [0; 2]);
        }
        if self.active && tally.judging() {
            let report = &mut tally.report;
            report.compressed_clusters = report.compressed_clusters.saturating_add(1);
            report.allocated_clusters = report.allocated_clusters.saturating_add(1);
            report.fragmented_clusters = report.fragmented_clusters.saturating_add(1);
        }
        tally.refer(offset, len, place);
    }

    fn standard(&mut self, tally: &mut Tally<'_>, place: Place, bitmap: u64) {
        let offset = place.value & OFFSET_MASK;
        let (zeros, present) = (bitmap >> 32, bitmap & 0xffff_ffff);
        if place.value & L2_RESERVED != 0 {
            tally.invalid(place, Fault::Reserved, [0; 2]);
        }
        // In a data file, guest cluster 0 lies at offset 0; a zero cluster there has no place of its own all the same.
        let zero = !tally.geometry().extended_l2() && place.value & ZERO != 0;
        if offset == 0 && !(tally.data_file() && place.value & COPIED != 0 && !zero) {
            if present != 0 {
                tally.invalid(place, Fault::NoCluster, [0; 2]);
            }
            return;
        }
        if zeros & present != 0 {
            tally.invalid(place, Fault::Subclusters, [offset, 0]);
        }
        if tally.geometry().in_cluster(offset) != 0 {
            self.unaligned(tally, place, present);
        }
        self.placed(tally, offset);
        if tally.data_file() {
            self.in_data_file(tally, place);
        } else {
            tally.refer(offset, tally.geometry().cluster_size(), place);
            if self.active {
                tally.copied(offset, place);
            }
        }
    }

    /// A cluster that reads as zeros can do without a place that it cannot have.
    fn unaligned(&self, tally: &mut Tally<'_>, place: Place, present: u64) {
        let about = [place.value & OFFSET_MASK, 0];
        let extended = tally.geometry().extended_l2();
        let zero = if extended { present == 0 } else { place.value & ZERO != 0 };
        if !zero {
            return tally.invalid(place, Fault::DataUnaligned, about);
        }
        tally.invalid(place, Fault::ZeroUnaligned, about);
        tally.shown.clearable = tally.shown.clearable.saturating_add(1);
        if self.clears {
            tally.clear(place, if extended { 0 } else { ZERO }, about);
        }
    }

    /// Clusters of a data file are counted nowhere; each belongs to one entry.
    fn in_data_file(&self, tally: &mut Tally<'_>, place: Place) {
        if self.active && tally.first_pass {
            tally.compare_copied(place, 1);
        }
    }

    /// Statistics of a guest cluster with a place of its own.
    fn placed(&mut self, tally: &mut Tally<'_>, offset: u64) {
        if self.active && tally.judging() {
            let report = &mut tally.report;
            report.allocated_clusters = report.allocated_clusters.saturating_add(1);
            let apart = self.expected != 0 && self.expected != offset;
            report.fragmented_clusters = report.fragmented_clusters.saturating_add(u64::from(apart));
        }
        self.expected = offset.saturating_add(tally.geometry().cluster_size());
    }
}
