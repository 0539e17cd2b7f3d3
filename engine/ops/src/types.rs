//! Requests and outcomes of the four operations: the words that every engine and the command line share.

use crate::{Encryption, Label, Links};
use instar_abi::config::{MAX_FILE_NAME, MAX_WORD};
pub use instar_planner::{Identity, Preallocation, ResizeAction, SizeRequest};

/// A disk image format, as far as an operation knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// No metadata: the file is the disk.
    Raw,
    /// QEMU copy-on-write, versions 2 and 3.
    Qcow2,
    /// LUKS, version 1.
    Luks,
    /// QEMU Enhanced Disk.
    Qed,
    /// Virtual Hard Disk, QEMU's vpc.
    Vhd,
    /// Its successor.
    Vhdx,
    /// VMware's.
    Vmdk,
}

/// What to resize, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResizeRequest {
    /// The format the user named; `None` lets the image be probed.
    pub format: Option<Format>,
    /// The new size.
    pub size: SizeRequest,
    /// Whether data beyond the new end may be thrown away.
    pub shrink: bool,
    /// What to allocate for a new area.
    pub preallocation: Preallocation,
    /// For what is new in the image.
    pub identity: Identity,
}

/// What a resize did. The file is to be given `file_size_after` bytes (and, if `preallocate` says
/// so, space) by whoever holds it: no device that an operation sees can do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResizeOutcome {
    /// The format that was resized.
    pub format: Format,
    /// Grown, shrunk or neither.
    pub action: ResizeAction,
    /// Virtual size before, in bytes.
    pub old_virtual_size: u64,
    /// Virtual size after, in bytes.
    pub new_virtual_size: u64,
    /// Length of the file before, in bytes.
    pub file_size_before: u64,
    /// Length that the file must be given, in bytes.
    pub file_size_after: u64,
    /// A byte range `(offset, len)` of the file to allocate as the request's preallocation says.
    pub preallocate: Option<(u64, u64)>,
    /// Length that the external data file must be given in bytes, if the image has one.
    pub data_file_size_after: Option<u64>,
    /// What becomes of the files of its extents, if they have files of their own.
    pub extents_after: Option<ExtentsAfter>,
}

/// What becomes of the files that a disk's extents have, once its descriptor is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtentsAfter {
    /// How many are still a part of the disk; the others are to be removed.
    pub kept: u32,
    /// Length in bytes that the last of them must be given, if it must.
    pub last_len: Option<u64>,
    /// Whether the descriptor must be in its place before the extents change: the same resize is then to be asked for
    /// once more.
    pub again: bool,
}

/// What to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InfoRequest {
    /// The format the user named; `None` lets the image be probed.
    pub format: Option<Format>,
}

/// What to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckRequest {
    /// The format the user named; `None` lets the image be probed.
    pub format: Option<Format>,
    /// What to repair of what is found.
    pub repair: Repair,
    /// Whether the passphrase of an encrypted image is known.
    pub unlocked: bool,
    /// For what a repair makes anew.
    pub identity: Identity,
}

/// What a check is to repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repair {
    /// Nothing; the image is not written to.
    #[default]
    Nothing,
    /// Leaked clusters and, if nothing else is wrong, COPIED flags: what cannot make anything worse.
    Leaks,
    /// Whatever can be repaired. The refcount structures are replaced if they are unusable.
    All,
}

/// What to unlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnlockRequest {
    /// The format the user named; `None` lets the image be probed.
    pub format: Option<Format>,
    /// What the image is said to be encrypted with; [`Encryption::None`] for what nobody here knows.
    pub expected: Option<Encryption>,
}

/// What to create, in a file that is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateRequest {
    /// The format of the new image.
    pub format: Format,
    /// Virtual size in bytes, rounded up by the operation as the format asks.
    pub size: u64,
    /// qcow2's own options; of a raw image only what to allocate.
    pub qcow2: Qcow2Options,
    /// VHD's own options.
    pub vhd: VhdOptions,
    /// VHDX's own options.
    pub vhdx: VhdxOptions,
    /// VMDK's own options.
    pub vmdk: VmdkOptions,
    /// For what is new in the image.
    pub identity: Identity,
}

impl CreateRequest {
    /// An image of `size` bytes with the options that `qemu-img` chooses by itself.
    #[must_use]
    pub fn new(format: Format, size: u64) -> Self {
        Self {
            format,
            size,
            qcow2: Qcow2Options::default(),
            vhd: VhdOptions::default(),
            vhdx: VhdxOptions::default(),
            vmdk: VmdkOptions::default(),
            identity: Identity::default(),
        }
    }
}

