//! Info, check, create and resize as functions over a Disk, the same in the guest and in process.
#![no_std]
#![forbid(unsafe_code)]

pub mod disk;
mod error;
mod report;
mod types;
pub mod wire;

pub use disk::Disk;
pub use error::{OpError, Phase};
use instar_formats::io::ReadAt;
pub use report::{Bitmap, CheckFinding, CheckReport, ImageInfo, InfoItem, Name, Qcow2Info, Snapshot, Table};
pub use types::*;

/// What `scratch` must hold at least, in bytes, for every operation on every image. Constant: no
/// image, however large, needs more.
pub const SCRATCH_LEN: usize = 16 << 20;

/// Resizes the image on `disk`. Every refusal is decided before the first write.
///
/// # Errors
/// [`OpError`]: the image is not what it should be, the request cannot be met, or the device failed.
pub fn resize<D: Disk>(
    _disk: &mut D,
    _request: &ResizeRequest,
    _scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    Err(OpError::NewSizeNotPositive)
}

/// Describes the image on `disk`. What there may be many of goes to `items`, in the image's order.
///
/// # Errors
/// [`OpError`]: the image is not what it should be, or the device failed.
pub fn info<D: ReadAt>(
    _disk: &mut D,
    _request: &InfoRequest,
    _scratch: &mut [u8],
    _items: &mut dyn FnMut(InfoItem),
) -> Result<ImageInfo, OpError> {
    Err(OpError::NewSizeNotPositive)
}

/// Checks the metadata of the image on `disk`. Findings go to `findings` as they come.
///
/// # Errors
/// [`OpError`]: the image is not what it should be, or the device failed.
pub fn check<D: ReadAt>(
    _disk: &mut D,
    _request: &CheckRequest,
    _scratch: &mut [u8],
    _findings: &mut dyn FnMut(CheckFinding),
) -> Result<CheckReport, OpError> {
    Err(OpError::NewSizeNotPositive)
}

/// Lays out a new image on `disk`, which is empty. The outcome is that of a resize from nothing.
///
/// # Errors
/// [`OpError`]: the options do not go together, the size is beyond the format, or the device failed.
pub fn create<D: Disk>(
    _disk: &mut D,
    _request: &CreateRequest,
    _scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    Err(OpError::NewSizeNotPositive)
}
