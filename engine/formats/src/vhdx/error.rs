//! Why an image could not be opened.

use crate::ImageError;
use crate::io::IoError;

/// Why an image could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It makes no sense.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The device failed.
    #[error(transparent)]
    Io(#[from] IoError),
}
