//! What is allocated beyond a given end of the disk: what a shrink drops, and what a shrink that a
//! crash cut short left behind.

use super::batch::Batch;
use super::refcounts::{Blocks, table_of};
use super::scratch::Scratch;
use super::table::{Table, TableWindow};
use crate::PlanError;
use core::ops::Range;
use instar_formats::ImageError;
use instar_formats::bytes::{index, is_zero};
use instar_formats::io::ReadAt;
use instar_formats::qcow2::{Cluster, Geometry, Header, L2Format, TableEntry, refcount};
use zerocopy::native_endian::U64;

/// The L2 table that the end of the disk lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Straddling {
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
    /// Offset and length in bytes of what is not zero behind the end in the last cluster.
    pub tail: Option<(u64, u64)>,
}

impl Leftover {
    /// Whether there is any cluster to release.
    pub const fn has_clusters(&self) -> bool {
        self.l1_in_use || self.straddling.is_some()
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
/// each cluster named has a refcount to lose.
pub fn find<R: ReadAt>(
    image: &mut R,
    header: &Header,
    end: u64,
    scratch: &mut Scratch<'_>,
) -> Result<Leftover, PlanError> {
    let g = header.geometry;
    let mut leftover =
        Leftover { first_l1: g.l1_entries(end), l1_in_use: false, straddling: None, tail: None };
    let mut check = Check {
        header,
        window: TableWindow::new(table_of(header), scratch.table),
        block: scratch.block,
        batch: Batch::new(scratch.batch),
    };
    let mut l1 = TableWindow::new(l1_of(header), scratch.l1);
    let slot = end.wrapping_shr(g.l1_coverage_bits());
    if let (true, Some(table)) = (slot < leftover.first_l1, l2_at(image, header, &mut l1, slot)?) {
        let entries = load_l2(image, header, table, scratch.l2)?;
        let first = g.clusters(end).saturating_sub(slot.saturating_mul(g.l2_entries()));
        let beyond = entries.get(index(first.saturating_mul(g.l2_entry_size()))..).unwrap_or_default();
        if !is_zero(beyond) {
            leftover.straddling = Some(Straddling { table, first });
            let offset = table.saturating_add(first.saturating_mul(g.l2_entry_size()));
            check.entries(image, beyond, offset)?;
        }
        let last = g.cluster(end).saturating_sub(slot.saturating_mul(g.l2_entries()));
        if let (true, (_, Cluster::Allocated(cluster))) =
            (g.in_cluster(end) != 0, l2_format(header).get(entries, last))
        {
            leftover.tail = stale_tail(image, header, cluster, end, scratch.copy)?;
        }
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
/// the entry in `table`.
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
            Cluster::Unallocated | Cluster::ZeroPlain => continue,
            Cluster::ZeroAllocated(offset) | Cluster::Allocated(offset) => Some((offset, g.cluster_size())),
            Cluster::Compressed { offset, len } => Some((offset, len)),
            Cluster::Invalid => None,
        };
        each(i.saturating_mul(entry_size), HostBytes { value, bytes })?;
    }
    Ok(())
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
fn overlaps_fixed(header: &Header, offset: u64, len: u64) -> bool {
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

/// Checks what would be released.
struct Check<'h, 's> {
    header: &'h Header,
    window: TableWindow<'s>,
    block: &'s mut [u8],
    batch: Batch<'s>,
}

impl Check<'_, '_> {
    /// Checks the L2 entries in `table`, which starts at byte `offset` of the file.
    fn entries<R: ReadAt>(&mut self, image: &mut R, table: &[u8], offset: u64) -> Result<(), PlanError> {
        let (header, g) = (self.header, self.header.geometry);
        each_cluster(header, table, |at, entry| {
            let invalid = ImageError::L2Entry { entry: entry.value, offset: offset.saturating_add(at) };
            let (start, len) = entry.bytes.ok_or(invalid)?;
            if start >= image.len() || overlaps_fixed(header, start, len) {
                return Err(invalid.into());
            }
            entry.clusters(g).try_for_each(|cluster| self.cluster(image, cluster))
        })
    }

    fn cluster<R: ReadAt>(&mut self, image: &mut R, cluster: u64) -> Result<(), PlanError> {
        if self.batch.is_full() {
            self.flush(image)?;
        }
        self.batch.push(cluster);
        Ok(())
    }

    fn flush<R: ReadAt>(&mut self, image: &mut R) -> Result<(), PlanError> {
        let header = self.header;
        let mut blocks = Blocks { header, window: &mut self.window, buf: self.block };
        self.batch.drain(header.geometry, |entry, clusters| {
            let block = blocks.load(image, entry)?.map(|(_, block)| block);
            check_group(header, block.unwrap_or_default(), clusters)
        })
    }
}

/// Each cluster must have at least as many references counted as are about to go.
fn check_group(header: &Header, block: &[u8], clusters: &[U64]) -> Result<(), PlanError> {
    let g = header.geometry;
    let low = g.refcounts_per_block().saturating_sub(1);
    for same in clusters.chunk_by(|a, b| a == b) {
        let cluster = same.first().map_or(0, |c| c.get());
        let refcount = refcount::get(block, g.refcount_order(), cluster & low);
        if refcount < same.len() as u64 {
            return Err(ImageError::RefcountTooSmall { cluster, refcount }.into());
        }
    }
    Ok(())
}
