//! Describing an image.

use crate::*;

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
    Err(ResizeError::NewSizeNotPositive.into())
}
