//! Header extensions ("Header extensions"): type, length, data padded to 8 bytes.

use super::header::Header;
use crate::ImageError;
use crate::bytes::{be32, index};
use crate::io::{IoError, ReadAt};

/// End of the extensions.
pub const END: u32 = 0;
/// Backing file format name.
pub const BACKING_FORMAT: u32 = 0xe279_2aca;
/// Feature name table.
pub const FEATURE_NAMES: u32 = 0x6803_f857;
/// Bitmaps: count u32, reserved u32, directory size u64, directory offset u64.
pub const BITMAPS: u32 = 0x2385_2875;
/// Full disk encryption header pointer.
pub const CRYPTO: u32 = 0x0537_be77;
/// External data file name.
pub const DATA_FILE: u32 = 0x4441_5441;
/// Bytes that the name of a backing file's format must stay below for `qemu-img` to open the image.
const BACKING_FORMAT_END: u64 = 16;
/// Type and length.
const EXTENSION_HEAD: u64 = 8;

/// One extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// Its type.
    pub kind: u32,
    /// Where its data starts, in bytes from the start of the file.
    pub offset: u64,
    /// How long its data is in bytes, without padding.
    pub len: u64,
}

/// Walks the extensions of a header.
#[derive(Debug)]
pub struct Extensions {
    next: u64,
    end: u64,
}

impl Extensions {
    /// Extensions lie between the header and the backing file name, or the end of the first cluster.
    #[must_use]
    pub const fn new(header: &Header) -> Self {
        let end =
            if header.backing_offset != 0 { header.backing_offset } else { header.geometry.cluster_size() };
        Self { next: header.header_len, end }
    }

    /// The next extension, or `None` at the end.
    ///
    /// # Errors
    /// The device's, [`ImageError::ExtensionTooLarge`] or [`ImageError::BackingFormatTooLong`].
    pub fn next<R: ReadAt + ?Sized>(&mut self, image: &mut R) -> Result<Option<Extension>, ExtensionError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let mut head = [0; 8];
        image.read_at(self.next, &mut head)?;
        let (kind, len) = (be32(&head, 0), u64::from(be32(&head, 4)));
        let offset = self.next.saturating_add(EXTENSION_HEAD);
        // The end marker, too, must fit, and so must the data that it should not have: qemu-img refuses it otherwise.
        if self.end.checked_sub(offset).is_none_or(|room| len > room) {
            return Err(ImageError::ExtensionTooLarge.into());
        }
        if kind == BACKING_FORMAT && len >= BACKING_FORMAT_END {
            return Err(ImageError::BackingFormatTooLong { len }.into());
        }
        if kind == END {
            self.next = self.end;
            return Ok(None);
        }
        self.next = offset.saturating_add(len.saturating_add(7) & !7);
        Ok(Some(Extension { kind, offset, len }))
    }
}

impl Extension {
    /// Reads as much of the data as `buf` holds, and returns that part.
    ///
    /// # Errors
    /// The device's.
    pub fn read<'b, R: ReadAt + ?Sized>(
        &self,
        image: &mut R,
        buf: &'b mut [u8],
    ) -> Result<&'b [u8], IoError> {
        let len = buf.len().min(index(self.len));
        let part = buf.get_mut(..len).unwrap_or_default();
        image.read_at(self.offset, part)?;
        Ok(part)
    }
}

/// Why the extensions could not be walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// They make no sense.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The device failed.
    #[error(transparent)]
    Io(#[from] IoError),
}
