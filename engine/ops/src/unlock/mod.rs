//! Whether a passphrase opens an encrypted image, and what an overlay must read of one.
//!
//! No other operation is ever given a passphrase. The answer is yes or no: no key leaves it, and none that changes an
//! image needs one, for none of them reads or writes what an encrypted disk holds. Where an overlay must keep some of
//! what an encrypted image behind it has, that is read here ([`reveal`]), and the operation that changes the overlay is
//! given the plain bytes. The work follows the "LUKS On-Disk Format Specification", section "Master key recovery".
//!
//! A hostile header can ask for 2^32 rounds of PBKDF2 per slot; whoever runs the job bounds its time.

mod blocks;
mod data_key;
mod hashes;
mod reveal;
mod sectors;
mod slots;
mod split;

use crate::encryption::Encrypted;
use crate::open::open;
use crate::{Encryption, ImageError, OpError, ReadAt, UnlockRequest};
use data_key::DataKey;
pub use reveal::reveal;
pub(crate) use sectors::SECTOR;
use zeroize::Zeroize;

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
    Ok(key_of(disk, request, passphrase, scratch)?.0)
}

/// The same, and the key of the disk, if there is a passphrase.
fn key_of<D: ReadAt>(
    disk: &mut D,
    request: &UnlockRequest,
    passphrase: Option<&[u8]>,
    scratch: &mut [u8],
) -> Result<(Encryption, Option<DataKey>), OpError> {
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
        Encrypted::Not => return Ok((Encryption::None, None)),
        Encrypted::Aes => return Ok((Encryption::Aes, passphrase.map(DataKey::aes))),
        Encrypted::Luks { header, base } => (header, base),
    };
    let Some(passphrase) = passphrase else { return Ok((Encryption::Luks, None)) };
    let opened = slots::open(disk, &header, base, passphrase, scratch);
    scratch.zeroize();
    let key = opened?.ok_or(ImageError::Password)?;
    Ok((Encryption::Luks, Some(DataKey::luks(&header, key, image.is_qcow2()))))
}

#[cfg(test)]
mod tests;
