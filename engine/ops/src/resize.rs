//! Resizing.

use crate::*;

/// Resizes the image on `disk`. Every refusal is decided before the first write.
///
/// # Errors
/// [`OpError`]: the image is not what it should be, the request cannot be met, or the device failed.
pub fn resize<D: Disk>(
    _disk: &mut D,
    _request: &ResizeRequest,
    _scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    Err(ResizeError::NewSizeNotPositive.into())
}
