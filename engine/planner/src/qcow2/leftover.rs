//! What is allocated beyond a given end of the disk: what a shrink drops, and what a shrink that a
//! crash cut short left behind.

use super::cow::{Boundary, Cow, Source};
use super::scratch::Scratch;
use super::table::{Table, TableWindow};
use super::verify::Check;
use crate::{Compressed, PlanError, Surroundings};
use core::ops::Range;
use instar_formats::ImageError;
use instar_formats::bytes::{index, is_zero};
use instar_formats::io::ReadAt;
use instar_formats::qcow2::bitmap::Bitmaps;
use instar_formats::qcow2::entry::{COMPRESSED, L2_RESERVED, OFFSET_MASK};
use instar_formats::qcow2::{Cluster, Geometry, Header, Incompatible, L2Format, TableEntry};

/// Bytes of the largest L2 entry.
const ENTRY: usize = 16;
/// Compression type of Zstandard ("Incompatible features", bit 3, and byte 104 of the header).
const ZSTD: u8 = 1;

/// What is going to be written to whatever it holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unshare {
    /// The straddling L2 table.
    pub table: bool,
    /// The last cluster of the disk.
    pub boundary: bool,
}

/// The L2 table that the end of the disk lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Straddling {
    /// The L1 entry that names it.
    pub slot: u64,
    /// Its byte offset in the file.
    pub table: u64,
    /// Its first entry beyond the end.
    pub first: u64,
}

/// What is allocated beyond the end of the disk.
#[derive(Debug, Clone, Copy)]
pub struct Leftover {
    /// The first L1 entry wholly beyond the end.
    pub first_l1: u64,
    /// Whether any L1 entry from there on is in use.
    pub l1_in_use: bool,
    /// The straddling L2 table, if any of its entries beyond the end is in use.
    pub straddling: Option<Straddling>,
    /// Offset and length in bytes of what is to be zeroed behind the end in the last cluster.
    pub tail: Option<(u64, u64)>,
    /// What must be copied first: it is a snapshot's, too, or compressed.
    pub cow: Option<Cow>,
}

impl Leftover {
    /// Whether there is any cluster to release.
    pub const fn has_clusters(&self) -> bool {
        self.l1_in_use || self.straddling.is_some() || self.cow.is_some()
    }

    /// How many clusters copies take.
    pub fn need(&self) -> u64 {
        self.cow.map_or(0, |cow| cow.need())
    }
}

/// The active L1 table.
pub const fn l1_of(header: &Header) -> Table {
    Table { offset: header.l1_offset, entries: header.l1_entries }
}

/// How L2 entries are to be read.
pub const fn l2_format(header: &Header) -> L2Format {
    L2Format { geometry: header.geometry, version: header.version }
}

/// Finds what lies beyond byte `end` of the disk and checks all of it: each entry makes sense, and
/// each cluster named has a refcount to lose. With `unshare`, the straddling table is going to be
/// written to whatever it holds.
pub fn find<R: ReadAt>(
    image: &mut R,
    header: &Header,
    (end, unshare): (u64, Unshare),
    around: &mut Surroundings<'_>,
    scratch: &mut Scratch<'_>,
) -> Result<Leftover, PlanError> {
    let g = header.geometry;
    let mut leftover =
        Leftover { first_l1: g.l1_entries(end), l1_in_use: false, straddling: None, tail: None, cow: None };
    let directory = Bitmaps::find(header, image)?;
    let mut check = Check::new(header, scratch.table, scratch.block, scratch.batch).keeping(&directory);
    let mut l1 = TableWindow::new(l1_of(header), scratch.l1);
    let slot = end.wrapping_shr(g.l1_coverage_bits());
    if let (true, Some(table)) = (slot < leftover.first_l1, l2_at(image, header, &mut l1, slot)?) {
        let at =
            Straddling { slot, table, first: g.clusters(end).saturating_sub(slot.wrapping_shl(g.l2_bits())) };
        let bufs = (&mut *scratch.l2, &mut *scratch.copy);
        straddling(image, &mut check, (at, end, unshare), around, bufs, &mut leftover)?;
    }
    let (mut next, mut tables) = (leftover.first_l1, 0);
    while let Some((slot, _)) = l1.next_used(image, next)? {
        leftover.l1_in_use = true;
        next = slot.saturating_add(1);
        tables = u64::saturating_add(tables, 1);
        if tables > g.clusters(image.len()) {
            // More tables than the file has clusters: some are named twice, over and over.
            return Err(ImageError::Overlap { offset: header.l1_offset }.into());
        }
        let Some(table) = l2_at(image, header, &mut l1, slot)? else { continue };
        let entries = load_l2(image, header, table, scratch.l2)?;
        check.entries(image, entries, table)?;
        check.cluster(image, g.cluster(table))?;
    }
    check.flush(image)?;
    Ok(leftover)
}

