//! The arithmetic of a qcow2 layout, from the specification.

use crate::{Qcow2, Qed};

/// Bytes of a sector, the unit of a qcow2 image's virtual size.
pub const SECTOR: u64 = 512;

/// The most bytes that qemu lets an L1 table have; readers refuse to open more.
pub const MAX_L1_BYTES: u64 = 32 << 20;

/// The largest length that the block layer takes: 2^63 - 2^30.
pub const MAX_LENGTH: u64 = (1 << 63) - (1 << 30);

impl Qcow2 {
    /// Bytes of a cluster.
    pub fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Entries of an L2 table: 8 bytes each, 16 with extended L2.
    pub fn l2_entries(&self) -> u64 {
        self.cluster_size() / if self.extended_l2 { 16 } else { 8 }
    }

    /// Guest bytes that one L2 table maps.
    pub fn l2_coverage(&self) -> u64 {
        self.cluster_size() * self.l2_entries()
    }

    /// L1 entries that an image of `size` bytes needs.
    pub fn l1_entries(&self, size: u64) -> u64 {
        size.div_ceil(self.l2_coverage())
    }

    /// Clusters whose refcounts one refcount block holds.
    pub fn refcount_coverage(&self) -> u64 {
        self.cluster_size() * 8 / u64::from(self.refcount_bits)
    }

    /// The largest virtual size that the format holds at this cluster size, in bytes.
    pub fn max_size(&self) -> u64 {
        let by_l1 = u128::from(MAX_L1_BYTES / 8) * u128::from(self.l2_coverage());
        u64::try_from(by_l1).unwrap_or(u64::MAX).min(MAX_LENGTH / SECTOR * SECTOR)
    }
}

impl Qed {
    /// Bytes of a cluster.
    pub fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Entries of a table, of 8 bytes each.
    fn entries(&self) -> u64 {
        u64::from(self.table_size) * self.cluster_size() / 8
    }

    /// Guest bytes that one L2 table maps.
    pub fn l2_coverage(&self) -> u64 {
        self.cluster_size() * self.entries()
    }

    /// The largest virtual size that the one L1 table maps, in bytes.
    pub fn max_size(&self) -> u64 {
        self.l2_coverage().saturating_mul(self.entries()).min(MAX_LENGTH / SECTOR * SECTOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(cluster_bits: u8, extended_l2: bool) -> Qcow2 {
        Qcow2 { cluster_bits, extended_l2, ..Qcow2::default() }
    }

    #[test]
    fn limits_as_measured() {
        assert_eq!(options(9, false).max_size(), 128 << 30);
        assert_eq!(options(16, false).max_size(), 2 << 50);
        assert_eq!(options(16, true).max_size(), 1 << 50);
        assert_eq!(options(21, false).max_size(), 2 << 60);
    }
}
