//! Host clusters that lose a reference, collected and sorted so that each refcount block is read
//! and written once for many of them.

use super::refcounts::block_of;
use crate::PlanError;
use instar_formats::qcow2::Geometry;
use zerocopy::FromBytes;
use zerocopy::native_endian::U64;

/// A list of cluster indices of constant size.
pub struct Batch<'s> {
    list: &'s mut [U64],
    len: usize,
}

impl<'s> Batch<'s> {
    /// An empty list in `buf`.
    pub fn new(buf: &'s mut [u8]) -> Self {
        let list = <[U64]>::mut_from_bytes(buf).unwrap_or_default();
        Self { list, len: 0 }
    }

    /// Adds a cluster. The list must not be full.
    pub fn push(&mut self, cluster: u64) {
        if let Some(slot) = self.list.get_mut(self.len) {
            slot.set(cluster);
            self.len = self.len.saturating_add(1);
        }
    }

    /// Whether there is no room for another.
    pub const fn is_full(&self) -> bool {
        self.len >= self.list.len()
    }

    /// Hands out the clusters in order, grouped by the refcount table entry that they are counted
    /// under, and empties the list.
    pub fn drain(
        &mut self,
        g: Geometry,
        mut group: impl FnMut(u64, &[U64]) -> Result<(), PlanError>,
    ) -> Result<(), PlanError> {
        let list = self.list.get_mut(..self.len).unwrap_or_default();
        self.len = 0;
        list.sort_unstable_by_key(|cluster| cluster.get());
        list.chunk_by(|a, b| block_of(g, a.get()) == block_of(g, b.get())).try_for_each(|part| {
            let first = part.first().map_or(0, |c| c.get());
            group(block_of(g, first), part)
        })
    }
}
