//! Decrypting key material, sector by sector.

use super::blocks::{self, MAX_BLOCK};
use super::hashes::{self, MAX_LEN};
use crate::ImageError;
use instar_formats::luks::{Header, IvGen};
use zeroize::Zeroize;

/// Each of these has an initial vector of its own.
pub const SECTOR: usize = 512;

/// Decrypts `data`, whole sectors numbered from 0, with `key`.
///
/// # Errors
/// [`ImageError`]: the cipher cannot be used so.
pub fn decrypt(header: &Header, key: &[u8], data: &mut [u8]) -> Result<(), ImageError> {
    let mut ivs = Ivs::new(header, key)?;
    let mut vectors = |number| ivs.vector(number);
    let done = blocks::sectors(header, key, data, &mut vectors);
    ivs.key.zeroize();
    done
}

/// Makes initial vectors.
struct Ivs<'h> {
    header: &'h Header,
    key: [u8; MAX_LEN],
    len: usize,
}

impl<'h> Ivs<'h> {
    fn new(header: &'h Header, key: &[u8]) -> Result<Self, ImageError> {
        let mut ivs = Self { header, key: [0; MAX_LEN], len: 0 };
        if let Some(hash) = header.ivgen.hash() {
            ivs.len = hashes::digest(hash, &[key], &mut ivs.key);
            if !header.cipher.takes_key(ivs.len) {
                return Err(ImageError::LuksEssiv { bytes: ivs.len as u64 });
            }
        }
        Ok(ivs)
    }

    /// The initial vector of sector `number`; a cipher with smaller blocks uses the start of it.
    fn vector(&mut self, number: u64) -> [u8; MAX_BLOCK] {
        let mut vector = [0; MAX_BLOCK];
        let low = number & u64::from(u32::MAX);
        let number = if self.header.ivgen == IvGen::Plain { low } else { number };
        for (to, from) in vector.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        if matches!(self.header.ivgen, IvGen::Essiv(_)) {
            let key = self.key.get(..self.len).unwrap_or_default();
            blocks::encrypt(self.header.cipher, key, &mut vector);
        }
        vector
    }
}
