//! `Case`: one fixture, what is done to it, and what is done afterwards. JSON on disk.

use serde::{Deserialize, Serialize};

use crate::oddity::Without;
use crate::parts::{Backing, Bitmap, DataFile, MadeBy, Snapshot};
use crate::secret::Encryption;
use crate::unresized::{Vhdx, Vmdk, Vpc};

/// One test case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// How the image begins.
    pub fixture: Fixture,
    /// The resizes, in order.
    pub resizes: Vec<Resize>,
    /// Writes by another tool after the last resize, to prove that the image still works.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Write>,
}

/// How an image is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// Virtual size at creation, in bytes.
    pub size: u64,
    /// The format and its options.
    pub format: FormatOptions,
    /// Who lays the image out.
    #[serde(default)]
    pub maker: Maker,
    /// What our own layout of a VHD, VHDX or VMDK does without.
    #[serde(default, skip_serializing_if = "Without::is_empty")]
    pub without: Without,
    /// Guest writes, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Write>,
    /// Changes of layout that no qemu-img makes, applied to the finished file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tweaks: Vec<Tweak>,
    /// Which version of qemu-img makes it, if one does.
    #[serde(default, skip_serializing_if = "MadeBy::is_newest")]
    pub made_by: MadeBy,
    /// The disk behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backing: Option<Backing>,
    /// The file in which its guest data lies, if that is not the image itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_file: Option<DataFile>,
    /// Internal snapshots, in the order in which they are taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Snapshot>,
    /// Persistent bitmaps, in the order in which they are added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bitmaps: Vec<Bitmap>,
}

impl Fixture {
    /// An empty image of `size` bytes, made by qemu-img.
    pub fn new(format: FormatOptions, size: u64) -> Self {
        Self {
            size,
            format,
            maker: Maker::Qemu,
            without: Without::new(),
            writes: Vec::new(),
            tweaks: Vec::new(),
            made_by: MadeBy::Newest,
            backing: None,
            data_file: None,
            snapshots: Vec::new(),
            bitmaps: Vec::new(),
        }
    }

    /// Whether the image is one file without snapshots and bitmaps, which any reader of the format reads.
    pub fn is_plain(&self) -> bool {
        self.backing.is_none()
            && self.data_file.is_none()
            && self.snapshots.is_empty()
            && self.bitmaps.is_empty()
    }
}

/// A format with its options.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum FormatOptions {
    /// A raw file.
    Raw,
    /// A qcow2 image.
    Qcow2(Qcow2),
    /// A QED image.
    Qed(Qed),
    /// A VHD image.
    Vpc(Vpc),
    /// A VHDX image.
    Vhdx(Vhdx),
    /// A VMDK image, in one file or several.
    Vmdk(Vmdk),
    /// A LUKS file, of `qemu-img`'s own choice of ciphers.
    Luks,
}

/// Options of a QED image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qed {
    /// log2 of the cluster size: 12 to 16.
    pub cluster_bits: u8,
    /// Clusters of a table: 2, 4, 8 or 16.
    pub table_size: u8,
}

/// Options of a qcow2 image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qcow2 {
    /// 2 or 3.
    pub version: u8,
    /// log2 of the cluster size: 9 to 21.
    pub cluster_bits: u8,
    /// 1, 2, 4, 8, 16, 32 or 64.
    pub refcount_bits: u8,
    /// Lazy refcounts.
    #[serde(default)]
    pub lazy_refcounts: bool,
    /// 16-byte L2 entries with subcluster bitmaps.
    #[serde(default)]
    pub extended_l2: bool,
    /// zstd instead of zlib for compressed clusters.
    #[serde(default)]
    pub zstd: bool,
    /// `preallocation=metadata` at creation.
    #[serde(default)]
    pub preallocated: bool,
    /// Whether the host's space is allocated at creation, too: `falloc` or `full` in place of `metadata`.
    #[serde(default, skip_serializing_if = "Space::is_sparse")]
    pub space: Space,
    /// How guest data is encrypted, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// The host's space of an image that is preallocated at creation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Space {
    /// Holes.
    #[default]
    Sparse,
    /// `falloc`
    Falloc,
    /// `full`
    Full,
}

impl Space {
    /// Whether nothing is allocated.
    pub fn is_sparse(&self) -> bool {
        *self == Self::Sparse
    }
}

/// Who lays an image out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maker {
    /// qemu-img and qemu-io.
    #[default]
    Qemu,
    /// Our own builder, written from the specification.
    Own,
}