/// Whether zeros of the file are zeros of the disk. Without the key of an encrypted one nobody can tell what of it reads as
/// zeros, and only a shrink writes any: over what it destroys. A copy elsewhere in the file may be unreadable, as the place
/// goes into the cipher.
pub const fn is_plain(header: &Header) -> bool {
    header.crypt_method == 0
}

/// Looks at the straddling table: at its entries beyond the end, at the last cluster of the disk, and
/// at who else has either of them.
fn straddling<R: ReadAt>(
    image: &mut R,
    check: &mut Check<'_, '_>,
    (at, end, unshare): (Straddling, u64, Unshare),
    around: &mut Surroundings<'_>,
    (l2, copy): (&mut [u8], &mut [u8]),
    leftover: &mut Leftover,
) -> Result<(), PlanError> {
    let (header, g) = (check.header(), check.header().geometry);
    let entries = load_l2(image, header, at.table, l2)?;
    let start = at.first.saturating_mul(g.l2_entry_size());
    let beyond = entries.get(index(start)..).unwrap_or_default();
    let in_use = !is_zero(beyond);
    if in_use {
        leftover.straddling = Some(at);
        check.entries(image, beyond, at.table.saturating_add(start))?;
    }
    let mut boundary = None;
    let index = g.cluster(end).saturating_sub(at.slot.wrapping_shl(g.l2_bits()));
    if g.in_cluster(end) != 0 && !header.has(Incompatible::DATA_FILE) {
        let new = |source| Boundary { index, source, kept: g.in_cluster(end) };
        match l2_format(header).get(entries, index).1 {
            Cluster::Allocated(offset) => {
                if is_plain(header) || end < header.virtual_size() {
                    leftover.tail = stale_tail(image, header, offset, end, copy)?;
                }
                if (leftover.tail.is_some() || unshare.boundary)
                    && check.refcount(image, g.cluster(offset))? > 1
                {
                    leftover.tail = None;
                    boundary = is_plain(header).then(|| new(Source::Cluster(offset)));
                }
            }
            Cluster::Compressed { offset, len } if is_plain(header) => {
                let packed = Compressed { offset, len, zstd: header.compression == ZSTD };
                let stale = new(Source::Compressed(packed));
                boundary = is_stale(image, check, (at, &stale), around, l2)?.then_some(stale);
            }
            _ => {}
        }
    }
    let written = in_use || boundary.is_some() || unshare.table;
    let table = written && check.refcount(image, g.cluster(at.table))? > 1;
    if table || boundary.is_some() {
        leftover.cow = Some(Cow { at, table, boundary });
    }
    Ok(())
}

/// Whether the last cluster of the disk, which is compressed, holds anything but zeros behind the end; then its entry is
/// checked like all that are to be released. What cannot be unpacked shows nothing to anybody, and stays as it is. `l2` is the
/// straddling table, and is overwritten.
fn is_stale<R: ReadAt>(
    image: &mut R,
    check: &mut Check<'_, '_>,
    (at, boundary): (Straddling, &Boundary),
    around: &mut Surroundings<'_>,
    l2: &mut [u8],
) -> Result<bool, PlanError> {
    let g = check.header().geometry;
    let Source::Compressed(packed) = boundary.source else { return Ok(false) };
    let mut entry = [0; ENTRY];
    let place = boundary.index.saturating_mul(g.l2_entry_size());
    let own = entry.get_mut(..index(g.l2_entry_size())).unwrap_or_default();
    image.read_at(at.table.saturating_add(place), own)?;
    let cluster = l2.get_mut(..index(g.cluster_size())).unwrap_or_default();
    let unpacked = packed.offset < image.len() && around.unpack(image, &packed, cluster)?;
    if !unpacked || is_zero(cluster.get(index(boundary.kept)..).unwrap_or_default()) {
        return Ok(false);
    }
    check.entries(image, own, at.table.saturating_add(place))?;
    Ok(true)
}

