//! Entries of L1, L2 and refcount tables ("Cluster mapping", "Refcount table").

use super::Geometry;
use crate::bytes::be64;

/// Bit 63: the refcount of what the entry names is exactly one.
pub const COPIED: u64 = 1 << 63;
/// Bit 62 of an L2 entry: a compressed cluster.
pub const COMPRESSED: u64 = 1 << 62;
/// Bit 0 of a standard L2 entry, version 3 only: the cluster reads as zeros.
pub const ZERO: u64 = 1;
/// Bits 9 to 55: the host offset in an L1 or standard L2 entry.
pub const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
/// Bits that must be zero in an L1 entry.
pub const L1_RESERVED: u64 = 0x7f00_0000_0000_01ff;
/// Bits that must be zero in a standard L2 entry.
pub const L2_RESERVED: u64 = 0x3f00_0000_0000_01fe;
/// Bits that must be zero in a refcount table entry.
pub const REFCOUNT_TABLE_RESERVED: u64 = 0x1ff;

/// An entry that names one cluster or none: L1 and refcount tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableEntry {
    /// Nothing there.
    Empty,
    /// The cluster at this byte offset.
    At(u64),
    /// Reserved bits, or an offset that is not that of a cluster.
    Invalid,
}

impl TableEntry {
    /// Decodes an L1 entry.
    #[must_use]
    pub const fn l1(value: u64, geometry: Geometry) -> Self {
        if value == 0 {
            return Self::Empty;
        }
        Self::decode(value & OFFSET_MASK, value & L1_RESERVED, geometry)
    }

    /// Decodes an entry of the refcount table.
    #[must_use]
    pub const fn refcount(value: u64, geometry: Geometry) -> Self {
        if value == 0 {
            return Self::Empty;
        }
        Self::decode(value & !REFCOUNT_TABLE_RESERVED, value & REFCOUNT_TABLE_RESERVED, geometry)
    }

    const fn decode(offset: u64, reserved: u64, geometry: Geometry) -> Self {
        if reserved != 0 || offset == 0 || geometry.in_cluster(offset) != 0 || offset > MAX_HOST_OFFSET {
            return Self::Invalid;
        }
        Self::At(offset)
    }
}

/// Beyond what any entry can name (56 bits).
const MAX_HOST_OFFSET: u64 = (1 << 56) - 1;

/// What an L2 entry says of one guest cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// Not there: reads from the backing file or as zeros.
    Unallocated,
    /// Reads as zeros, and has no place in the file.
    ZeroPlain,
    /// Reads as zeros, and has a place: the byte offset.
    ZeroAllocated(u64),
    /// Has a place: the byte offset. With extended L2 entries parts of it may not be there.
    Allocated(u64),
    /// Compressed: the first byte and the number of bytes, in sectors' precision.
    Compressed {
        /// First byte of the compressed data.
        offset: u64,
        /// Bytes up to the end of the last sector named.
        len: u64,
    },
    /// Reserved bits, or an offset that is not that of a cluster.
    Invalid,
}

/// How the L2 entries of an image are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L2Format {
    /// Sizes.
    pub geometry: Geometry,
    /// Header version: version 2 has no zero flag.
    pub version: u32,
}

impl L2Format {
    /// Decodes entry `index` of `table`, all or a part of an L2 table.
    #[must_use]
    pub fn get(self, table: &[u8], index: u64) -> (u64, Cluster) {
        let at = crate::bytes::index(index.saturating_mul(self.geometry.l2_entry_size()));
        let value = be64(table, at);
        let bitmap = if self.geometry.extended_l2() { be64(table, at.saturating_add(8)) } else { 0 };
        (value, self.decode(value, bitmap))
    }

