//! QED, the QEMU Enhanced Disk Format (QEMU's `docs/interop/qed_spec.txt`): a header, an L1 table, L2
//! tables and data clusters. Every word is little-endian, every place a byte offset and a multiple of
//! the cluster size. There are no refcounts: what no table names is free.

mod header;

pub use header::{Header, NAME_LEN, PARSE_LEN, at, features};

/// Bytes of an entry of a table ("Tables").
pub const ENTRY_LEN: u64 = 8;

/// What an entry of an L2 table says of a cluster ("Data cluster offsets").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// Nothing: the cluster is the backing file's, or zeros.
    Unallocated,
    /// The cluster is zeros, whatever the backing file has.
    Zero,
    /// The cluster lies at this offset.
    At(u64),
    /// What cannot be a cluster's place in this file.
    Invalid,
}

impl Header {
    /// What an entry of an L2 table means in this image.
    #[must_use]
    pub const fn cluster(&self, entry: u64) -> Cluster {
        match entry {
            0 => Cluster::Unallocated,
            1 => Cluster::Zero,
            offset if self.is_cluster(offset) => Cluster::At(offset),
            _ => Cluster::Invalid,
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
