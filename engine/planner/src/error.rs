//! Why a resize was refused.

use instar_formats::io::IoError;
use instar_formats::{ImageError, numbered_errors};

numbered_errors! {
    /// Why a resize was refused, in `qemu-img`'s words where it has some. Nothing was written.
    pub enum ResizeError {
        /// The new size is zero or less, or beyond a signed 64-bit byte count.
        200 NewSizeNotPositive => "New image size must be positive",
        /// Preallocation asked for, but nothing grows.
        201 PreallocationNotGrowing => "Preallocation can only be used for growing images",
        /// The disk would become smaller, and nobody said that it may.
        202 ShrinkWithoutFlag => "Use the --shrink option to perform a shrink operation.",
        /// Beyond what QEMU's block layer accepts.
        203 BeyondMaximum { offset, maximum } => "offset({offset}) exceeds maximum({maximum})",
        /// The format counts in sectors of 512 bytes.
        204 NotMultipleOf512 => "The new size must be a multiple of 512",
        /// The L1 table would exceed the format's limit of 32 MiB.
        205 L1TooLarge => "Failed to grow the L1 table: File too large",
        /// The refcount table would exceed the format's limit of 8 MiB.
        206 RefcountTableTooLarge => "Failed to resize refcount structures: File too large",
        /// Raw files have no metadata to preallocate.
        207 RawPreallocationMetadata => "Unsupported preallocation mode: metadata",
        /// Snapshots of version 2 need not say how large the disk was.
        217 SnapshotsV2 => "Can't resize a v2 image which has snapshots",
        /// A bitmap of the image, by its place in the directory, was not stored properly.
        218 BitmapInUse { index } => "Bitmap {index} is inconsistent and cannot be used",
        /// A bitmap of the image, by its place in the directory, would not fit what the format allows.
        219 BitmapTooLarge { index } => "Bitmap {index} would take too much space; use larger granularity",
        /// The image was opened without its data file.
        211 DataFile => "resizing qcow2 images with an external data file is not supported",
        /// A key header where there is no key.
        212 CryptoUnexpected => "CRYPTO header extension only expected with LUKS encryption method",
        /// The refcounts may be stale: allocating by them could destroy data.
        213 Dirty => "the image was not closed properly; repair it with 'qemu-img check -r all' first",
        /// The metadata to add does not fit behind the end of the file.
        215 FileTooLarge => "Failed to grow the image file: File too large",
        /// Version 2 has no entry for a cluster that reads as zeros.
        230 NoZeroClusters => "Failed to zero out new clusters: Operation not supported",
        /// What the backing file has beyond the old end would show in the new area.
        240 QedBackingLonger => "Block driver does not support requested flags",
        /// QED images cannot become smaller.
        241 QedShrink => "Shrinking images is currently not supported",
        /// No whole number of sectors, or more than the tables map.
        242 QedSize => "Invalid image size specified",
        /// QED has nothing to preallocate.
        243 QedPreallocationMetadata => "Unsupported preallocation mode 'metadata'",
        /// As above.
        244 QedPreallocationFalloc => "Unsupported preallocation mode 'falloc'",
        /// As above.
        245 QedPreallocationFull => "Unsupported preallocation mode 'full'",
        /// Its tables must be looked at before they may be trusted, and that takes more memory than there is.
        246 QedTooLargeToCheck => "the image was not closed properly, and its file is too large to be checked here; check it with 'qemu-img check -r all' first",
        /// VHDX has no larger disks.
        560 VhdxTooLarge => "Image size too large; max of 64TB",
        /// A disk is whole sectors.
        561 VhdxSectors { bytes } => "The new size must be a multiple of {bytes}",
        /// The two region tables are to be copies of each other.
        562 VhdxRegionTables => "the region tables of the image differ; repair it with 'check -r all' first",
        /// What lies where is not certain.
        563 VhdxBlocks { count } => "the block allocation table of the image has {count} invalid entries",
        /// A file that no image needs.
        564 VhdxFileTooLarge => "the file is too large for an image in vhdx format",
        /// What is behind the old end in the parent would show, and parents are often shared.
        640 VmdkParent => "resizing a vmdk image with a parent is not supported; merge it into one image first",
        /// Its grains are compressed and cannot be written again, and its tables may lie behind them.
        641 VmdkStream => "resizing a streamOptimized vmdk image is not supported; convert it to another subformat first",
        /// The descriptor within an extent names none or several.
        642 VmdkExtents => "the descriptor names another number of extents than there are",
        /// The descriptor's new text does not fit in its place, or further extents cannot be named.
        643 VmdkDescriptor => "there is no room for the new descriptor",
        /// More files than a job can have.
        644 VmdkTooManyExtents { most } => "the image would have more than {most} extents",
        /// More grain tables than QEMU opens.
        646 VmdkTooLarge => "the image would have more than 32 Mi grain tables",
        /// Extents that are flat have no metadata.
        645 VmdkPreallocationMetadata => "Unsupported preallocation mode: metadata",
        /// Beyond 2040 GiB.
        270 VhdTooLarge => "The image size is too large for file format 'vpc'",
        /// A differencing disk is as long as its parent, or cannot be read.
        271 VhdDifferencing => "a differencing image cannot be resized: its size must be that of its parent",
        /// What a saved state knows of the disk would be wrong.
        272 VhdSavedState => "the image has a saved state, which a resize would make useless; discard it first",
        /// Neither fixed nor dynamic.
        273 VhdDiskType { kind } => "disk type {kind} is not supported",
        /// A block's place has 32 bits.
        274 VhdFileTooLarge => "Failed to grow the image file: File too large",
        /// A write of one sector could not change them then.
        276 VhdUnaligned => "the image's tables do not begin at sectors",
        /// Whether its blocks overlap must be known before they are moved.
        275 VhdTooManyBlocks => "the image has too many blocks for its file to be compacted",
        /// A fixed scratch buffer is too small; the caller is wrong, not the image.
        216 Scratch { need, have } => "internal error: scratch buffer of {have} bytes, {need} needed",
    }
}

/// Why a plan could not be made, or not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The request was refused.
    #[error(transparent)]
    Resize(#[from] ResizeError),
    /// The image makes no sense.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The device failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl From<instar_formats::vhdx::OpenError> for PlanError {
    fn from(e: instar_formats::vhdx::OpenError) -> Self {
        use instar_formats::vhdx::OpenError;
        match e {
            OpenError::Image(e) => Self::Image(e),
            OpenError::Io(e) => Self::Io(e),
        }
    }
}

impl From<instar_formats::qcow2::extension::ExtensionError> for PlanError {
    fn from(e: instar_formats::qcow2::extension::ExtensionError) -> Self {
        use instar_formats::qcow2::extension::ExtensionError;
        match e {
            ExtensionError::Image(e) => Self::Image(e),
            ExtensionError::Io(e) => Self::Io(e),
        }
    }
}
