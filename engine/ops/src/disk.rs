//! The one way to change an image.

pub use instar_formats::io::{Direction, IoError, ReadAt};

/// Reads and changes an image. Nothing is durable, and nothing is ordered, before the next `flush`.
///
/// There is no truncation here: an operation reports the length that the file shall have in the end
/// ([`crate::ResizeOutcome::file_size_after`]) and whoever holds the file sets it, after the last flush.
pub trait Disk: ReadAt {
    /// Writes `data` at byte `offset`; past the end of the file, the file grows.
    ///
    /// # Errors
    /// [`IoError`] if the device failed (a full disk among others).
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError>;

    /// Makes `len` bytes from `offset` read as zeros. With `unmap` the space may be given back to
    /// the host; without it the range must be allocated or stay so.
    ///
    /// # Errors
    /// [`IoError`] if the device failed.
    fn zero_at(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), IoError>;

    /// Makes everything before it durable (`fdatasync`).
    ///
    /// # Errors
    /// [`IoError`] if the device failed.
    fn flush(&mut self) -> Result<(), IoError>;
}
