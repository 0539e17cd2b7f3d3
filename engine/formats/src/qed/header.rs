//! The header ("Header").

use crate::ImageError;
use crate::bytes::{le32, le64};

/// How many bytes of a file [`Header::parse`] wants.
pub const PARSE_LEN: usize = 64;

/// The longest name of a backing file that is read here, in bytes. The format sets no limit but the
/// header's own length; QEMU itself stores none as long.
pub const NAME_LEN: u64 = 1023;

/// "QED\0".
const MAGIC: u32 = 0x0044_4551;
/// Least and most bytes of a cluster ("cluster_size").
const CLUSTER_SIZES: core::ops::RangeInclusive<u32> = 1 << 12..=1 << 26;
/// Most clusters of a table ("table_size").
const MAX_TABLE_CLUSTERS: u32 = 16;
/// Sizes of disks, and of files as QEMU sees them, are multiples of this many bytes.
const SECTOR: u64 = 512;

/// Where the fields stand, in bytes.
pub mod at {
    /// `cluster_size`, 4 bytes.
    pub const CLUSTER_SIZE: usize = 4;
    /// `table_size` in clusters, 4 bytes.
    pub const TABLE_SIZE: usize = 8;
    /// `header_size` in clusters, 4 bytes.
    pub const HEADER_SIZE: usize = 12;
    /// `features`: whoever does not know them all must not open the image.
    pub const FEATURES: usize = 16;
    /// `compat_features`: may be ignored.
    pub const COMPATIBLE: usize = 24;
    /// `autoclear_features`: to be cleared by a writer that does not know them.
    pub const AUTOCLEAR: usize = 32;
    /// `l1_table_offset`.
    pub const L1_OFFSET: usize = 40;
    /// `image_size`, the size of the disk.
    pub const IMAGE_SIZE: usize = 48;
    /// `backing_filename_offset`, 4 bytes.
    pub const BACKING_OFFSET: usize = 56;
    /// `backing_filename_size`, 4 bytes.
    pub const BACKING_LEN: usize = 60;
}

/// Bits of `features`.
pub mod features {
    /// There is a backing file.
    pub const BACKING_FILE: u64 = 1;
    /// The tables may name places that were never written: check them before the next write.
    pub const NEED_CHECK: u64 = 2;
    /// The backing file is raw, whatever it looks like.
    pub const NO_PROBE: u64 = 4;
    /// All of them.
    pub const KNOWN: u64 = BACKING_FILE | NEED_CHECK | NO_PROBE;
}

/// A header that makes sense, in a file of a certain length. Offsets and lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of a cluster.
    pub cluster_size: u64,
    /// Bytes of a table, the L1 table and every L2 table alike.
    pub table_len: u64,
    /// Bytes of the header with all that belongs to it.
    pub header_len: u64,
    /// Bits of [`features`].
    pub features: u64,
    /// Nothing is known of these.
    pub compatible: u64,
    /// Nor of these.
    pub autoclear: u64,
    /// Where the L1 table is.
    pub l1_offset: u64,
    /// Virtual size.
    pub image_size: u64,
    /// Where the backing file's name is.
    pub backing_offset: u64,
    /// How long it is; 0 without a backing file.
    pub backing_len: u64,
    /// Where the last whole cluster of the file ends. As for QEMU, a file ends with a sector.
    pub file_end: u64,
}

