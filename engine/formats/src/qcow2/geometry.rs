//! Sizes that follow from the header's shifts. Everything is bounded by construction: cluster
//! sizes by 2^21, table entries by the specification's limits.

use crate::ImageError;

/// Smallest cluster: 512 bytes.
pub const MIN_CLUSTER_BITS: u32 = 9;
/// Largest cluster: 2 MiB.
pub const MAX_CLUSTER_BITS: u32 = 21;
/// Largest refcount width: 2^6 bits.
pub const MAX_REFCOUNT_ORDER: u32 = 6;
/// Most entries of an active L1 table: 32 MiB of them.
pub const MAX_L1_ENTRIES: u64 = (32 << 20) / 8;
/// Largest refcount table in bytes.
pub const MAX_REFCOUNT_TABLE_BYTES: u64 = 8 << 20;
/// Subclusters of a cluster with an extended L2 entry.
pub const SUBCLUSTERS: u64 = 32;
/// Smallest subcluster in bytes.
const MIN_SUBCLUSTER: u64 = 512;

/// Cluster size, refcount width and L2 entry size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    cluster_bits: u32,
    refcount_order: u32,
    extended_l2: bool,
}

impl Geometry {
    /// # Errors
    /// [`ImageError`] if a shift is outside what the specification allows.
    pub const fn new(cluster_bits: u32, refcount_order: u32, extended_l2: bool) -> Result<Self, ImageError> {
        if cluster_bits < MIN_CLUSTER_BITS || cluster_bits > MAX_CLUSTER_BITS {
            return Err(ImageError::ClusterSize { bits: cluster_bits as u64 });
        }
        let subcluster = 1_u64.wrapping_shl(cluster_bits) / SUBCLUSTERS;
        if extended_l2 && subcluster < MIN_SUBCLUSTER {
            return Err(ImageError::SubclusterSize { bytes: subcluster });
        }
        if refcount_order > MAX_REFCOUNT_ORDER {
            return Err(ImageError::RefcountWidth);
        }
        Ok(Self { cluster_bits, refcount_order, extended_l2 })
    }

    /// log2 of the cluster size in bytes.
    #[must_use]
    pub const fn cluster_bits(self) -> u32 {
        self.cluster_bits
    }

    /// log2 of the width of a refcount in bits.
    #[must_use]
    pub const fn refcount_order(self) -> u32 {
        self.refcount_order
    }

    /// Whether L2 entries are 16 bytes with a subcluster bitmap.
    #[must_use]
    pub const fn extended_l2(self) -> bool {
        self.extended_l2
    }

    /// Cluster size in bytes.
    #[must_use]
    pub const fn cluster_size(self) -> u64 {
        1_u64.wrapping_shl(self.cluster_bits)
    }

    /// Size of an L2 entry in bytes.
    #[must_use]
    pub const fn l2_entry_size(self) -> u64 {
        if self.extended_l2 { 16 } else { 8 }
    }

    /// log2 of the entries of an L2 table.
    #[must_use]
    pub const fn l2_bits(self) -> u32 {
        self.cluster_bits.wrapping_sub(if self.extended_l2 { 4 } else { 3 })
    }

    /// Entries of an L2 table.
    #[must_use]
    pub const fn l2_entries(self) -> u64 {
        1_u64.wrapping_shl(self.l2_bits())
    }

    /// log2 of the guest bytes that one L1 entry covers.
    #[must_use]
    pub const fn l1_coverage_bits(self) -> u32 {
        self.cluster_bits.wrapping_add(self.l2_bits())
    }

    /// Clusters that hold `bytes` bytes.
    #[must_use]
    pub const fn clusters(self, bytes: u64) -> u64 {
        div_up(bytes, self.cluster_bits)
    }

    /// `bytes` rounded down to a cluster.
    #[must_use]
    pub const fn align_down(self, bytes: u64) -> u64 {
        bytes & !self.offset_mask()
    }

    /// `bytes` rounded up to a cluster; saturates.
    #[must_use]
    pub const fn align_up(self, bytes: u64) -> u64 {
        self.align_down(bytes.saturating_add(self.offset_mask()))
    }

    /// `bytes` within its cluster.
    #[must_use]
    pub const fn in_cluster(self, bytes: u64) -> u64 {
        bytes & self.offset_mask()
    }

    const fn offset_mask(self) -> u64 {
        self.cluster_size().wrapping_sub(1)
    }

    /// The byte offset of cluster `index`; saturates.
    #[must_use]
    pub const fn offset(self, index: u64) -> u64 {
        index.saturating_mul(self.cluster_size())
    }

    /// The cluster that byte `offset` lies in.
    #[must_use]
    pub const fn cluster(self, offset: u64) -> u64 {
        offset.wrapping_shr(self.cluster_bits)
    }

    /// L1 entries that a disk of `virtual_size` bytes needs.
    #[must_use]
    pub const fn l1_entries(self, virtual_size: u64) -> u64 {
        div_up(virtual_size, self.l1_coverage_bits())
    }

    /// Entries of a refcount block.
    #[must_use]
    pub const fn refcounts_per_block(self) -> u64 {
        1_u64.wrapping_shl(self.refcounts_per_block_bits())
    }

    /// log2 of the entries of a refcount block.
    #[must_use]
    pub const fn refcounts_per_block_bits(self) -> u32 {
        self.cluster_bits.wrapping_add(3).wrapping_sub(self.refcount_order)
    }

    /// Entries of 8 bytes that one cluster of a table holds.
    #[must_use]
    pub const fn table_entries_per_cluster(self) -> u64 {
        self.cluster_size() / 8
    }
}

const fn div_up(value: u64, bits: u32) -> u64 {
    let low = 1_u64.wrapping_shl(bits).wrapping_sub(1);
    value.wrapping_shr(bits).saturating_add(if value & low == 0 { 0 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_image() {
        let g = Geometry::new(16, 4, false).unwrap();
        assert_eq!(g.cluster_size(), 65536);
        assert_eq!(g.l2_entries(), 8192);
        assert_eq!(g.l1_entries(1 << 30), 2);
        assert_eq!(g.l1_entries((1 << 30) + 1), 3);
        assert_eq!(g.refcounts_per_block(), 32768);
        assert_eq!(g.align_up(65537), 131_072);
        assert_eq!(g.align_up(u64::MAX), !0xffff);
    }

    #[test]
    fn the_limits_of_the_format_fit() {
        for bits in MIN_CLUSTER_BITS..=MAX_CLUSTER_BITS {
            let g = Geometry::new(bits, 0, false).unwrap();
            let max = MAX_L1_ENTRIES << g.l1_coverage_bits();
            assert_eq!(g.l1_entries(max), MAX_L1_ENTRIES);
            assert!(g.l1_entries(max + 1) > MAX_L1_ENTRIES);
        }
        assert!(Geometry::new(8, 4, false).is_err());
        assert!(Geometry::new(22, 4, false).is_err());
        assert_eq!(Geometry::new(13, 4, true), Err(ImageError::SubclusterSize { bytes: 256 }));
        assert!(Geometry::new(14, 4, true).is_ok());
        assert!(Geometry::new(16, 7, false).is_err());
    }
}
