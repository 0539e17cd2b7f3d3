//! Checking an image.

use crate::*;

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
    Err(ResizeError::NewSizeNotPositive.into())
}
