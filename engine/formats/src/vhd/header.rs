//! The header of a dynamic or differencing disk ("Dynamic Disk Header Format"), kept as it stands.

use super::{ENTRY_LEN, HEADER_LEN, SECTOR, checksum, seal};
use crate::bytes::{be16, be32, be64, put, put_be32, put_be64};

/// "cxsparse".
const COOKIE: &[u8] = b"cxsparse";
/// `header_version`.
const VERSION: u32 = 0x0001_0000;
/// Most entries of a BAT that QEMU opens.
pub const MAX_ENTRIES: u32 = 0x1fff_ffff;
/// UTF-16 units of the parent's name.
const NAME_UNITS: usize = 256;
/// Parent locators.
const LOCATORS: usize = 8;
/// Bytes of one.
const LOCATOR_LEN: usize = 24;

/// Where the fields stand, in bytes. All that a resize changes stands in the first sector.
mod at {
    pub const DATA_OFFSET: usize = 8;
    pub const TABLE_OFFSET: usize = 16;
    pub const VERSION: usize = 24;
    pub const ENTRIES: usize = 28;
    pub const BLOCK_SIZE: usize = 32;
    pub const CHECKSUM: usize = 36;
    pub const PARENT_NAME: usize = 64;
    pub const LOCATORS: usize = 576;
    /// Within a locator: its kind, 0 for none.
    pub const LOCATOR_KIND: usize = 0;
    /// Bytes that its data takes.
    pub const LOCATOR_DATA_LEN: usize = 8;
    /// Where that is, in bytes.
    pub const LOCATOR_DATA: usize = 16;
}

/// A header, right or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; 1024],
}

impl From<[u8; 1024]> for Header {
    fn from(bytes: [u8; 1024]) -> Self {
        Self { bytes }
    }
}

impl Header {
    /// The header of a new dynamic disk.
    #[must_use]
    pub fn new(table_offset: u64, entries: u32, block_size: u32) -> Self {
        let mut bytes = [0; 1024];
        put(&mut bytes, 0, COOKIE);
        put_be64(&mut bytes, at::DATA_OFFSET, u64::MAX);
        put_be32(&mut bytes, at::VERSION, VERSION);
        put_be32(&mut bytes, at::BLOCK_SIZE, block_size);
        Self { bytes }.with_table(table_offset, entries)
    }

    /// The same header with a BAT of so many entries at this byte, its checksum right.
    #[must_use]
    pub fn with_table(mut self, table_offset: u64, entries: u32) -> Self {
        put_be64(&mut self.bytes, at::TABLE_OFFSET, table_offset);
        put_be32(&mut self.bytes, at::ENTRIES, entries);
        seal(&mut self.bytes, at::CHECKSUM);
        self
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 1024] {
        &self.bytes
    }

    /// Whether it is one at all.
    #[must_use]
    pub fn is_header(&self) -> bool {
        self.bytes.starts_with(COOKIE)
    }

    /// Whether its checksum is right, which QEMU does not ask.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        be32(&self.bytes, at::CHECKSUM) == checksum(&self.bytes, at::CHECKSUM)
    }

    /// Where the BAT is, in bytes.
    #[must_use]
    pub fn table_offset(&self) -> u64 {
        be64(&self.bytes, at::TABLE_OFFSET)
    }

    /// Where it ends, in whole sectors, in bytes.
    #[must_use]
    pub fn table_end(&self) -> u64 {
        self.table_offset().saturating_add(table_len(u64::from(self.entries())))
    }

    /// "Max Table Entries".
    #[must_use]
    pub fn entries(&self) -> u32 {
        be32(&self.bytes, at::ENTRIES)
    }

    /// Bytes of a block's data.
    #[must_use]
    pub fn block_size(&self) -> u32 {
        be32(&self.bytes, at::BLOCK_SIZE)
    }

    /// Blocks of a disk of `size` bytes.
    #[must_use]
    pub fn blocks(&self, size: u64) -> u64 {
        size.div_ceil(u64::from(self.block_size()).max(1))
    }

    /// The number of the block that a byte of the disk is in, and how many bytes of it lie before.
    #[must_use]
    pub fn locate(&self, offset: u64) -> (u64, u64) {
        let size = u64::from(self.block_size());
        (offset.checked_div(size).unwrap_or(0), offset.checked_rem(size).unwrap_or(0))
    }

    /// Bytes of a block's bitmap: a bit for a sector, in whole sectors.
    #[must_use]
    pub fn bitmap_len(&self) -> u64 {
        let bits = u64::from(self.block_size()).checked_div(SECTOR).unwrap_or(0);
        bits.div_ceil(8).next_multiple_of(SECTOR)
    }

    /// Bytes that a block takes in the file, with its bitmap.
    #[must_use]
    pub fn stride(&self) -> u64 {
        self.bitmap_len().saturating_add(u64::from(self.block_size()))
    }

    /// "Parent Unicode Name".
    pub fn parent_name(&self) -> impl Iterator<Item = char> {
        let unit = |i: usize| be16(&self.bytes, at::PARENT_NAME.saturating_add(i.saturating_mul(2)));
        let units = (0..NAME_UNITS).map(unit).take_while(|unit| *unit != 0);
        char::decode_utf16(units).map(|found| found.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// The byte ranges, offset and length, of the data of parent locators.
    pub fn locators(&self) -> impl Iterator<Item = (u64, u64)> {
        let entries = self.bytes.get(at::LOCATORS..).unwrap_or_default().chunks_exact(LOCATOR_LEN);
        let used = entries.take(LOCATORS).filter(|entry| be32(entry, at::LOCATOR_KIND) != 0);
        used.map(|entry| (be64(entry, at::LOCATOR_DATA), u64::from(be32(entry, at::LOCATOR_DATA_LEN))))
    }
}

/// Bytes of a BAT of `entries` entries, in whole sectors.
#[must_use]
pub const fn table_len(entries: u64) -> u64 {
    entries.saturating_mul(ENTRY_LEN).saturating_add(SECTOR - 1) & !(SECTOR - 1)
}

const _: () = assert!(at::CHECKSUM < 512 && HEADER_LEN == 1024);
