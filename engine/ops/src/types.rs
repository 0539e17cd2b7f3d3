//! Requests and outcomes of the four operations: the words that every engine and the command line share.

use crate::{Encryption, Links};
pub use instar_planner::{Preallocation, ResizeAction, SizeRequest};

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
