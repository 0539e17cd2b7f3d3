//! What the host tells every guest.

use crate::layout::{BOOT_INFO, MAX_FILES};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// "BOOT" as a big-endian number.
pub const MAGIC: u32 = 0x424f_4f54;
/// The only version.
pub const VERSION: u32 = 1;

/// Lies at [`crate::layout::BOOT_INFO`], little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BootInfo {
    /// [`MAGIC`].
    pub magic: U32,
    /// [`VERSION`].
    pub version: U32,
    /// Length of the image file in bytes when the job began.
    pub image_len: U64,
    /// Sectors that the image's window has: the image rounded up, and how far it may grow.
    pub capacity: U64,
    /// Files that the device serves, [`MAX_FILES`] at most. The image is the first.
    pub files: U64,
    /// Length of each in bytes when the job began.
    pub lengths: [U64; MAX_FILES],
}

const _: () = assert!(size_of::<BootInfo>() == 32 + 8 * MAX_FILES);
const _: () = assert!(size_of::<BootInfo>() as u64 <= BOOT_INFO.len);

impl BootInfo {
    /// For files of these lengths, [`MAX_FILES`] at most, of which the first, the image, may grow to
    /// `capacity` sectors.
    #[must_use]
    pub fn new(lengths: &[u64], capacity: u64) -> Self {
        let mut all = [U64::ZERO; MAX_FILES];
        for (to, len) in all.iter_mut().zip(lengths) {
            *to = U64::new(*len);
        }
        Self {
            magic: U32::new(MAGIC),
            version: U32::new(VERSION),
            image_len: U64::new(lengths.first().copied().unwrap_or(0)),
            capacity: U64::new(capacity),
            files: U64::new(lengths.len().min(MAX_FILES) as u64),
            lengths: all,
        }
    }

    /// Length of file `file` in bytes; 0 if there is none.
    #[must_use]
    pub fn file_len(&self, file: u64) -> u64 {
        let there = file < self.files.get();
        let len = usize::try_from(file).ok().and_then(|file| self.lengths.get(file));
        len.filter(|_| there).map_or(0, |len| len.get())
    }

    /// Reads one from memory; `None` if it is not of this version.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (info, _) = Self::read_from_prefix(bytes).ok()?;
        (info.magic.get() == MAGIC && info.version.get() == VERSION).then_some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let info = BootInfo::new(&[0x0102_0304_0506_0708, 7], 9);
        let start = [
            0x54, 0x4f, 0x4f, 0x42, 1, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,
            0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 7, 0, 0, 0, 0, 0, 0, 0,
        ];
        let bytes = info.as_bytes();
        assert_eq!(bytes[..start.len()], start);
        assert!(bytes[start.len()..].iter().all(|byte| *byte == 0));
        assert_eq!(BootInfo::parse(bytes), Some(info));
        assert_eq!(BootInfo::parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!((info.file_len(0), info.file_len(1), info.file_len(2)), (0x0102_0304_0506_0708, 7, 0));
    }

    #[test]
    fn as_many_files_as_fit() {
        let info = BootInfo::new(&[3; MAX_FILES + 1], 9);
        assert_eq!((info.files.get(), info.file_len(4095), info.file_len(4096)), (4096, 3, 0));
        assert_eq!(info.file_len(u64::MAX), 0);
    }
}
