//! Reading what an encrypted layer holds, with its key.

use crate::unlock::SECTOR;
use crate::{ImageError, LayerError, ReadAt};
use instar_formats::bytes::index;
use zeroize::Zeroize;

/// The key of a disk.
pub trait Unseal {
    /// Decrypts whole sectors that the disk and the file have at these bytes.
    ///
    /// # Errors
    /// [`ImageError`]: the cipher cannot be used so.
    fn decrypt(&self, at: (u64, u64), data: &mut [u8]) -> Result<(), ImageError>;
}

/// The key of operations that have none, and none of the code that uses one.
#[derive(Debug, Clone, Copy)]
pub enum NoKey {}

impl Unseal for NoKey {
    fn decrypt(&self, _: (u64, u64), _: &mut [u8]) -> Result<(), ImageError> {
        match *self {}
    }
}

/// Fills `buf` with what the disk has at byte `guest`, which lies at byte `host` of `file`, decrypted.
///
/// # Errors
/// The key does not fit, or the device failed.
pub fn read<K: Unseal>(
    file: &mut dyn ReadAt,
    key: &K,
    (guest, host): (u64, u64),
    buf: &mut [u8],
) -> Result<(), LayerError> {
    let (mut guest, mut host, mut rest) = (guest, host, buf);
    while !rest.is_empty() {
        let skip = host.checked_rem(SECTOR as u64).unwrap_or(0);
        let whole = rest.len().saturating_sub(rest.len() % SECTOR);
        let done = if skip == 0 && whole > 0 {
            let sectors = rest.get_mut(..whole).unwrap_or_default();
            file.read_at(host, sectors)?;
            key.decrypt((guest, host), sectors)?;
            whole
        } else {
            part(file, key, (guest.saturating_sub(skip), host.saturating_sub(skip)), index(skip), rest)?
        };
        guest = guest.saturating_add(done as u64);
        host = host.saturating_add(done as u64);
        rest = rest.get_mut(done..).unwrap_or_default();
    }
    Ok(())
}

/// Fills the start of `buf` from byte `skip` on of the sector at `at`; how much of it, not 0.
fn part<K: Unseal>(
    file: &mut dyn ReadAt,
    key: &K,
    at: (u64, u64),
    skip: usize,
    buf: &mut [u8],
) -> Result<usize, LayerError> {
    let mut sector = [0; SECTOR];
    file.read_at(at.1, &mut sector)?;
    key.decrypt(at, &mut sector)?;
    let from = sector.get(skip..).unwrap_or_default();
    let len = from.len().min(buf.len());
    buf.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    sector.zeroize();
    Ok(len.max(1))
}
