//! Whether refcount blocks lie apart from bitmaps. If not, a count that changes is a bit of a bitmap that changes, and bits
//! that are cleared behind the end of a disk are counts: such an image is refused.

use super::super::refcounts::{Run, table_of};
use super::super::table::TableWindow;
use crate::PlanError;
use instar_formats::ImageError;
use instar_formats::io::ReadAt;
use instar_formats::qcow2::{Header, TableEntry};
use zerocopy::FromBytes;
use zerocopy::native_endian::U64;

/// First cluster and how many.
type Place = [U64; 2];

/// What bitmaps have that a resize reads or writes, as far as a list holds it.
pub struct Places<'s> {
    list: &'s mut [Place],
    held: usize,
}

impl<'s> Places<'s> {
    /// An empty list in `buf`.
    pub fn new(buf: &'s mut [u8]) -> Self {
        Self { list: <[Place]>::mut_from_bytes(buf).unwrap_or_default(), held: 0 }
    }

    /// Adds some clusters.
    pub fn push(&mut self, run: Run) {
        if let Some([first, count]) = self.list.get_mut(self.held) {
            first.set(run.first);
            count.set(run.count);
            self.held = self.held.saturating_add(1);
        }
    }

    /// Refuses if a refcount block is one of these clusters.
    pub fn check<R: ReadAt>(
        self,
        image: &mut R,
        header: &Header,
        window: &mut [u8],
    ) -> Result<(), PlanError> {
        let places = self.list.get_mut(..self.held).unwrap_or_default();
        places.sort_unstable_by_key(|[first, _]| first.get());
        let (mut window, mut next) = (TableWindow::new(table_of(header), window), 0);
        while let Some((entry, value)) = window.next_used(image, next)? {
            next = entry.saturating_add(1);
            let TableEntry::At(offset) = TableEntry::refcount(value, header.geometry) else { continue };
            let block = header.geometry.cluster(offset);
            let before = places.partition_point(|[first, _]| first.get() <= block);
            let over = |[first, count]: &Place| block.saturating_sub(first.get()) < count.get();
            if before.checked_sub(1).and_then(|last| places.get(last)).is_some_and(over) {
                return Err(ImageError::Overlap { offset }.into());
            }
        }
        Ok(())
    }
}
