//! Decrypting key material and data, sector by sector.

use super::blocks::{self, MAX_BLOCK};
use super::hashes::{self, MAX_LEN};
use crate::ImageError;
use instar_formats::luks::{Cipher, Header, IvGen, Mode};
use zeroize::Zeroize;

/// Each of these has an initial vector of its own.
pub const SECTOR: usize = 512;

/// How sectors are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// With what.
    pub cipher: Cipher,
    /// How its blocks are chained.
    pub mode: Mode,
    /// What an initial vector is made of.
    pub ivgen: IvGen,
}

impl Scheme {
    /// qcow2's own: AES-128 in CBC mode ("Data encryption").
    pub const AES: Self = Self { cipher: Cipher::Aes, mode: Mode::Cbc, ivgen: IvGen::Plain64 };
}

impl From<&Header> for Scheme {
    fn from(header: &Header) -> Self {
        Self { cipher: header.cipher, mode: header.mode, ivgen: header.ivgen }
    }
}

/// Decrypts `data`, whole sectors numbered from `first`, with `key`.
///
/// # Errors
/// [`ImageError`]: the cipher cannot be used so.
pub fn decrypt(scheme: &Scheme, key: &[u8], first: u64, data: &mut [u8]) -> Result<(), ImageError> {
    let mut ivs = Ivs::new(scheme, key)?;
    let mut vectors = |number: u64| ivs.vector(first.wrapping_add(number));
    let done = blocks::sectors(scheme, key, data, &mut vectors);
    ivs.key.zeroize();
    done
}

/// Makes initial vectors.
struct Ivs<'s> {
    scheme: &'s Scheme,
    key: [u8; MAX_LEN],
    len: usize,
}

impl<'s> Ivs<'s> {
    fn new(scheme: &'s Scheme, key: &[u8]) -> Result<Self, ImageError> {
        let mut ivs = Self { scheme, key: [0; MAX_LEN], len: 0 };
        if let Some(hash) = scheme.ivgen.hash() {
            ivs.len = hashes::digest(hash, &[key], &mut ivs.key);
            if !scheme.cipher.takes_key(ivs.len) {
                return Err(ImageError::LuksEssiv { bytes: ivs.len as u64 });
            }
        }
        Ok(ivs)
    }

    /// The initial vector of sector `number`; a cipher with smaller blocks uses the start of it.
    fn vector(&mut self, number: u64) -> [u8; MAX_BLOCK] {
        let mut vector = [0; MAX_BLOCK];
        let low = number & u64::from(u32::MAX);
        let number = if self.scheme.ivgen == IvGen::Plain { low } else { number };
        for (to, from) in vector.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        if matches!(self.scheme.ivgen, IvGen::Essiv(_)) {
            let key = self.key.get(..self.len).unwrap_or_default();
            blocks::encrypt(self.scheme.cipher, key, &mut vector);
        }
        vector
    }
}
