//! Laying out a new image: footer, header, an empty table and the footer again; or, of a fixed disk, nothing
//! but the footer. An image that is not whole is none yet: nothing is promised of a crash.

use super::{fill, total_for};
use crate::{Identity, IoError, Patch, ResizeError, Target};
use instar_formats::vhd::{BLOCK_SIZE, FOOTER_LEN, Footer, HEADER_LEN, Header, SECTOR, table_len};

/// A new image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct New {
    footer: Footer,
    fixed: bool,
}

impl New {
    /// One of at least `size` bytes; of exactly so many whole sectors if it is to be `exact`.
    ///
    /// # Errors
    /// [`ResizeError::VhdTooLarge`].
    pub fn plan(size: u64, fixed: bool, exact: bool, identity: &Identity) -> Result<Self, ResizeError> {
        let uuid = identity.random.first_chunk::<16>().copied().unwrap_or([0; 16]);
        let footer = Footer::new(fixed, exact, uuid_4(uuid), identity.unix_time);
        let (geometry, total) = total_for(size, exact)?;
        Ok(Self { footer: footer.with_size(total, geometry), fixed })
    }

    /// Virtual size in bytes.
    #[must_use]
    pub fn virtual_size(&self) -> u64 {
        self.footer.virtual_size()
    }

    /// Writes it to an empty file, and says how long that is then.
    ///
    /// # Errors
    /// The device's.
    pub fn run<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<u64, IoError> {
        let mut end = self.virtual_size();
        if !self.fixed {
            let entries = end.div_ceil(u64::from(BLOCK_SIZE));
            let table = FOOTER_LEN.saturating_add(HEADER_LEN);
            let header = Header::new(table, u32::try_from(entries).unwrap_or(u32::MAX), BLOCK_SIZE);
            image.apply(Patch::Write { offset: 0, data: self.footer.bytes() })?;
            image.apply(Patch::Write { offset: FOOTER_LEN, data: header.bytes() })?;
            fill(image, (table, table_len(entries)), 0xff, scratch)?;
            end = table.saturating_add(table_len(entries));
        }
        image.apply(Patch::Write { offset: end, data: self.footer.bytes() })?;
        image.apply(Patch::Barrier)?;
        Ok(end.saturating_add(FOOTER_LEN))
    }
}

/// A random UUID, version 4 (RFC 9562, section 5.4).
const fn uuid_4(mut bytes: [u8; 16]) -> [u8; 16] {
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    bytes
}

const _: () = assert!((FOOTER_LEN + HEADER_LEN).is_multiple_of(SECTOR));
