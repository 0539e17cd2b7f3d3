//! What the host asks of the operation that unlocks: the only structure with a passphrase in it.

use crate::config::{Config, Header};
use crate::layout;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the longest passphrase: what the page leaves.
pub const PASSPHRASE_LEN: usize = layout::CONFIG.size() - 48 - layout::MAX_LAYERS;

/// Numbers for `expected`, and for what is found.
pub mod encryption {
    /// Whatever it is.
    pub const ANY: u32 = 0;
    /// Not encrypted, or with what has no number.
    pub const NONE: u32 = 1;
    /// qcow2's own AES.
    pub const AES: u32 = 2;
    /// LUKS.
    pub const LUKS: u32 = 3;
}

/// Asks whether a passphrase opens an image. Its magic number is "UNLO". Whoever has filled one wipes it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct UnlockConfig {
    /// Magic and version.
    pub header: Header,
    /// One of [`crate::config::format`].
    pub format: U32,
    /// One of [`encryption`].
    pub expected: U32,
    /// 1 if there is a passphrase; without one, only the kind of encryption is looked at.
    pub has_passphrase: U32,
    /// Bytes of `passphrase` that are meant.
    pub passphrase_len: U32,
    /// The first byte of the disk that is to be written out in plain.
    pub reveal_offset: U64,
    /// How many bytes are.
    pub reveal_len: U64,
    /// Layers of the chain whose disk that is, the image first; their files are those of the job in their order, and
    /// the plain bytes go to the last. 0 if nothing is to be written.
    pub layers: U32,
    /// 0.
    pub reserved: U32,
    /// Each layer ([`crate::config::layer`]); 0 beyond the last.
    pub chain: [u8; layout::MAX_LAYERS],
    /// The passphrase, and zeros.
    pub passphrase: [u8; PASSPHRASE_LEN],
}

const _: () = assert!(size_of::<UnlockConfig>() as u64 == layout::CONFIG.len);

impl Config for UnlockConfig {
    const MAGIC: u32 = 0x554e_4c4f;

    fn header(&self) -> Header {
        self.header
    }
}

impl core::fmt::Debug for UnlockConfig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UnlockConfig").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl UnlockConfig {
    /// The passphrase, if there is one; `None` too for a length beyond its room.
    #[must_use]
    pub fn passphrase(&self) -> Option<&[u8]> {
        let len = usize::try_from(self.passphrase_len.get()).ok()?;
        self.passphrase.get(..len).filter(|_| self.has_passphrase.get() == 1)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn golden_bytes_and_no_passphrase_in_debug_text() {
        let mut passphrase = [0; PASSPHRASE_LEN];
        passphrase[..2].copy_from_slice(b"pw");
        let config = UnlockConfig {
            header: Header::of::<UnlockConfig>(),
            format: U32::new(3),
            expected: U32::new(encryption::LUKS),
            has_passphrase: U32::new(1),
            passphrase_len: U32::new(2),
            reveal_offset: U64::new(4),
            reveal_len: U64::new(5),
            layers: U32::new(6),
            reserved: U32::ZERO,
            chain: [7; layout::MAX_LAYERS],
            passphrase,
        };
        let start = [
            0x4f, 0x4c, 0x4e, 0x55, 1, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0,
            0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7,
        ];
        assert_eq!(config.as_bytes()[..start.len()], start);
        assert_eq!(config.as_bytes()[247..251], [7, b'p', b'w', 0]);
        let read = UnlockConfig::parse(config.as_bytes()).expect("its own bytes");
        assert_eq!(read.passphrase(), Some(b"pw".as_slice()));
        assert!(!std::format!("{config:?}").contains("112"), "the passphrase is in the debug text");
        let long = UnlockConfig { passphrase_len: U32::new(u32::MAX), ..config };
        assert_eq!(long.passphrase(), None);
    }
}