    /// Decodes an entry. `bitmap` is the second word of an extended one.
    #[must_use]
    pub const fn decode(self, value: u64, bitmap: u64) -> Cluster {
        if value & COMPRESSED != 0 {
            return self.compressed(value);
        }
        let offset = value & OFFSET_MASK;
        let zero = self.version >= 3 && !self.geometry.extended_l2() && value & ZERO != 0;
        let reserved = L2_RESERVED | if self.version < 3 || self.geometry.extended_l2() { ZERO } else { 0 };
        if value & reserved != 0 || self.geometry.in_cluster(offset) != 0 {
            return Cluster::Invalid;
        }
        match (offset, zero) {
            (0, true) => Cluster::ZeroPlain,
            (0, false) if value & COPIED != 0 => Cluster::Invalid,
            (0, false) if self.geometry.extended_l2() && bitmap != 0 => Self::plain_bitmap(bitmap),
            (0, false) => Cluster::Unallocated,
            (offset, true) => Cluster::ZeroAllocated(offset),
            (offset, false) => Cluster::Allocated(offset),
        }
    }

    /// An extended entry without a place: its subclusters can be zero, but not allocated.
    const fn plain_bitmap(bitmap: u64) -> Cluster {
        if bitmap & 0xffff_ffff == 0 { Cluster::ZeroPlain } else { Cluster::Invalid }
    }

    /// "Compressed Clusters Descriptor": `x = 62 - (cluster_bits - 8)` bits of byte offset, then the
    /// number of further 512-byte sectors.
    const fn compressed(self, value: u64) -> Cluster {
        let x = 62_u32.wrapping_sub(self.geometry.cluster_bits().wrapping_sub(8));
        let offset = value & 1_u64.wrapping_shl(x).wrapping_sub(1);
        let sectors = (value & !(COPIED | COMPRESSED)).wrapping_shr(x).saturating_add(1);
        let len = sectors.saturating_mul(512).saturating_sub(offset & 511);
        if offset > MAX_HOST_OFFSET || value & COPIED != 0 {
            return Cluster::Invalid;
        }
        Cluster::Compressed { offset, len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(version: u32, extended: bool) -> L2Format {
        L2Format { geometry: Geometry::new(16, 4, extended).unwrap(), version }
    }

    #[test]
    fn standard_entries() {
        let f = format(3, false);
        assert_eq!(f.decode(0, 0), Cluster::Unallocated);
        assert_eq!(f.decode(1, 0), Cluster::ZeroPlain);
        assert_eq!(f.decode(COPIED | 0x50000, 0), Cluster::Allocated(0x50000));
        assert_eq!(f.decode(COPIED | 0x50001, 0), Cluster::ZeroAllocated(0x50000));
        assert_eq!(f.decode(COPIED | 0x50200, 0), Cluster::Invalid);
        assert_eq!(f.decode(COPIED | 0x50002, 0), Cluster::Invalid);
        assert_eq!(f.decode(1 << 60 | 0x50000, 0), Cluster::Invalid);
        assert_eq!(format(2, false).decode(1, 0), Cluster::Invalid, "version 2 has no zero flag");
    }

    #[test]
    fn compressed_entries_count_sectors() {
        let f = format(3, false);
        let entry = COMPRESSED | 3 << 54 | 0x5_0123;
        assert_eq!(f.decode(entry, 0), Cluster::Compressed { offset: 0x5_0123, len: 4 * 512 - 0x123 });
    }

    #[test]
    fn extended_entries() {
        let f = format(3, true);
        assert_eq!(f.decode(0, 0), Cluster::Unallocated);
        assert_eq!(f.decode(0, 0xffff_ffff_0000_0000), Cluster::ZeroPlain);
        assert_eq!(f.decode(0, 1), Cluster::Invalid);
        assert_eq!(f.decode(COPIED | 0x50000, 1), Cluster::Allocated(0x50000));
        assert_eq!(f.decode(COPIED | 0x50001, 1), Cluster::Invalid);
    }

    #[test]
    fn table_entries() {
        let g = Geometry::new(16, 4, false).unwrap();
        assert_eq!(TableEntry::l1(0, g), TableEntry::Empty);
        assert_eq!(TableEntry::l1(COPIED | 0x40000, g), TableEntry::At(0x40000));
        assert_eq!(TableEntry::l1(0x40001, g), TableEntry::Invalid);
        assert_eq!(TableEntry::l1(COPIED, g), TableEntry::Invalid);
        assert_eq!(TableEntry::refcount(0x20000, g), TableEntry::At(0x20000));
        assert_eq!(TableEntry::refcount(0x20200, g), TableEntry::Invalid);
        assert_eq!(TableEntry::refcount(u64::MAX << 16, g), TableEntry::Invalid);
    }
}
