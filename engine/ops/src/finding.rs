//! What `check` has to say: counts, and one thing after the other.

use crate::{Damage, Format};

/// The counts of a check, in clusters unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckReport {
    /// The format that was checked.
    pub format: Format,
    /// Errors that kept a part of the check from running.
    pub check_errors: u64,
    /// Errors that endanger data.
    pub corruptions: u64,
    /// Clusters that nothing refers to.
    pub leaks: u64,
    /// Errors that were repaired and are no more.
    pub corruptions_fixed: u64,
    /// Leaked clusters that were given back.
    pub leaks_fixed: u64,
    /// End of the last cluster in use, in bytes, rounded up to a cluster; 0 for none.
    pub image_end_offset: u64,
    /// Clusters of the virtual disk.
    pub total_clusters: u64,
    /// Of them, those with a place in the file.
    pub allocated_clusters: u64,
    /// Of them, those that do not follow their predecessor in the file.
    pub fragmented_clusters: u64,
    /// Of them, the compressed ones.
    pub compressed_clusters: u64,
}

impl CheckReport {
    /// Nothing found, of a disk of `total_clusters` clusters.
    pub(crate) const fn new(total_clusters: u64) -> Self {
        Self {
            format: Format::Qcow2,
            check_errors: 0,
            corruptions: 0,
            leaks: 0,
            corruptions_fixed: 0,
            leaks_fixed: 0,
            image_end_offset: 0,
            total_clusters,
            allocated_clusters: 0,
            fragmented_clusters: 0,
            compressed_clusters: 0,
        }
    }
}

/// One thing a check found or, if it says `fixed`, repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckFinding {
    /// More refcount than references: space is lost, no data.
    Leak {
        /// Host cluster index.
        cluster: u64,
        /// What the refcount block says.
        refcount: u64,
        /// How many references there are.
        references: u64,
        /// Whether the refcount was set to them.
        fixed: bool,
    },
    /// Fewer refcount than references: a write may destroy data.
    Refcount {
        /// Host cluster index.
        cluster: u64,
        /// What the refcount block says.
        refcount: u64,
        /// How many references there are.
        references: u64,
        /// Whether the refcount was set to them.
        fixed: bool,
    },
    /// An entry of a table cannot be right.
    Entry {
        /// What is wrong with it.
        fault: Fault,
        /// Which table.
        table: Table,
        /// Byte offset of the entry in the file.
        offset: u64,
        /// The entry itself.
        value: u64,
        /// What the fault is about, as its documentation says.
        about: [u64; 2],
        /// Whether it was replaced by one that reads as the guest saw it.
        fixed: bool,
    },
    /// The COPIED flag of an entry does not say what the refcount says.
    Copied {
        /// Which table.
        table: Table,
        /// Index of the entry in its table, if that is the L1 table; else 0.
        index: u64,
        /// The entry itself.
        value: u64,
        /// What the refcount block says.
        refcount: u64,
        /// Whether the flag was set right.
        fixed: bool,
    },
    /// The refcount of a cluster cannot be read.
    Unreadable {
        /// Host cluster index.
        cluster: u64,
    },
    /// The refcount structures cannot be repaired where they stand, and nobody asked for new ones.
    NeedsRebuild,
    /// The refcount structures are being replaced by new ones.
    Rebuilding,
    /// The image was not closed properly, and is repaired before anything else is done to it.
    Unclean,
    /// Something that a number and its details tell.
    Damage {
        /// What.
        what: Damage,
        /// Whether it was repaired.
        fixed: bool,
    },
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Something else than the following.
    Other,
    /// Bits that must be zero are not. About, in the refcount table: the index of the entry.
    Reserved,
    /// It names a table or a block that does not begin a cluster. About: that offset in bytes; in
    /// the refcount table, the index of the entry.
    Unaligned,
    /// It names a data cluster that does not begin where clusters do. About: that offset in bytes.
    DataUnaligned,
    /// The same of a cluster that reads as zeros whatever is in it.
    ZeroUnaligned,
    /// It names what lies past the end of the file. About: offset and length in bytes.
    PastEnd,
    /// It names a cluster once more than a refcount can say. About: the cluster's offset in bytes.
    Overflow,
    /// A compressed cluster with a COPIED flag. About: the cluster's offset in bytes.
    CopiedCompressed,
    /// Subclusters that are both allocated and zero. About: the cluster's offset in bytes.
    Subclusters,
    /// Subclusters of a cluster that is not there.
    NoCluster,
    /// A refcount block past the end of the file. About: the index of the entry.
    BlockPastEnd,
    /// A refcount block that something else names too. About: the index of the entry, and how many name it.
    BlockShared,
}

/// The tables of a qcow2 image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The active L1 table.
    L1,
    /// An L2 table.
    L2,
    /// The refcount table.
    RefcountTable,
}
