//! The one way to read an image, whatever it is behind: a call table, a file or memory.

/// A device that could not do what it was asked. What failed is the device's business; where is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{direction:?} of {len} bytes at byte {offset} failed (errno {errno})")]
pub struct IoError {
    /// What was asked of the device.
    pub direction: Direction,
    /// First byte of the request.
    pub offset: u64,
    /// Length of the request in bytes.
    pub len: u64,
    /// The host's errno, or 0 where there is none.
    pub errno: u32,
}

/// What was asked of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Reading.
    Read,
    /// Writing, zeroing or giving space back.
    Write,
    /// Making everything before it durable.
    Flush,
}

/// Reads an image.
pub trait ReadAt {
    /// The image's length in bytes when the job began. Writes past it do not move it.
    fn len(&self) -> u64;

    /// Whether the image has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from byte `offset`. Bytes past the end of the image read as zeros: an image may
    /// end in the middle of its last cluster.
    ///
    /// # Errors
    /// [`IoError`] if the device failed, or if `offset + buf.len()` overflows.
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError>;
}

impl<R: ReadAt + ?Sized> ReadAt for &mut R {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        (**self).read_at(offset, buf)
    }
}
