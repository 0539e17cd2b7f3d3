//! The header ("Header", "Version 3 additional header fields").

use super::geometry::{Geometry, MAX_L1_ENTRIES, MAX_REFCOUNT_TABLE_BYTES};
use crate::ImageError;
use crate::bytes::{be32, be64};

/// `QFI\xfb`.
pub const MAGIC: u32 = 0x5146_49fb;
/// Length of a version 2 header.
pub const LEN_V2: u64 = 72;
/// Least length of a version 3 header.
pub const LEN_V3: u64 = 104;
/// How many bytes from the start of the file [`Header::parse`] wants.
pub const PARSE_LEN: usize = 512;

/// Byte offsets of the fields that a resize or a repair changes.
pub mod at {
    /// Virtual size in bytes, u64.
    pub const SIZE: usize = 24;
    /// Entries of the active L1 table, u32.
    pub const L1_SIZE: usize = 36;
    /// Offset of the active L1 table, u64.
    pub const L1_OFFSET: usize = 40;
    /// Offset of the refcount table, u64.
    pub const REFCOUNT_TABLE_OFFSET: usize = 48;
    /// Clusters of the refcount table, u32.
    pub const REFCOUNT_TABLE_CLUSTERS: usize = 56;
    /// Snapshots, u32.
    pub const SNAPSHOTS: usize = 60;
    /// Offset of the snapshot table, u64.
    pub const SNAPSHOTS_OFFSET: usize = 64;
    /// Autoclear feature bits, u64 (version 3).
    pub const AUTOCLEAR: usize = 88;
}

/// Incompatible feature bits.
pub struct Incompatible;

impl Incompatible {
    /// Refcounts may be stale.
    pub const DIRTY: u64 = 1 << 0;
    /// Some structure is corrupt.
    pub const CORRUPT: u64 = 1 << 1;
    /// Guest clusters live in another file.
    pub const DATA_FILE: u64 = 1 << 2;
    /// The compression type is not zlib.
    pub const COMPRESSION: u64 = 1 << 3;
    /// L2 entries are 16 bytes.
    pub const EXTENDED_L2: u64 = 1 << 4;
    /// All of these.
    pub const KNOWN: u64 = 0x1f;
}

/// Compatible bit 0: lazy refcounts.
pub const COMPATIBLE_LAZY: u64 = 1;
/// Autoclear bit 0: the bitmaps extension is consistent.
pub const AUTOCLEAR_BITMAPS: u64 = 1;
/// Autoclear bit 1: the external data file is a raw image of its own.
pub const AUTOCLEAR_RAW: u64 = 2;
/// Longest backing file name in bytes.
pub const MAX_BACKING_NAME: u32 = 1023;
/// Most snapshots.
pub const MAX_SNAPSHOTS: u32 = 65536;
/// Sizes are kept in whole sectors of this many bytes.
pub const SECTOR: u64 = 512;

/// What a header says, checked for sense on its own and against nothing else in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// Sizes.
    pub geometry: Geometry,
    /// The size field as it stands, in bytes.
    pub size_field: u64,
    /// 0 none, 1 AES, 2 LUKS.
    pub crypt_method: u32,
    /// Entries of the active L1 table.
    pub l1_entries: u64,
    /// Byte offset of the active L1 table.
    pub l1_offset: u64,
    /// Byte offset of the refcount table.
    pub refcount_table_offset: u64,
    /// Clusters of the refcount table.
    pub refcount_table_clusters: u64,
    /// Internal snapshots.
    pub snapshots: u32,
    /// Those that the header claims beyond the most that there may be.
    pub overhanging: u32,
    /// Byte offset of the snapshot table.
    pub snapshots_offset: u64,
    /// Byte offset of the backing file name, 0 for none.
    pub backing_offset: u64,
    /// Length of that name in bytes.
    pub backing_len: u32,
    /// Incompatible feature bits.
    pub incompatible: u64,
    /// Compatible feature bits.
    pub compatible: u64,
    /// Autoclear feature bits.
    pub autoclear: u64,
    /// Length of the header in bytes: where the extensions begin.
    pub header_len: u64,
    /// 0 zlib, 1 zstd.
    pub compression: u8,
}

