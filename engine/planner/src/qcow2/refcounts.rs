//! Refcounts of ranges of host clusters, changed where they stand.

use super::leftover::overlaps_fixed;
use super::table::{Table, TableWindow};
use crate::{Patch, PlanError, Target};
use instar_formats::ImageError;
use instar_formats::bytes::index;
use instar_formats::io::ReadAt;
use instar_formats::qcow2::{Geometry, Header, TableEntry, refcount};

/// A run of host clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Index of the first.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Run {
    /// The index after the last.
    pub const fn end(self) -> u64 {
        self.first.saturating_add(self.count)
    }

    /// What both runs have.
    pub fn intersect(self, other: Self) -> Self {
        let first = self.first.max(other.first);
        Self { first, count: self.end().min(other.end()).saturating_sub(first) }
    }
}

/// The refcount table that the header names.
pub const fn table_of(header: &Header) -> Table {
    Table { offset: header.refcount_table_offset, entries: header.refcount_table_entries() }
}

/// The clusters that the refcount block of table entry `index` counts.
pub const fn covered_by(geometry: Geometry, index: u64) -> Run {
    let count = geometry.refcounts_per_block();
    Run { first: index.saturating_mul(count), count }
}

/// The table entry whose block counts `cluster`.
pub const fn block_of(geometry: Geometry, cluster: u64) -> u64 {
    cluster.wrapping_shr(geometry.refcounts_per_block_bits())
}

/// Decodes the refcount table entry at `index`: the block must lie in the file, and on no other structure.
pub fn block_at(value: u64, index: u64, header: &Header, file_len: u64) -> Result<Option<u64>, ImageError> {
    match TableEntry::refcount(value, header.geometry) {
        TableEntry::Empty => Ok(None),
        TableEntry::At(offset)
            if offset < file_len && !overlaps_fixed(header, offset, header.geometry.cluster_size()) =>
        {
            Ok(Some(offset))
        }
        TableEntry::At(_) | TableEntry::Invalid => {
            Err(ImageError::RefcountTableEntry { entry: value, index })
        }
    }
}

/// A stretch of one refcount block, loaded into a buffer.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Byte offset in the file.
    pub offset: u64,
    /// Bytes.
    pub len: usize,
    /// The entry of the block that the buffer's first bit belongs to.
    pub first_entry: u64,
}

impl Stretch {
    /// The bytes that hold entries `first..end` of the block at byte `block`.
    pub fn of(geometry: Geometry, block: u64, first: u64, end: u64) -> Self {
        let order = geometry.refcount_order();
        let start = first.wrapping_shl(order) / 8;
        let len = end.wrapping_shl(order).div_ceil(8).saturating_sub(start);
        let first_entry = start.saturating_mul(8).wrapping_shr(order);
        Self { offset: block.saturating_add(start), len: index(len), first_entry }
    }
}

/// Sets the refcounts of `run` as `change` says, in every block that exists.
pub fn update<T: Target>(
    image: &mut T,
    header: &Header,
    window: &mut TableWindow<'_>,
    block_buf: &mut [u8],
    run: Run,
    change: impl Fn(u64) -> u64,
) -> Result<(), PlanError> {
    let g = header.geometry;
    let mut cluster = run.first;
    while cluster < run.end() {
        let covered = covered_by(g, block_of(g, cluster));
        let part = run.intersect(covered);
        let entry = block_of(g, cluster);
        if let Some(block) = block_at(window.get(image, entry)?, entry, header, u64::MAX)? {
            let first = part.first.saturating_sub(covered.first);
            let stretch = Stretch::of(g, block, first, first.saturating_add(part.count));
            let buf = block_buf.get_mut(..stretch.len).unwrap_or_default();
            image.read_at(stretch.offset, buf)?;
            for i in first..first.saturating_add(part.count) {
                let at = i.saturating_sub(stretch.first_entry);
                let value = change(refcount::get(buf, g.refcount_order(), at));
                refcount::set(buf, g.refcount_order(), at, value);
            }
            image.apply(Patch::Write { offset: stretch.offset, data: buf })?;
        }
        cluster = covered.end();
    }
    Ok(())
}

/// Walks the blocks of a refcount table.
pub struct Blocks<'w, 's> {
    pub header: &'w Header,
    pub window: &'w mut TableWindow<'s>,
    pub buf: &'w mut [u8],
}

impl Blocks<'_, '_> {
    /// Loads the block of table entry `entry` whole; `None` where there is none.
    pub fn load<R: ReadAt + ?Sized>(
        &mut self,
        image: &mut R,
        entry: u64,
    ) -> Result<Option<(u64, &[u8])>, PlanError> {
        Ok(self.load_mut(image, entry)?.map(|(block, buf)| (block, &*buf)))
    }

    /// As [`Self::load`], to be changed in place.
    pub fn load_mut<R: ReadAt + ?Sized>(
        &mut self,
        image: &mut R,
        entry: u64,
    ) -> Result<Option<(u64, &mut [u8])>, PlanError> {
        let value = self.window.get(image, entry)?;
        let Some(block) = block_at(value, entry, self.header, image.len())? else { return Ok(None) };
        let buf = self.buf.get_mut(..index(self.header.geometry.cluster_size())).unwrap_or_default();
        image.read_at(block, buf)?;
        Ok(Some((block, buf)))
    }
}
