//! The key of a disk, and the numbers that its sectors have.

use super::sectors::{self, SECTOR, Scheme};
use super::slots::MAX_KEY;
use crate::ImageError;
use crate::chain::Unseal;
use instar_formats::luks::Header;
use zeroize::Zeroizing;

/// Bytes of a key of qcow2's own encryption.
const AES_KEY: usize = 16;

/// What decrypts a disk. It is wiped when it goes.
pub struct DataKey {
    scheme: Scheme,
    bytes: Zeroizing<[u8; MAX_KEY]>,
    len: usize,
    /// Whether a sector's number is that of its place in the file, and not in the disk.
    by_place: bool,
}

impl DataKey {
    /// Of qcow2's own encryption: the start of the passphrase, and zeros if it is shorter.
    pub fn aes(passphrase: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; MAX_KEY]);
        for (to, from) in bytes.iter_mut().zip(passphrase).take(AES_KEY) {
            *to = *from;
        }
        Self { scheme: Scheme::AES, bytes, len: AES_KEY, by_place: false }
    }

    /// The master key of the LUKS header, which is one `in_qcow2` or that of the whole file.
    pub fn luks(header: &Header, bytes: Zeroizing<[u8; MAX_KEY]>, in_qcow2: bool) -> Self {
        Self { scheme: header.into(), bytes, len: header.key_len, by_place: in_qcow2 }
    }
}

impl Unseal for DataKey {
    fn decrypt(&self, (guest, host): (u64, u64), data: &mut [u8]) -> Result<(), ImageError> {
        let first = if self.by_place { host } else { guest };
        let key = self.bytes.get(..self.len).unwrap_or_default();
        sectors::decrypt(&self.scheme, key, first.checked_div(SECTOR as u64).unwrap_or(0), data)
    }
}

impl core::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DataKey").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}
