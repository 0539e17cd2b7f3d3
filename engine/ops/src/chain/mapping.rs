//! From a guest offset to a place in a qcow2 file ("Cluster mapping").

use super::bad_entry;
use super::layer::{Clusters, subcluster};
use crate::{LayerError, ReadAt};
use instar_formats::ImageError;
use instar_formats::bytes::be64;
use instar_formats::qcow2::entry::{COMPRESSED, COPIED};
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{Cluster, Header, Incompatible, L2Format, TableEntry};

/// Where bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The next layer.
    Below,
    /// Nowhere: they are zeros.
    Zeros,
    /// This byte offset, of the file or of the data file.
    At(u64),
    /// A compressed cluster.
    Packed {
        /// First byte of what is compressed.
        host: u64,
        /// How long that is in bytes.
        packed: u64,
        /// Where in the cluster the bytes are.
        skip: u64,
    },
}

/// A source, and for how many bytes it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where they come from.
    pub source: Source,
    /// How many bytes come from there, not 0.
    pub len: u64,
}

/// The tables of an image.
pub struct Mapping<'c> {
    format: L2Format,
    l1_offset: u64,
    l1_entries: u64,
    /// Whether guest data lies in another file.
    beside: bool,
    zstd: bool,
    /// The entry of the L1 table that was looked at last.
    last: Option<(u64, TableEntry)>,
    /// Part of an L2 table.
    table: Buffered<'c>,
}

impl<'c> Mapping<'c> {
    /// Of the image with this header; `table` is what is kept of an L2 table.
    pub fn new(header: &Header, table: &'c mut [u8]) -> Self {
        Self {
            format: L2Format { geometry: header.geometry, version: header.version },
            l1_offset: header.l1_offset,
            l1_entries: header.l1_entries,
            beside: header.has(Incompatible::DATA_FILE),
            zstd: header.compression == 1,
            last: None,
            table: Buffered::new(table),
        }
    }

    /// How clusters are packed.
    pub const fn clusters(&self) -> Clusters {
        Clusters { size: self.format.geometry.cluster_size(), zstd: self.zstd }
    }

    /// Whether guest data lies in another file.
    pub const fn is_beside(&self) -> bool {
        self.beside
    }

    /// Where up to `len` bytes from `offset` on come from.
    ///
    /// # Errors
    /// An entry that cannot be right, or the device's.
    pub fn find(&mut self, file: &mut dyn ReadAt, offset: u64, len: u64) -> Result<Found, LayerError> {
        let geometry = self.format.geometry;
        let table = match self.l1(file, offset)? {
            TableEntry::At(table) => table,
            _ => {
                let covered = 1_u64.wrapping_shl(geometry.l1_coverage_bits());
                let within = offset & covered.saturating_sub(1);
                return Ok(Found { source: Source::Below, len: len.min(covered.saturating_sub(within)) });
            }
        };
        let at = geometry.cluster(offset) & geometry.l2_entries().saturating_sub(1);
        let (skip, size) = (at.saturating_mul(geometry.l2_entry_size()), geometry.l2_entry_size());
        let place = table.saturating_add(skip);
        let mut entry = [0; 16];
        let own = entry.get_mut(..usize::try_from(size).unwrap_or(8)).unwrap_or_default();
        self.table.exact(file, place, geometry.cluster_size().saturating_sub(skip), own)?;
        let source = self.source((be64(&entry, 0), be64(&entry, 8)), place, offset)?;
        let part = match source {
            Source::Packed { .. } => geometry.cluster_size(),
            _ => subcluster(geometry),
        };
        Ok(Found { source, len: len.min(part.saturating_sub(offset & part.saturating_sub(1))) })
    }

    fn l1(&mut self, file: &mut dyn ReadAt, offset: u64) -> Result<TableEntry, LayerError> {
        let at = offset.wrapping_shr(self.format.geometry.l1_coverage_bits());
        if let Some((_, entry)) = self.last.filter(|(last, _)| *last == at) {
            return Ok(entry);
        }
        let mut value = [0; 8];
        if at < self.l1_entries {
            file.read_at(self.l1_offset.saturating_add(at.saturating_mul(8)), &mut value)?;
        }
        let value = be64(&value, 0);
        let entry = TableEntry::l1(value, self.format.geometry);
        if entry == TableEntry::Invalid {
            return Err(ImageError::L1Entry { entry: value, index: at }.into());
        }
        self.last = Some((at, entry));
        Ok(entry)
    }

    /// What an entry at `place`, with its bitmap, says of `offset`.
    fn source(&self, (value, bitmap): (u64, u64), place: u64, offset: u64) -> Result<Source, LayerError> {
        let geometry = self.format.geometry;
        let skip = geometry.in_cluster(offset);
        // A data file has a cluster 0 like any other.
        let first = self.beside && value == COPIED;
        let cluster = if first { Cluster::Allocated(0) } else { self.format.decode(value, bitmap) };
        if self.beside && value & COMPRESSED != 0 {
            return Err(bad_entry(value, place));
        }
        let allocated = match cluster {
            Cluster::Invalid => return Err(bad_entry(value, place)),
            Cluster::Compressed { offset, len } => {
                return Ok(Source::Packed { host: offset, packed: len, skip });
            }
            Cluster::ZeroAllocated(_) => return Ok(Source::Zeros),
            Cluster::ZeroPlain if !geometry.extended_l2() => return Ok(Source::Zeros),
            Cluster::Unallocated | Cluster::ZeroPlain => None,
            Cluster::Allocated(host) => Some(host),
        };
        if !geometry.extended_l2() {
            return Ok(allocated.map_or(Source::Below, |host| Source::At(host.saturating_add(skip))));
        }
        // "Extended L2 Entries": bit n says that subcluster n is there, bit 32 + n that it is zeros.
        let bit = u32::try_from(skip.checked_div(subcluster(geometry)).unwrap_or(0)).unwrap_or(0);
        let is_set = |bit| bitmap.wrapping_shr(bit) & 1 == 1;
        match (is_set(bit), is_set(bit.saturating_add(32)), allocated) {
            (true, false, Some(host)) => Ok(Source::At(host.saturating_add(skip))),
            (false, true, _) => Ok(Source::Zeros),
            (false, false, _) => Ok(Source::Below),
            _ => Err(bad_entry(value, place)),
        }
    }
}
