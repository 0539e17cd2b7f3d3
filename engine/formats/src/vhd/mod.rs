//! VHD, QEMU's `vpc` (Microsoft's "Virtual Hard Disk Image Format Specification", 1.0). Every word is
//! big-endian, every sector has 512 bytes.
//!
//! A fixed disk is its data and a footer behind it. A dynamic one has a copy of the footer in front, a
//! header, the block allocation table (BAT), blocks of a bitmap and data each in any order, and the footer
//! at the end. A differencing one is a dynamic one that names a parent.

mod footer;
mod geometry;
mod header;

pub use footer::{Footer, disk_type};
pub use geometry::Geometry;
pub use header::{Header, table_len};

use crate::ImageError;
use crate::bytes::put_be32;

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// Bytes of a footer ("Hard Disk Footer Format").
pub const FOOTER_LEN: u64 = 512;
/// Bytes of the header of a dynamic disk ("Dynamic Disk Header Format").
pub const HEADER_LEN: u64 = 1024;
/// Bytes of an entry of the BAT ("Block Allocation Table and Data Blocks").
pub const ENTRY_LEN: u64 = 4;
/// The entry of a block that has no place. 0 is the place of the footer's copy, not of nothing.
pub const UNUSED: u32 = u32::MAX;
/// Bytes of the largest disk: 2040 GiB.
pub const MAX_SIZE: u64 = 0xff00_0000 * SECTOR;
/// Bytes of a block where nobody says otherwise.
pub const BLOCK_SIZE: u32 = 2 << 20;

/// The one's complement of the sum of all bytes but those of the checksum itself, which stands at `at`.
fn checksum(bytes: &[u8], at: usize) -> u32 {
    let own = at..at.saturating_add(4);
    let others = bytes.iter().enumerate().filter(|(i, _)| !own.contains(i));
    !others.fold(0_u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}

/// Writes the right checksum to `at`.
fn seal(bytes: &mut [u8], at: usize) {
    let sum = checksum(bytes, at);
    put_be32(bytes, at, sum);
}

/// What a VHD image says of itself, in a file of a certain length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// The footer that is believed: the copy in front, if there is one.
    pub footer: Footer,
    /// The last 512 bytes of the file, which should be the same.
    pub tail: Footer,
    /// The header, unless the disk is a fixed one.
    pub header: Option<Header>,
    /// Length of the file in bytes.
    pub file_len: u64,
}

/// What QEMU reads of a file before it knows whether there is more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// A fixed disk with this footer.
    Fixed(Footer),
    /// Another one: its header is at [`Footer::header_offset`].
    Dynamic(Footer),
}

impl Opening {
    /// Finds the footer by the first and the last 512 bytes of a file of `file_len` bytes.
    ///
    /// A fixed disk may begin with anything, a footer too: what is at the end decides, if it fits.
    ///
    /// # Errors
    /// [`ImageError`] as `qemu-img` says it.
    pub fn find(head: &[u8; 512], tail: &[u8; 512], file_len: u64) -> Result<Self, ImageError> {
        let (head, tail) = (Footer::from(*head), Footer::from(*tail));
        let footer = if head.is_footer() && !tail.fits_fixed(file_len) { head } else { tail };
        if !footer.is_footer() || (footer == tail && head != tail && !footer.is_fixed()) {
            return Err(ImageError::VhdNone);
        }
        if !footer.is_sealed() {
            return Err(ImageError::VhdChecksum);
        }
        if footer.virtual_size() > MAX_SIZE {
            return Err(ImageError::VhdTooLarge);
        }
        if footer.is_fixed() {
            return Ok(Self::Fixed(footer));
        }
        // No file reaches so far.
        if i64::try_from(footer.header_offset()).is_err() {
            return Err(ImageError::VhdNoHeader);
        }
        Ok(Self::Dynamic(footer))
    }
}

impl Image {
    /// A dynamic disk with the header that its footer names.
    ///
    /// # Errors
    /// [`ImageError`] in the order in which `qemu-img` finds out. Where the blocks lie is not looked at.
    pub fn dynamic(
        footer: Footer,
        tail: Footer,
        header: &[u8; 1024],
        file_len: u64,
    ) -> Result<Self, ImageError> {
        let header = Header::from(*header);
        if !header.is_header() {
            return Err(ImageError::VhdHeaderMagic);
        }
        let (block_size, entries) = (header.block_size(), header.entries());
        if !block_size.is_power_of_two() || u64::from(block_size) < SECTOR {
            return Err(ImageError::VhdBlockSize { bytes: u64::from(block_size) });
        }
        if entries > header::MAX_ENTRIES {
            return Err(ImageError::VhdEntries { count: u64::from(entries) });
        }
        let blocks = footer.virtual_size().div_ceil(u64::from(block_size).max(1));
        if blocks > u64::from(entries) {
            return Err(ImageError::VhdTableTooSmall);
        }
        if i64::try_from(header.table_offset()).is_err() {
            return Err(ImageError::VhdTable);
        }
        if header.table_end() > file_len {
            return Err(ImageError::VhdPastEnd);
        }
        Ok(Self { footer, tail, header: Some(header), file_len })
    }

    /// A fixed disk.
    #[must_use]
    pub const fn fixed(footer: Footer, tail: Footer, file_len: u64) -> Self {
        Self { footer, tail, header: None, file_len }
    }

    /// Virtual size in bytes.
    #[must_use]
    pub fn virtual_size(&self) -> u64 {
        self.footer.virtual_size()
    }

    /// Where the footer at the end is, in bytes; `None` if there is none. What lies before the byte `used` is
    /// something else, whatever it looks like.
    #[must_use]
    pub fn trailer(&self, used: u64) -> Option<u64> {
        let at = self.file_len.checked_sub(FOOTER_LEN).filter(|at| *at >= used)?;
        (self.tail.is_footer() && at.is_multiple_of(SECTOR)).then_some(at)
    }

    /// Where the file ends, in whole sectors, in bytes.
    #[must_use]
    pub fn file_end(&self) -> u64 {
        self.file_len.checked_next_multiple_of(SECTOR).unwrap_or(self.file_len)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