/// Options of a new VHD image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VhdOptions {
    /// `subformat=fixed`: the disk and a footer.
    pub fixed: bool,
    /// `force_size=on`: exactly the size that was asked for, which no geometry needs to fit.
    pub force_size: bool,
}

/// Options of a new VHDX image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VhdxOptions {
    /// `subformat=fixed`: every block has its place.
    pub fixed: bool,
    /// Bytes of the log.
    pub log_size: u64,
    /// Bytes of a block; 0 for a size that suits the disk.
    pub block_size: u64,
    /// `block_state_zero`: whether blocks that were never written are said to be zeros.
    pub block_state_zero: bool,
}

impl Default for VhdxOptions {
    /// What `qemu-img create` chooses.
    fn default() -> Self {
        Self { fixed: false, log_size: 1 << 20, block_size: 0, block_state_zero: true }
    }
}

/// Options of a new VMDK image. Its backing file is named as qcow2's is ([`Qcow2Options::links`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VmdkOptions {
    /// What the image is made of.
    pub subformat: VmdkSubformat,
    /// `compat6=on`.
    pub compat6: bool,
    /// `zeroed_grain=on`.
    pub zeroed_grain: bool,
    /// `adapter_type`.
    pub adapter: VmdkAdapter,
    /// `hwversion`; empty for what `compat6` makes of it.
    pub hardware: Label<MAX_WORD>,
    /// `toolsversion`; empty for that of no tools.
    pub tools: Label<MAX_WORD>,
    /// The name of the image's file, without its directory.
    pub name: Label<MAX_FILE_NAME>,
    /// What identifies the content of the backing file, if there is one.
    pub parent_cid: Option<u32>,
}

impl VmdkOptions {
    /// The hardware version.
    #[must_use]
    pub fn hardware_version(&self) -> &[u8] {
        match self.hardware.as_bytes() {
            b"" if self.compat6 => b"6",
            b"" => b"4",
            named => named,
        }
    }

    /// The version of the guest's tools.
    #[must_use]
    pub fn tools_version(&self) -> &[u8] {
        match self.tools.as_bytes() {
            b"" => b"2147483647",
            named => named,
        }
    }
}

/// The controller that a disk is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VmdkAdapter {
    /// IDE, with 16 heads.
    #[default]
    Ide,
    /// BusLogic.
    BusLogic,
    /// LSI Logic.
    LsiLogic,
    /// That of old ESX servers.
    LegacyEsx,
}

impl VmdkAdapter {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ide => "ide",
            Self::BusLogic => "buslogic",
            Self::LsiLogic => "lsilogic",
            Self::LegacyEsx => "legacyESX",
        }
    }
}

/// What a VMDK image is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VmdkSubformat {
    /// One sparse extent with the descriptor in it.
    #[default]
    MonolithicSparse,
    /// A descriptor, and the disk in one file.
    MonolithicFlat,
    /// A descriptor, and sparse extents of 2 GiB.
    TwoGbMaxExtentSparse,
    /// A descriptor, and the disk in files of 2 GiB.
    TwoGbMaxExtentFlat,
    /// Compressed, to be read from front to back.
    StreamOptimized,
}

impl VmdkSubformat {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MonolithicSparse => "monolithicSparse",
            Self::MonolithicFlat => "monolithicFlat",
            Self::TwoGbMaxExtentSparse => "twoGbMaxExtentSparse",
            Self::TwoGbMaxExtentFlat => "twoGbMaxExtentFlat",
            Self::StreamOptimized => "streamOptimized",
        }
    }
}

/// Options of a new qcow2 image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qcow2Options {
    /// 2 (`compat=0.10`) or 3 (`compat=1.1`).
    pub version: u32,
    /// log2 of the cluster size in bytes: 9 to 21.
    pub cluster_bits: u32,
    /// Width of a refcount in bits: 1, 2, 4, 8, 16, 32 or 64.
    pub refcount_bits: u32,
    /// `lazy_refcounts=on`.
    pub lazy_refcounts: bool,
    /// `extended_l2=on`.
    pub extended_l2: bool,
    /// `compression_type=zstd` instead of zlib.
    pub zstd: bool,
    /// What to allocate for the disk.
    pub preallocation: Preallocation,
    /// The files that it names.
    pub links: Links,
}

impl Default for Qcow2Options {
    /// What `qemu-img create` of 5.1 and later chooses.
    fn default() -> Self {
        Self {
            version: 3,
            cluster_bits: 16,
            refcount_bits: 16,
            lazy_refcounts: false,
            extended_l2: false,
            zstd: false,
            preallocation: Preallocation::Off,
            links: Links::default(),
        }
    }
}
