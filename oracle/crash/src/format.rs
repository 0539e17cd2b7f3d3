//! The header and the L2 entries of qcow2, as QEMU's `docs/interop/qcow2.txt` has them. All integers are big-endian.

use crate::image::Image;

/// Bytes of a version 2 header.
const V2_HEADER: u64 = 72;
/// "QFI\xfb"
const MAGIC: u64 = 0x5146_49fb;
/// Bits 9 to 55 of a table entry: a host offset.
pub const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Bit 63 of an entry: the refcount of what it names is exactly one.
pub const COPIED: u64 = 1 << 63;
/// Bit 62 of an L2 entry: a compressed cluster.
pub const COMPRESSED: u64 = 1 << 62;
/// Bit 0 of a standard L2 entry: the cluster reads as zeros.
pub const ZERO: u64 = 1;
/// Incompatible feature bit 0: refcounts may be wrong, and are repaired before anybody writes.
pub const DIRTY: u64 = 1;
/// Incompatible feature bit 2: guest data lies in another file.
const DATA_FILE: u64 = 1 << 2;
/// Incompatible feature bit 3: the header has a compression type.
const COMPRESSION: u64 = 1 << 3;
/// Incompatible feature bit 4: L2 entries have subcluster bitmaps.
const EXTENDED_L2: u64 = 1 << 4;
/// Subclusters of a cluster with extended L2 entries.
pub const SUBCLUSTERS: u64 = 32;

/// The fields of the header that matter here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header {
    /// log2 of the cluster size.
    pub cluster_bits: u64,
    /// Virtual size in bytes.
    pub size: u64,
    /// Incompatible features.
    pub incompatible: u64,
    /// Entries of the L1 table.
    pub l1_size: u64,
    /// Byte offset of the L1 table.
    pub l1_offset: u64,
    /// Byte offset of the refcount table.
    pub table_offset: u64,
    /// Clusters of the refcount table.
    pub table_clusters: u64,
    /// log2 of the bits of a refcount.
    pub refcount_order: u64,
    /// Internal snapshots.
    pub snapshots: u64,
    /// Byte offset of their table.
    pub snapshots_offset: u64,
    /// Autoclear features.
    pub autoclear: u64,
    /// Bytes of the header before its extensions.
    pub header_len: u64,
    /// Whether guest data is encrypted.
    pub encrypted: bool,
    /// Whether clusters are compressed by something else than deflate.
    pub other_packing: bool,
}

impl Header {
    /// Reads the header (qcow2.txt, "Header").
    ///
    /// # Errors
    /// What makes it no header.
    pub fn read(image: &Image) -> Result<Self, String> {
        let mut bytes = [0; 105];
        image.read(0, &mut bytes);
        let be = |at: usize, len: usize| bytes[at..at + len].iter().fold(0, |n, b| n << 8 | u64::from(*b));
        let version = be(4, 4);
        let from_v3 = |at, len, v2| if version == 2 { v2 } else { be(at, len) };
        let header = Self {
            cluster_bits: be(20, 4),
            size: be(24, 8),
            l1_size: be(36, 4),
            l1_offset: be(40, 8),
            table_offset: be(48, 8),
            table_clusters: be(56, 4),
            incompatible: from_v3(72, 8, 0),
            refcount_order: from_v3(96, 4, 4),
            snapshots: be(60, 4),
            snapshots_offset: be(64, 8),
            autoclear: from_v3(88, 8, 0),
            header_len: from_v3(100, 4, V2_HEADER),
            encrypted: be(32, 4) != 0,
            other_packing: from_v3(72, 8, 0) & COMPRESSION != 0 && be(104, 1) != 0,
        };
        let sane = be(0, 4) == MAGIC
            && matches!(version, 2 | 3)
            && (9..=21).contains(&header.cluster_bits)
            && header.refcount_order <= 6
            && header.l1_size <= 4 << 20
            && header.table_clusters <= 8 << 20 >> header.cluster_bits;
        if sane { Ok(header) } else { Err("the header makes no sense".into()) }
    }

    /// Cluster size in bytes.
    #[must_use]
    pub const fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Whether L2 entries have subcluster bitmaps.
    #[must_use]
    pub const fn extended(&self) -> bool {
        self.incompatible & EXTENDED_L2 != 0
    }

    /// Whether guest data lies in another file, where byte 0 is a place and nothing is counted.
    #[must_use]
    pub const fn has_data_file(&self) -> bool {
        self.incompatible & DATA_FILE != 0
    }

    /// L2 entries of a table.
    pub const fn per_table(&self) -> u64 {
        self.cluster() / if self.extended() { 16 } else { 8 }
    }
}

/// Where a guest cluster's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: they are zeros.
    Zeros,
    /// At this host offset.
    Host(u64),
    /// At this host offset, but only the subclusters of this mask; the others are zeros.
    Subclusters(u64, u64),
    /// Compressed, in this range of whole sectors.
    Compressed(u64, u64),
}

/// An L2 entry that is not all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The guest cluster.
    pub guest: u64,
    /// The entry.
    pub value: u64,
    /// The subcluster bitmap behind it, if it has one.
    pub bitmap: u64,
}

impl Entry {
    /// Where the bytes are that it stands for (qcow2.txt, "L2 table entries").
    #[must_use]
    pub const fn place(&self, header: &Header) -> Place {
        let host = self.value & OFFSET;
        if self.value & COMPRESSED != 0 {
            // Offset in the low x bits, additional sectors above them, x = 62 - (cluster_bits - 8).
            let x = 62 - (header.cluster_bits - 8);
            let start = self.value & ((1 << x) - 1);
            let sectors = (self.value & !(COPIED | COMPRESSED)) >> x;
            return Place::Compressed(start, (start & !511) + (sectors + 1) * 512);
        }
        let is_placed = host != 0 || (header.has_data_file() && self.value & COPIED != 0);
        match (is_placed, header.extended()) {
            (false, _) => Place::Zeros,
            (_, true) => Place::Subclusters(host, self.bitmap & ((1 << SUBCLUSTERS) - 1)),
            (_, false) if self.value & ZERO != 0 => Place::Zeros,
            (_, false) => Place::Host(host),
        }
    }

    /// Host clusters that it refers to, first and one past the last.
    pub const fn refers(&self, header: &Header) -> (u64, u64) {
        match self.place(header) {
            _ if header.has_data_file() => (0, 0),
            Place::Compressed(start, end) => (start >> header.cluster_bits, end.div_ceil(header.cluster())),
            _ if self.value & OFFSET == 0 => (0, 0),
            _ => {
                let cluster = (self.value & OFFSET) >> header.cluster_bits;
                (cluster, cluster + 1)
            }
        }
    }
}
