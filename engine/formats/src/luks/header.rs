//! The header (specification, section "PHDR overview").

use super::algorithm::{Cipher, Hash, IvGen, Mode, parse_mode};
use super::slots::{self, Slot};
use crate::ImageError;
use crate::bytes::{be16, be32};

/// Bytes of the header.
pub const HEADER_LEN: usize = 592;
/// Key slots.
pub const SLOTS: usize = 8;
/// Offsets in a header are in sectors of so many bytes.
pub const SECTOR: u64 = 512;
/// `LUKS` and two more bytes.
const MAGIC: &[u8] = b"LUKS\xba\xbe";
/// The version that this is; the other one shares nothing with it but the magic.
const VERSION: u16 = 1;
/// First byte that a header leaves to key material: it is aligned to 4 KiB.
pub(super) const FIRST_MATERIAL: u64 = 4096;
/// Longest key of two ciphers of 32 bytes each.
const MAX_KEY: u32 = 64;

/// What a header says, checked for sense on its own. No word of it has been believed yet: only the
/// passphrase of a slot proves the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The cipher.
    pub cipher: Cipher,
    /// Its mode.
    pub mode: Mode,
    /// Its initial vectors.
    pub ivgen: IvGen,
    /// The hash of everything but initial vectors.
    pub hash: Hash,
    /// Where the disk begins, in bytes.
    pub payload_offset: u64,
    /// Bytes of the master key, 64 at most.
    pub key_len: usize,
    /// What the master key comes to (PBKDF2).
    pub digest: [u8; 20],
    /// The salt of that.
    pub digest_salt: [u8; 32],
    /// The rounds of that.
    pub digest_rounds: u32,
    /// UUID as text, ended by zeros.
    pub uuid: [u8; 40],
    /// The key slots.
    pub slots: [Slot; SLOTS],
}

impl Header {
    /// Parses a header.
    ///
    /// # Errors
    /// [`ImageError`] names what makes no sense.
    pub fn parse(head: &[u8; HEADER_LEN]) -> Result<Self, ImageError> {
        if !head.starts_with(MAGIC) {
            return Err(ImageError::NotLuks);
        }
        if be16(head, 6) != VERSION {
            return Err(ImageError::LuksVersion { version: u64::from(be16(head, 6)) });
        }
        let cipher = text(head, 8).ok_or(ImageError::LuksCipherName)?;
        let mode = text(head, 40).ok_or(ImageError::LuksModeName)?;
        let hash = text(head, 72).ok_or(ImageError::LuksHashName)?;
        let header = Self::numbers(head);
        let key_len = header.check(head)?;
        let cipher = Cipher::parse(cipher)?;
        let hash = Hash::parse(hash)?;
        let (mode, ivgen) = parse_mode(mode)?;
        let header = Self { cipher, hash, mode, ivgen, key_len, ..header };
        header.check_key()?;
        Ok(header)
    }

    /// Everything but the names.
    fn numbers(head: &[u8; HEADER_LEN]) -> Self {
        Self {
            cipher: Cipher::Aes,
            mode: Mode::Xts,
            ivgen: IvGen::Plain64,
            hash: Hash::Sha256,
            payload_offset: u64::from(be32(head, 104)).saturating_mul(SECTOR),
            key_len: 0,
            digest: array(head, 112),
            digest_salt: array(head, 132),
            digest_rounds: be32(head, 164),
            uuid: array(head, 168),
            slots: slots::parse(head),
        }
    }

    /// That the numbers can be true, in `qemu-img`'s order. The length of the key.
    fn check(&self, head: &[u8; HEADER_LEN]) -> Result<usize, ImageError> {
        if self.payload_offset < FIRST_MATERIAL {
            return Err(ImageError::LuksPayload);
        }
        if self.digest_rounds == 0 {
            return Err(ImageError::LuksRounds);
        }
        let len = be32(head, 108);
        slots::check(&self.slots, head, u64::from(len), self.payload_offset)?;
        usize::try_from(len)
            .ok()
            .filter(|_| len <= MAX_KEY)
            .ok_or(ImageError::LuksKeyLen { bytes: u64::from(len) })
    }

    /// That the cipher takes such a key.
    fn check_key(&self) -> Result<(), ImageError> {
        let unfit = ImageError::LuksKeyLen { bytes: self.key_len as u64 };
        if self.mode == Mode::Xts && !self.key_len.is_multiple_of(2) {
            return Err(ImageError::LuksOddKey);
        }
        if !self.cipher.takes_key(self.cipher_key_len()) {
            return Err(unfit);
        }
        if self.mode == Mode::Xts && self.cipher == Cipher::Cast5 {
            return Err(ImageError::LuksXts);
        }
        Ok(())
    }

    /// Bytes of the key of one cipher: XTS takes two.
    #[must_use]
    pub const fn cipher_key_len(&self) -> usize {
        match self.mode {
            Mode::Xts => self.key_len / 2,
            Mode::Ecb | Mode::Cbc | Mode::Ctr => self.key_len,
        }
    }

    /// The size in bytes of the disk in a file of `file_len` bytes.
    ///
    /// # Errors
    /// [`ImageError::LuksTooShort`] if the file ends before the disk begins.
    pub fn virtual_size(&self, file_len: u64) -> Result<u64, ImageError> {
        let whole = file_len.checked_next_multiple_of(SECTOR).unwrap_or(file_len);
        whole.checked_sub(self.payload_offset).ok_or(ImageError::LuksTooShort)
    }
}

/// The text that begins at `at` and ends with a zero within 32 bytes.
fn text(head: &[u8; HEADER_LEN], at: usize) -> Option<&[u8]> {
    let field = head.get(at..)?.first_chunk::<32>()?;
    field.split(|b| *b == 0).next().filter(|text| text.len() < field.len())
}

/// The bytes at `at`.
pub(super) fn array<const N: usize>(head: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    head.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}