/// One write as a guest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// What kind of write.
    pub kind: WriteKind,
    /// The byte that fills it (0 for a zero write or a discard).
    pub pattern: u8,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Kinds of guest writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteKind {
    /// Data.
    Data,
    /// A write of zeros by metadata.
    Zero,
    /// A write of zeros that gives the space back (`write -z -u`).
    Unmap,
    /// A compressed cluster.
    Compressed,
    /// A discard.
    Discard,
}

/// A change of layout that no qemu-img makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Tweak {
    /// Fill the last cluster up and append so many bytes of a pattern, which nothing refers to.
    TrailingBytes {
        /// How many.
        len: u32,
    },
    /// Cut the file after the last byte in use, in the middle of its last cluster if that is where it is.
    ShortTail,
    /// Add an unknown header extension of this many bytes of data.
    HeaderExtension {
        /// Extension type.
        kind: u32,
        /// Data length in bytes.
        len: u16,
    },
    /// Set compatible feature bit `bit`, unknown to every reader.
    CompatibleBit {
        /// 8 to 63.
        bit: u8,
    },
    /// Set autoclear feature bit `bit`, unknown to every reader.
    AutoclearBit {
        /// 8 to 63.
        bit: u8,
    },
    /// Leave a hole in the refcount table: move the next free area so far out that whole blocks are skipped.
    RefcountHole {
        /// How many refcount blocks to skip.
        blocks: u8,
    },
    /// Say in the header that the L1 table has so many more (zero) entries than the size needs.
    SpareL1 {
        /// How many.
        entries: u16,
    },
    /// Leak so many clusters: refcount 1, no reference.
    Leak {
        /// How many.
        clusters: u16,
    },
    /// Set the dirty bit, and take their refcounts from so many clusters of data: an image with lazy refcounts whose
    /// writer ended badly.
    Dirty {
        /// How many.
        lost: u16,
    },
    /// Mark every bitmap as in use, as a writer that ended badly leaves it.
    InUseBitmaps,
    /// Set the corrupt bit.
    Corrupt,
}

impl Tweak {
    /// Whether opening the image for writing is more than reading its header: it is repaired or refused.
    pub fn needs_opening(&self) -> bool {
        matches!(self, Self::Dirty { .. } | Self::InUseBitmaps | Self::Corrupt)
    }
}

/// One resize.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// The SIZE word as typed: absolute, `+N` or `-N`, with or without a suffix.
    pub size: String,
    /// Whether `--shrink` is given.
    #[serde(default)]
    pub shrink: bool,
    /// `--preallocation`.
    #[serde(default)]
    pub preallocation: Preallocation,
    /// Whether the format is named with `-f` (otherwise it is probed).
    #[serde(default = "yes")]
    pub name_format: bool,
}

impl Default for Qcow2 {
    /// What `qemu-img create` makes when nothing is asked: version 3, 64 KiB clusters, 16-bit refcounts.
    fn default() -> Self {
        Self {
            version: 3,
            cluster_bits: 16,
            refcount_bits: 16,
            lazy_refcounts: false,
            extended_l2: false,
            zstd: false,
            preallocated: false,
            space: Space::Sparse,
            encryption: None,
        }
    }
}

impl FormatOptions {
    /// The qcow2 options, if this is qcow2.
    pub fn qcow2(&self) -> Option<&Qcow2> {
        match self {
            Self::Qcow2(options) => Some(options),
            _ => None,
        }
    }

    /// The QED options, if this is QED.
    pub fn qed(&self) -> Option<&Qed> {
        match self {
            Self::Qed(options) => Some(options),
            _ => None,
        }
    }

    /// Whether an image of the format has metadata, that can be checked.
    pub fn has_metadata(&self) -> bool {
        !matches!(self, Self::Raw | Self::Luks)
    }

    /// The format's name as `-f` takes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2(_) => "qcow2",
            Self::Qed(_) => "qed",
            Self::Vpc(_) => "vpc",
            Self::Vhdx(_) => "vhdx",
            Self::Vmdk(_) => "vmdk",
            Self::Luks => "luks",
        }
    }
}

fn yes() -> bool {
    true
}

/// `--preallocation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preallocation {
    /// Not given.
    #[default]
    Off,
    /// `metadata`
    Metadata,
    /// `falloc`
    Falloc,
    /// `full`
    Full,
}
