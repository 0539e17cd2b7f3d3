//! The qcow2 header, as the specification lays it out: the fields that building and tweaking need. All are big-endian.

use super::BuildError;
use super::file::ImageFile;
use super::refcounts::Width;

/// `QFI\xfb`, bytes 0 to 3.
pub const MAGIC: u32 = 0x5146_49fb;
/// Version, 4 bytes.
pub const VERSION: u64 = 4;
/// log2 of the cluster size, 4 bytes.
pub const CLUSTER_BITS: u64 = 20;
/// Virtual size in bytes, 8 bytes.
pub const SIZE: u64 = 24;
/// Number of L1 entries, 4 bytes.
pub const L1_SIZE: u64 = 36;
/// Offset of the L1 table, 8 bytes.
pub const L1_OFFSET: u64 = 40;
/// Offset of the refcount table, 8 bytes.
pub const REFCOUNT_TABLE_OFFSET: u64 = 48;
/// Clusters of the refcount table, 4 bytes.
pub const REFCOUNT_TABLE_CLUSTERS: u64 = 56;
/// Incompatible features, 8 bytes, version 3.
pub const INCOMPATIBLE: u64 = 72;
/// Incompatible feature bit 0: refcounts may be wrong.
pub const DIRTY: u64 = 1;
/// Incompatible feature bit 1: any structure may be wrong.
pub const CORRUPT: u64 = 1 << 1;
/// Incompatible feature bit 4: L2 entries of 16 bytes.
pub const EXTENDED_L2: u64 = 1 << 4;
/// Compatible features, 8 bytes, version 3.
pub const COMPATIBLE: u64 = 80;
/// Autoclear features, 8 bytes, version 3.
pub const AUTOCLEAR: u64 = 88;
/// log2 of the refcount width in bits, 4 bytes, version 3.
pub const REFCOUNT_ORDER: u64 = 96;
/// Header length, 4 bytes, version 3.
pub const HEADER_LENGTH: u64 = 100;
/// Compression type, 1 byte, where the header is longer than 104 bytes.
pub const COMPRESSION_TYPE: u64 = 104;
/// Header length of a version 2 image.
pub const LENGTH_V2: u32 = 72;
/// Offsets within L1, L2 and refcount table entries: bits 9 to 55.
pub const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;

/// What the header of a finished image says.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// Bytes of a cluster.
    pub cluster: u64,
    /// Entries of the L1 table.
    pub l1_size: u64,
    /// Offset of the L1 table.
    pub l1_offset: u64,
    /// Offset of the refcount table.
    pub table_offset: u64,
    /// Clusters of the refcount table.
    pub table_clusters: u64,
    /// Width of a refcount.
    pub width: Width,
    /// Length of the header, after which the extensions begin.
    pub length: u64,
}

impl Header {
    /// Reads the header of `file`.
    pub fn read(file: &ImageFile) -> Result<Self, BuildError> {
        if file.be32(0)? != MAGIC {
            return Err(file.unexpected("no qcow2 magic", 0));
        }
        let version = file.be32(VERSION)?;
        let v3 = version > 2;
        let order = if v3 { file.be32(REFCOUNT_ORDER)? } else { 4 };
        let bits = file.be32(CLUSTER_BITS)?;
        if !(9..=21).contains(&bits) || order > 6 {
            return Err(file.unexpected("cluster bits or refcount order out of range", CLUSTER_BITS));
        }
        Ok(Self {
            version,
            cluster: 1 << bits,
            l1_size: file.be32(L1_SIZE)?.into(),
            l1_offset: file.be64(L1_OFFSET)?,
            table_offset: file.be64(REFCOUNT_TABLE_OFFSET)?,
            table_clusters: file.be32(REFCOUNT_TABLE_CLUSTERS)?.into(),
            width: Width::from_order(order),
            length: if v3 { file.be32(HEADER_LENGTH)? } else { LENGTH_V2 }.into(),
        })
    }

    /// Byte after the last entry of the L1 table.
    pub fn l1_end(&self) -> u64 {
        self.l1_offset + 8 * self.l1_size
    }
}
