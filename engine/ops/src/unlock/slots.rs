//! The master key, by whichever key slot a passphrase opens.

use super::{hashes, sectors, split};
use crate::{OpError, ReadAt, ResizeError};
use instar_formats::luks::{Header, SLOTS, Slot};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of the digest of a master key.
pub const DIGEST: usize = 20;
/// Bytes of the longest master key.
pub const MAX_KEY: usize = 64;

/// The master key, if any slot in use opens; zeros follow it.
pub fn open<D: ReadAt>(
    disk: &mut D,
    header: &Header,
    base: u64,
    passphrase: &[u8],
    scratch: &mut [u8],
) -> Result<Option<Zeroizing<[u8; MAX_KEY]>>, OpError> {
    for index in 0..SLOTS {
        let Some(slot) = header.slots.get(index).filter(|slot| slot.active) else { continue };
        let mut key = Zeroizing::new([0; MAX_KEY]);
        let master = key.get_mut(..header.key_len).unwrap_or_default();
        master_key(disk, (header, base), slot, passphrase, (&mut *master, scratch))?;
        if proves(header, master) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// What the slot's key material comes to with the passphrase: the master key, if that is right.
pub fn master_key<D: ReadAt>(
    disk: &mut D,
    (header, base): (&Header, u64),
    slot: &Slot,
    passphrase: &[u8],
    (master, scratch): (&mut [u8], &mut [u8]),
) -> Result<(), OpError> {
    let stripes = usize::try_from(slot.stripes).unwrap_or(usize::MAX);
    let len = header.key_len.saturating_mul(stripes);
    let whole = len.checked_next_multiple_of(sectors::SECTOR).unwrap_or(usize::MAX);
    let have = scratch.len() as u64;
    let short = ResizeError::Scratch { need: whole as u64, have };
    let material = scratch.get_mut(..whole).ok_or(short)?;
    disk.read_at(base.saturating_add(slot.material), material)?;
    let mut key = [0; MAX_KEY];
    let slot_key = key.get_mut(..header.key_len).unwrap_or_default();
    hashes::pbkdf2(header.hash, passphrase, &slot.salt, slot.rounds, slot_key);
    let decrypted = sectors::decrypt(&header.into(), slot_key, 0, material);
    key.zeroize();
    decrypted?;
    split::merge(header.hash, material.get(..len).unwrap_or_default(), master);
    Ok(())
}

/// Whether the header's digest is that of `master`.
fn proves(header: &Header, master: &[u8]) -> bool {
    let mut digest = [0; DIGEST];
    hashes::pbkdf2(header.hash, master, &header.digest_salt, header.digest_rounds, &mut digest);
    digest == header.digest
}
