//! Creating an image.

use crate::*;

/// Lays out a new image on `disk`, which is empty. The outcome is that of a resize from nothing.
///
/// # Errors
/// [`OpError`]: the options do not go together, the size is beyond the format, or the device failed.
pub fn create<D: Disk>(
    _disk: &mut D,
    _request: &CreateRequest,
    _scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    Err(ResizeError::NewSizeNotPositive.into())
}
