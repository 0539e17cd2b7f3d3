//! What the host tells every guest.

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
    /// Sectors that the device has: the image rounded up, and how far it may grow.
    pub capacity: U64,
}

const _: () = assert!(size_of::<BootInfo>() == 24);

impl BootInfo {
    /// For an image of `image_len` bytes that may grow to `capacity` sectors.
    #[must_use]
    pub const fn new(image_len: u64, capacity: u64) -> Self {
        Self {
            magic: U32::new(MAGIC),
            version: U32::new(VERSION),
            image_len: U64::new(image_len),
            capacity: U64::new(capacity),
        }
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
        let info = BootInfo::new(0x0102_0304_0506_0708, 9);
        let bytes = [0x54, 0x4f, 0x4f, 0x42, 1, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(info.as_bytes(), bytes);
        assert_eq!(BootInfo::parse(&bytes), Some(info));
        assert_eq!(BootInfo::parse(&[0; 24]), None);
        assert_eq!(BootInfo::parse(&bytes[..23]), None);
    }
}
