//! Whether an image is encrypted, and how.

use crate::open::Opened;
use crate::{ImageError, OpError, ReadAt};
use instar_formats::bytes::be64;
use instar_formats::luks::{self, HEADER_LEN};
use instar_formats::qcow2::{Extensions, Header, extension::CRYPTO};

/// `crypt_method` of legacy AES (qcow2 specification, "Header").
const AES: u32 = 1;

/// An image's encryption, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// None.
    None,
    /// qcow2's own, with AES-128 and the passphrase for a key.
    Aes,
    /// LUKS, version 1.
    Luks,
}

/// An image's encryption, with what there is to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is no heap to box the larger one on")]
pub enum Encrypted {
    /// It is not.
    Not,
    /// qcow2's own.
    Aes,
    /// LUKS.
    Luks {
        /// What its header says.
        header: luks::Header,
        /// Where that lies in the file, in bytes: its offsets count from there.
        base: u64,
    },
}

impl Opened {
    /// How the image is encrypted.
    ///
    /// # Errors
    /// The LUKS header makes no sense or is missing, or the device failed.
    pub(crate) fn encrypted<R: ReadAt>(&self, disk: &mut R) -> Result<Encrypted, OpError> {
        match self {
            Self::Luks(header) => Ok(Encrypted::Luks { header: *header, base: 0 }),
            Self::Qcow2(header) if header.crypt_method == AES => Ok(Encrypted::Aes),
            Self::Qcow2(header) if header.crypt_method != 0 => in_qcow2(disk, header),
            _ => Ok(Encrypted::Not),
        }
    }

    /// Refuses an encrypted image that nobody has unlocked, as `qemu-img` does although no data is
    /// touched.
    ///
    /// # Errors
    /// [`ImageError`] names the parameter that is missing.
    pub(crate) fn check_unlocked(&self, unlocked: bool) -> Result<(), ImageError> {
        match self {
            _ if unlocked => Ok(()),
            Self::Luks(_) => Err(ImageError::KeySecret),
            Self::Qcow2(header) if header.crypt_method != 0 => Err(ImageError::EncryptKeySecret),
            _ => Ok(()),
        }
    }
}

fn in_qcow2<R: ReadAt>(disk: &mut R, header: &Header) -> Result<Encrypted, OpError> {
    let mut extensions = Extensions::new(header);
    while let Some(extension) = extensions.next(disk)? {
        if extension.kind != CRYPTO {
            continue;
        }
        let mut place = [0; 16];
        let place = extension.read(disk, &mut place)?;
        let base = be64(place, 0);
        return Ok(Encrypted::Luks { header: luks_header(disk, base)?, base });
    }
    Err(ImageError::NoCryptoHeader.into())
}

/// The LUKS header at byte `base`.
pub(crate) fn luks_header<R: ReadAt>(disk: &mut R, base: u64) -> Result<luks::Header, OpError> {
    let mut head = [0; HEADER_LEN];
    disk.read_at(base, &mut head)?;
    Ok(luks::Header::parse(&head)?)
}
