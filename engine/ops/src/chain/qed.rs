//! From a guest offset to a place in a QED file ("Tables").

use super::bad_entry;
use super::mapping::{Found, Source};
use crate::{LayerError, ReadAt};
use instar_formats::ImageError;
use instar_formats::bytes::le64;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qed::{Cluster, ENTRY_LEN, Header};

/// The tables of an image.
pub struct QedMapping<'c> {
    header: Header,
    /// The entry of the L1 table that was looked at last.
    last: Option<(u64, u64)>,
    /// Part of an L2 table.
    table: Buffered<'c>,
}

impl<'c> QedMapping<'c> {
    /// Of the image with this header; `table` is what is kept of an L2 table.
    pub const fn new(header: Header, table: &'c mut [u8]) -> Self {
        Self { header, last: None, table: Buffered::new(table) }
    }

    /// Where up to `len` bytes from `offset` on come from; they lie within the disk.
    ///
    /// # Errors
    /// An entry that cannot be right, or the device's.
    pub fn find(&mut self, file: &mut dyn ReadAt, offset: u64, len: u64) -> Result<Found, LayerError> {
        let (cluster, coverage) = (self.header.cluster_size, self.header.l2_coverage());
        let within = |size: u64| offset & size.saturating_sub(1);
        let found = |source, size: u64| Ok(Found { source, len: len.min(size.saturating_sub(within(size))) });
        let table = self.l1(file, offset.checked_div(coverage).unwrap_or(0))?;
        if table == 0 {
            return found(Source::Below, coverage);
        }
        let skip = within(coverage).checked_div(cluster).unwrap_or(0).saturating_mul(ENTRY_LEN);
        let (place, mut entry) = (table.saturating_add(skip), [0; 8]);
        self.table.exact(file, place, self.header.table_len.saturating_sub(skip), &mut entry)?;
        let source = match self.header.cluster(le64(&entry, 0)) {
            Cluster::Unallocated => Source::Below,
            Cluster::Zero => Source::Zeros,
            Cluster::At(host) => Source::At(host.saturating_add(within(cluster))),
            Cluster::Invalid => return Err(bad_entry(le64(&entry, 0), place)),
        };
        found(source, cluster)
    }

    /// Entry `at` of the L1 table: the offset of an L2 table, or 0.
    fn l1(&mut self, file: &mut dyn ReadAt, at: u64) -> Result<u64, LayerError> {
        if let Some((_, entry)) = self.last.filter(|(last, _)| *last == at) {
            return Ok(entry);
        }
        let mut entry = [0; 8];
        file.read_at(self.header.l1_offset.saturating_add(at.saturating_mul(ENTRY_LEN)), &mut entry)?;
        let entry = le64(&entry, 0);
        if entry != 0 && !self.header.is_table(entry) {
            return Err(ImageError::L1Entry { entry, index: at }.into());
        }
        self.last = Some((at, entry));
        Ok(entry)
    }
}
