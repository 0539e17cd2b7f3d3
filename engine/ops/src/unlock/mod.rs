//! Whether a passphrase opens an encrypted image.
//!
//! This is the only operation that is ever given a passphrase, and its answer is yes or no: no key
//! leaves it, and no other operation needs one, for none of them reads or writes what the disk holds.
//! The work follows the "LUKS On-Disk Format Specification", section "Master key recovery".
//!
//! A hostile header can ask for 2^32 rounds of PBKDF2 per slot; whoever runs the job bounds its time.

mod blocks;
mod hashes;
mod sectors;
mod split;

use crate::encryption::Encrypted;
use crate::open::open;
use crate::{Encryption, ImageError, OpError, ReadAt, ResizeError, UnlockRequest};
use instar_formats::luks::{Header, SLOTS, Slot};
use zeroize::Zeroize;

/// Bytes of the digest of a master key.
const DIGEST: usize = 20;
/// Bytes of the longest master key.
const MAX_KEY: usize = 64;

/// Says how the image on `disk` is encrypted, and fails unless `passphrase`, if there is one, opens it. Legacy AES has
/// nothing that a wrong passphrase could be told by: any will do. What `scratch` held is wiped.
///
/// # Errors
/// [`ImageError::Password`], or: the image is not what it should be, or the device failed.
pub fn unlock<D: ReadAt>(
    disk: &mut D,
    request: &UnlockRequest,
    passphrase: Option<&[u8]>,
    scratch: &mut [u8],
) -> Result<Encryption, OpError> {
    let image = open(disk, request.format)?;
    let encrypted = image.encrypted(disk)?;
    match (request.expected, &encrypted) {
        (Some(_), Encrypted::Not) => return Err(ImageError::NotEncrypted.into()),
        (Some(Encryption::Luks | Encryption::None), Encrypted::Aes) => {
            return Err(ImageError::ReportsAes.into());
        }
        (Some(Encryption::Aes | Encryption::None), Encrypted::Luks { .. }) => {
            return Err(ImageError::ReportsLuks.into());
        }
        _ => {}
    }
    let (header, base) = match encrypted {
        Encrypted::Not => return Ok(Encryption::None),
        Encrypted::Aes => return Ok(Encryption::Aes),
        Encrypted::Luks { header, base } => (header, base),
    };
    let Some(passphrase) = passphrase else { return Ok(Encryption::Luks) };
    let opened = any_slot(disk, &header, base, passphrase, scratch);
    scratch.zeroize();
    match opened? {
        true => Ok(Encryption::Luks),
        false => Err(ImageError::Password.into()),
    }
}

/// Whether any slot in use opens.
fn any_slot<D: ReadAt>(
    disk: &mut D,
    header: &Header,
    base: u64,
    passphrase: &[u8],
    scratch: &mut [u8],
) -> Result<bool, OpError> {
    for index in 0..SLOTS {
        let Some(slot) = header.slots.get(index).filter(|slot| slot.active) else { continue };
        let mut key = [0; MAX_KEY];
        let master = key.get_mut(..header.key_len).unwrap_or_default();
        let opened = master_key(disk, (header, base), slot, passphrase, (master, scratch));
        let good = opened.is_ok() && proves(header, key.get(..header.key_len).unwrap_or_default());
        key.zeroize();
        opened?;
        if good {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the slot's key material comes to with the passphrase: the master key, if that is right.
fn master_key<D: ReadAt>(
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
    let decrypted = sectors::decrypt(header, slot_key, material);
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

#[cfg(test)]
mod tests;