impl Header {
    /// Reads the header from the first [`PARSE_LEN`] bytes of a file of `file_len` bytes.
    ///
    /// # Errors
    /// [`ImageError`] in the order in which `qemu-img` finds out.
    pub fn parse(head: &[u8], file_len: u64) -> Result<Self, ImageError> {
        if le32(head, 0) != MAGIC {
            return Err(ImageError::NotQed);
        }
        let unknown = le64(head, at::FEATURES) & !features::KNOWN;
        if unknown != 0 {
            return Err(ImageError::QedFeatures { bits: unknown });
        }
        let (cluster_size, table_size) = (le32(head, at::CLUSTER_SIZE), le32(head, at::TABLE_SIZE));
        if !cluster_size.is_power_of_two() || !CLUSTER_SIZES.contains(&cluster_size) {
            return Err(ImageError::QedClusterSize);
        }
        if !table_size.is_power_of_two() || table_size > MAX_TABLE_CLUSTERS {
            return Err(ImageError::QedTableSize);
        }
        let header = Self::read(head, file_len);
        if !header.is_size(header.image_size) {
            return Err(ImageError::QedImageSize);
        }
        if !header.is_table(header.l1_offset) {
            return Err(ImageError::QedTableOffset);
        }
        header.with_backing(head)
    }

    fn read(head: &[u8], file_len: u64) -> Self {
        let cluster_size = u64::from(le32(head, at::CLUSTER_SIZE));
        let clusters = |at| u64::from(le32(head, at)).saturating_mul(cluster_size);
        let sectors = file_len.checked_next_multiple_of(SECTOR).unwrap_or(file_len);
        Self {
            cluster_size,
            table_len: clusters(at::TABLE_SIZE),
            header_len: clusters(at::HEADER_SIZE),
            features: le64(head, at::FEATURES),
            compatible: le64(head, at::COMPATIBLE),
            autoclear: le64(head, at::AUTOCLEAR),
            l1_offset: le64(head, at::L1_OFFSET),
            image_size: le64(head, at::IMAGE_SIZE),
            backing_offset: 0,
            backing_len: 0,
            file_end: sectors & !cluster_size.saturating_sub(1),
        }
    }

    fn with_backing(mut self, head: &[u8]) -> Result<Self, ImageError> {
        if !self.has(features::BACKING_FILE) {
            return Ok(self);
        }
        self.backing_offset = u64::from(le32(head, at::BACKING_OFFSET));
        self.backing_len = u64::from(le32(head, at::BACKING_LEN));
        if self.backing_offset.saturating_add(self.backing_len) > self.header_len {
            return Err(ImageError::QedBackingOffset);
        }
        if self.backing_len > NAME_LEN {
            return Err(ImageError::BackingTooLong);
        }
        Ok(self)
    }

    /// Whether a bit of [`features`] is set.
    #[must_use]
    pub const fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    /// Entries of a table.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.table_len / super::ENTRY_LEN
    }

    /// Bytes of the disk that an L2 table maps; at most 2^53.
    #[must_use]
    pub const fn l2_coverage(&self) -> u64 {
        self.entries().saturating_mul(self.cluster_size)
    }

    /// Whether a disk may have this size: whole sectors, not more than the tables map. Where that is
    /// more than 64 bits tell QEMU accepts nothing but 0, and neither does this.
    #[must_use]
    pub const fn is_size(&self, size: u64) -> bool {
        let mapped = match self.entries().checked_mul(self.l2_coverage()) {
            Some(mapped) => mapped,
            None => 0,
        };
        size.is_multiple_of(SECTOR) && size <= mapped && size <= i64::MAX.unsigned_abs()
    }

    /// Whether a table may lie here: behind the header, and whole in the file. With tables of one
    /// cluster nowhere, as for QEMU, which opens no such image.
    #[must_use]
    pub const fn is_table(&self, offset: u64) -> bool {
        let end = offset.saturating_add(self.table_len);
        self.is_behind_header(offset) && end <= self.file_end && self.table_len > self.cluster_size
    }

    /// Whether a data cluster may lie here.
    #[must_use]
    pub const fn is_cluster(&self, offset: u64) -> bool {
        self.is_behind_header(offset) && offset < self.file_end
    }

    /// A header that claims to have no length has one nevertheless.
    const fn is_behind_header(&self, offset: u64) -> bool {
        offset >= self.header_len
            && offset >= self.cluster_size
            && offset & self.cluster_size.saturating_sub(1) == 0
    }
}