/// The L2 table that L1 entry `slot` names.
pub fn l2_at<R: ReadAt>(
    image: &mut R,
    header: &Header,
    l1: &mut TableWindow<'_>,
    slot: u64,
) -> Result<Option<u64>, PlanError> {
    let entry = l1.get(image, slot)?;
    match TableEntry::l1(entry, header.geometry) {
        TableEntry::Empty => Ok(None),
        TableEntry::At(offset) if offset < image.len() && !overlaps_fixed(header, offset, 1) => {
            Ok(Some(offset))
        }
        TableEntry::At(_) | TableEntry::Invalid => Err(ImageError::L1Entry { entry, index: slot }.into()),
    }
}

/// Loads the L2 table at byte `table` whole.
pub fn load_l2<'b, R: ReadAt>(
    image: &mut R,
    header: &Header,
    table: u64,
    buf: &'b mut [u8],
) -> Result<&'b mut [u8], PlanError> {
    let buf = buf.get_mut(..index(header.geometry.cluster_size())).unwrap_or_default();
    image.read_at(table, buf)?;
    Ok(buf)
}

/// Calls `each` with every host cluster that the L2 entries in `table` name, and the bytes offset of
/// the entry in `table`. What lies in an external data file is not counted, and so left out.
pub fn each_cluster<E>(
    header: &Header,
    table: &[u8],
    mut each: impl FnMut(u64, HostBytes) -> Result<(), E>,
) -> Result<(), E> {
    let g = header.geometry;
    let entry_size = g.l2_entry_size();
    let count = (table.len() as u64).checked_div(entry_size).unwrap_or(0);
    for i in 0..count {
        let (value, cluster) = l2_format(header).get(table, i);
        let bytes = match cluster {
            _ if in_data_file(header, value) => continue,
            Cluster::Unallocated | Cluster::ZeroPlain => continue,
            Cluster::ZeroAllocated(offset) | Cluster::Allocated(offset) => Some((offset, g.cluster_size())),
            Cluster::Compressed { offset, len } => Some((offset, len)),
            Cluster::Invalid => None,
        };
        each(i.saturating_mul(entry_size), HostBytes { value, bytes })?;
    }
    Ok(())
}

/// Whether an L2 entry names a cluster of the external data file, in which byte 0 is a place, too.
const fn in_data_file(header: &Header, value: u64) -> bool {
    let sense = value & (COMPRESSED | L2_RESERVED) == 0;
    header.has(Incompatible::DATA_FILE) && sense && header.geometry.in_cluster(value & OFFSET_MASK) == 0
}

/// What an L2 entry in use names.
#[derive(Debug, Clone, Copy)]
pub struct HostBytes {
    /// The entry.
    pub value: u64,
    /// Offset and length in bytes; `None` if the entry makes no sense.
    pub bytes: Option<(u64, u64)>,
}

impl HostBytes {
    /// The host clusters that the entry names, in whole or in part.
    pub fn clusters(self, g: Geometry) -> Range<u64> {
        let (start, len) = self.bytes.unwrap_or((0, 0));
        let last = g.cluster(start.saturating_add(len).saturating_sub(1));
        g.cluster(start)..if len == 0 { 0 } else { last.saturating_add(1) }
    }
}

/// Whether `len` bytes from `offset` touch the header, the L1 table or the refcount table.
pub fn overlaps_fixed(header: &Header, offset: u64, len: u64) -> bool {
    let g = header.geometry;
    let fixed = [
        (0, g.cluster_size()),
        (header.l1_offset, g.align_up(header.l1_bytes())),
        (header.refcount_table_offset, header.refcount_table_bytes()),
    ];
    fixed.iter().any(|(at, size)| offset < at.saturating_add(*size) && *at < offset.saturating_add(len))
}

/// What is not zero behind `end` in its data cluster.
fn stale_tail<R: ReadAt>(
    image: &mut R,
    header: &Header,
    cluster: u64,
    end: u64,
    buf: &mut [u8],
) -> Result<Option<(u64, u64)>, PlanError> {
    let g = header.geometry;
    if cluster >= image.len() || overlaps_fixed(header, cluster, g.cluster_size()) {
        return Err(ImageError::L2Entry { entry: cluster, offset: end }.into());
    }
    let stop = cluster.saturating_add(g.cluster_size()).min(image.len());
    let start = cluster.saturating_add(g.in_cluster(end));
    let mut at = start;
    while at < stop {
        let len = index(stop.saturating_sub(at)).min(buf.len());
        let part = buf.get_mut(..len).unwrap_or_default();
        image.read_at(at, part)?;
        if !is_zero(part) {
            return Ok(Some((start, stop.saturating_sub(start))));
        }
        at = at.saturating_add(len as u64);
    }
    Ok(None)
}