impl Header {
    /// Parses the first [`PARSE_LEN`] bytes of a file that is `file_len` bytes long.
    ///
    /// # Errors
    /// [`ImageError`] names the field that makes no sense.
    pub fn parse(head: &[u8; PARSE_LEN], file_len: u64) -> Result<Self, ImageError> {
        let header = Self::parse_repairable(head, file_len)?;
        match u64::from(header.overhanging) {
            0 => Ok(header),
            overhanging => Err(ImageError::SnapshotsTooMany { overhanging }),
        }
    }

    /// The same for a repair: of too many snapshots it has those that may be there.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_repairable(head: &[u8; PARSE_LEN], file_len: u64) -> Result<Self, ImageError> {
        if be32(head, 0) != MAGIC {
            return Err(ImageError::NotQcow2);
        }
        let version = be32(head, 4);
        if !(2..=3).contains(&version) {
            return Err(ImageError::Version { version: u64::from(version) });
        }
        let header = Self::decode(head, version, file_len)?;
        header.check_features()?;
        header.check_tables()?;
        Ok(header)
    }

    fn decode(head: &[u8; PARSE_LEN], version: u32, file_len: u64) -> Result<Self, ImageError> {
        let v3 = version >= 3;
        let (least, header_len) = if v3 { (LEN_V3, u64::from(be32(head, 100))) } else { (LEN_V2, LEN_V2) };
        let cluster_bits = be32(head, 20);
        let incompatible = if v3 { be64(head, 72) } else { 0 };
        let refcount_order = if v3 { be32(head, 96) } else { 4 };
        Geometry::new(cluster_bits, 4, false)?;
        if file_len < least || header_len < least {
            return Err(ImageError::HeaderTooShort);
        }
        if header_len > 1_u64.wrapping_shl(cluster_bits) {
            return Err(ImageError::HeaderTooLong);
        }
        if incompatible & !Incompatible::KNOWN != 0 {
            return Err(ImageError::IncompatibleFeature { bits: incompatible & !Incompatible::KNOWN });
        }
        Ok(Self {
            version,
            geometry: Geometry::new(
                cluster_bits,
                refcount_order,
                incompatible & Incompatible::EXTENDED_L2 != 0,
            )?,
            size_field: be64(head, at::SIZE),
            crypt_method: be32(head, 32),
            l1_entries: u64::from(be32(head, at::L1_SIZE)),
            l1_offset: be64(head, at::L1_OFFSET),
            refcount_table_offset: be64(head, at::REFCOUNT_TABLE_OFFSET),
            refcount_table_clusters: u64::from(be32(head, at::REFCOUNT_TABLE_CLUSTERS)),
            snapshots: be32(head, at::SNAPSHOTS).min(MAX_SNAPSHOTS),
            overhanging: be32(head, at::SNAPSHOTS).saturating_sub(MAX_SNAPSHOTS),
            snapshots_offset: be64(head, at::SNAPSHOTS_OFFSET),
            backing_offset: be64(head, 8),
            backing_len: if be64(head, 8) == 0 { 0 } else { be32(head, 16) },
            incompatible,
            compatible: if v3 { be64(head, 80) } else { 0 },
            autoclear: if v3 { be64(head, at::AUTOCLEAR) } else { 0 },
            header_len,
            compression: if header_len > LEN_V3 { head.get(104).copied().unwrap_or(0) } else { 0 },
        })
    }

    fn check_features(&self) -> Result<(), ImageError> {
        match (self.compression, self.has(Incompatible::COMPRESSION)) {
            (0, true) => return Err(ImageError::CompressionBitSet),
            (0 | 1, _) => {}
            (kind, _) => {
                return Err(ImageError::CompressionType { kind: u64::from(kind) });
            }
        }
        if self.compression == 1 && !self.has(Incompatible::COMPRESSION) {
            return Err(ImageError::CompressionBitClear);
        }
        if self.crypt_method > 2 {
            return Err(ImageError::Encryption { method: u64::from(self.crypt_method) });
        }
        if self.backing_offset > self.geometry.cluster_size() {
            return Err(ImageError::BackingOffset);
        }
        let room = self.geometry.cluster_size().saturating_sub(self.backing_offset);
        if self.backing_len > MAX_BACKING_NAME || u64::from(self.backing_len) > room {
            return Err(ImageError::BackingTooLong);
        }
        Ok(())
    }

    fn check_tables(&self) -> Result<(), ImageError> {
        let g = self.geometry;
        let misplaced = |offset| g.in_cluster(offset) != 0 || offset > MAX_OFFSET;
        if self.refcount_table_clusters == 0 {
            return Err(ImageError::NoRefcountTable);
        }
        if g.offset(self.refcount_table_clusters) > MAX_REFCOUNT_TABLE_BYTES {
            return Err(ImageError::RefcountTableTooLarge);
        }
        if misplaced(self.refcount_table_offset) || self.refcount_table_offset == 0 {
            return Err(ImageError::RefcountTableOffset { offset: self.refcount_table_offset });
        }
        if misplaced(self.snapshots_offset) {
            return Err(ImageError::SnapshotOffset);
        }
        if self.l1_entries > MAX_L1_ENTRIES {
            return Err(ImageError::L1TooLarge);
        }
        if misplaced(self.l1_offset) || (self.l1_offset == 0 && self.l1_entries > 0) {
            return Err(ImageError::L1Offset { offset: self.l1_offset });
        }
        let needed = g.l1_entries(self.size_field);
        if needed > MAX_L1_ENTRIES || self.size_field > MAX_OFFSET {
            return Err(ImageError::TooBig);
        }
        if self.l1_entries < needed {
            return Err(ImageError::L1TooSmall);
        }
        Ok(())
    }

    /// Whether all bits of `feature` are set in the incompatible word.
    #[must_use]
    pub const fn has(&self, feature: u64) -> bool {
        self.incompatible & feature == feature
    }

    /// The virtual size in bytes: the field, rounded down to a sector as QEMU reads it.
    #[must_use]
    pub const fn virtual_size(&self) -> u64 {
        self.size_field & !(SECTOR - 1)
    }

    /// Bytes of the active L1 table.
    #[must_use]
    pub const fn l1_bytes(&self) -> u64 {
        self.l1_entries.saturating_mul(8)
    }

    /// Entries of the refcount table.
    #[must_use]
    pub const fn refcount_table_entries(&self) -> u64 {
        self.refcount_table_clusters.saturating_mul(self.geometry.table_entries_per_cluster())
    }

    /// Bytes of the refcount table.
    #[must_use]
    pub const fn refcount_table_bytes(&self) -> u64 {
        self.geometry.offset(self.refcount_table_clusters)
    }

    /// That the image can be used for more than to describe it.
    ///
    /// # Errors
    /// [`ImageError::RawWithoutDataFile`].
    pub fn check_files(&self) -> Result<(), ImageError> {
        let raw = self.autoclear & AUTOCLEAR_RAW != 0;
        if raw && !self.has(Incompatible::DATA_FILE) { Err(ImageError::RawWithoutDataFile) } else { Ok(()) }
    }

    /// That the tables the header names lie inside the file, clear of the header and each other.
    /// The last cluster of a file may be short, so a table may end up to a cluster past its end.
    ///
    /// # Errors
    /// [`ImageError`] names the table.
    pub fn check_against_file(&self, file_len: u64) -> Result<(), ImageError> {
        let g = self.geometry;
        let end = g.align_up(file_len);
        let l1 = (self.l1_offset, g.align_up(self.l1_bytes()));
        let table = (self.refcount_table_offset, self.refcount_table_bytes());
        for (offset, len) in [table, l1] {
            if len > 0 && offset.saturating_add(len) > end {
                return Err(ImageError::TablePastEnd { offset });
            }
        }
        let l1_over_table = l1.0 < table.0.saturating_add(table.1) && table.0 < l1.0.saturating_add(l1.1);
        if self.l1_entries > 0 && l1_over_table {
            return Err(ImageError::Overlap { offset: self.l1_offset });
        }
        Ok(())
    }
}

/// Offsets and sizes beyond this are beyond any file (`i64::MAX`).
const MAX_OFFSET: u64 = i64::MAX as u64;

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
