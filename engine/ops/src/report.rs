//! What `info` has to say.

use crate::{Cipher, Format, Hash, IvGen, Mode};

/// A name as an image stores it: bytes, not necessarily UTF-8. 1023 bytes is the longest that
/// qcow2 allows for a backing file; bitmap names reach it too.
pub type Name = heapless::Vec<u8, 1023>;

/// What there is to say about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    /// Its format.
    pub format: Format,
    /// Virtual size in bytes.
    pub virtual_size: u64,
    /// Cluster size in bytes, where the format has clusters.
    pub cluster_size: Option<u64>,
    /// Whether the image was not closed properly.
    pub dirty: bool,
    /// Whether its content is encrypted.
    pub encrypted: bool,
    /// Backing file name, empty for none.
    pub backing_file: Name,
    /// Backing format name, empty for none.
    pub backing_format: Name,
    /// What only qcow2 has.
    pub qcow2: Option<Qcow2Info>,
    /// What its LUKS header says, if it is encrypted with LUKS.
    pub luks: Option<LuksInfo>,
    /// What only VMDK has.
    pub vmdk: Option<VmdkInfo>,
}

/// What only VMDK has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmdkInfo {
    /// Identifies the content.
    pub cid: u32,
    /// That of the parent, all ones for none.
    pub parent_cid: u32,
    /// The word for the kind of image.
    pub create_type: Name,
}

/// A part of a disk that is in several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Its file, relative to the image's directory; empty for the image's own file.
    pub name: Name,
    /// What it is.
    pub kind: ExtentKind,
    /// Its part of the disk in bytes.
    pub virtual_size: u64,
    /// Bytes of a grain, if it is known to have grains.
    pub cluster_size: Option<u64>,
    /// Whether its grains are compressed.
    pub compressed: bool,
}

/// What an extent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentKind {
    /// In the image's own file.
    Own,
    /// The disk's bytes.
    Flat,
    /// With tables of its own.
    Sparse,
    /// The disk's bytes, in ESX's words.
    Vmfs,
}

impl ExtentKind {
    /// The word for it that `qemu-img info` has.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::Flat => "FLAT",
            Self::Sparse => "SPARSE",
            Self::Vmfs => "VMFS",
        }
    }
}

/// What a LUKS header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LuksInfo {
    /// The cipher.
    pub cipher: Cipher,
    /// Bits of its key; XTS takes two of these.
    pub key_bits: u32,
    /// Its mode.
    pub mode: Mode,
    /// Its initial vectors.
    pub ivgen: IvGen,
    /// The hash of everything but initial vectors.
    pub hash: Hash,
    /// UUID as text, ended by zeros.
    pub uuid: [u8; 40],
    /// Where the disk begins, in bytes from the header.
    pub payload_offset: u64,
    /// Rounds of PBKDF2 for the digest of the master key.
    pub master_key_rounds: u32,
    /// Key slots.
    pub slots: [LuksSlot; 8],
}

/// A key slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LuksSlot {
    /// Whether it is in use.
    pub active: bool,
    /// Rounds of PBKDF2.
    pub rounds: u32,
    /// Into how many pieces its key is split.
    pub stripes: u32,
    /// Where its key material lies, in bytes from the header.
    pub material: u64,
}

/// What only qcow2 has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qcow2Info {
    /// 2 or 3.
    pub version: u32,
    /// Width of a refcount in bits.
    pub refcount_bits: u32,
    /// Whether refcounts may be stale after a crash.
    pub lazy_refcounts: bool,
    /// Whether the corrupt bit is set.
    pub corrupt: bool,
    /// Whether L2 entries have subclusters.
    pub extended_l2: bool,
    /// Whether compressed clusters are zstd.
    pub zstd: bool,
    /// External data file name, if the image has one (possibly empty).
    pub data_file: Option<Name>,
    /// Whether the external data file is a raw image of its own.
    pub data_file_raw: bool,
}

/// One of the things an image may have many of. There is no heap to box the larger one on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)]
pub enum InfoItem {
    /// An internal snapshot.
    Snapshot(Snapshot),
    /// A persistent dirty bitmap.
    Bitmap(Bitmap),
    /// An extent, in the order of the disk.
    Extent(Extent),
}

/// An internal snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id, a decimal number by custom.
    pub id: Name,
    /// Its name.
    pub name: Name,
    /// Size of the saved machine state in bytes.
    pub vm_state_size: u64,
    /// When it was taken, seconds since the epoch.
    pub date_sec: u32,
    /// And nanoseconds.
    pub date_nsec: u32,
    /// Guest clock in nanoseconds.
    pub vm_clock_nsec: u64,
    /// Instruction counter, where the snapshot has one.
    pub icount: Option<u64>,
}

/// A persistent dirty bitmap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    /// Its name.
    pub name: Name,
    /// Bytes that one bit stands for.
    pub granularity: u64,
    /// Whether it was not stored properly.
    pub in_use: bool,
    /// Whether it is to be tracked at once.
    pub auto: bool,
}
