//! Persistent dirty bitmaps ("Bitmaps extension"): a directory of entries of varying length, each
//! padded to 8 bytes, each naming a table of clusters.

use super::Geometry;
use super::extension::{BITMAPS, ExtensionError, Extensions};
use super::header::{AUTOCLEAR_BITMAPS, Header};
use super::walk::Buffered;
use crate::ImageError;
use crate::bytes::{be16, be32, be64};
use crate::io::ReadAt;

/// Length in bytes of the extension's data.
const EXTENSION_LEN: usize = 24;
/// Where the extension's data has the byte offset of the directory.
const DIRECTORY_OFFSET: u64 = 16;
/// Length in bytes of what every directory entry has.
const FIXED_LEN: usize = 24;
/// Most bitmaps of an image.
const MAX_BITMAPS: u32 = 65535;
/// Longest directory in bytes that QEMU reads.
const MAX_DIRECTORY: u64 = 64 << 20;
/// Most entries of a bitmap table that QEMU reads.
const MAX_TABLE: u64 = 0x0800_0000;
/// Longest bitmap in bytes that QEMU reads.
const MAX_BITMAP_BYTES: u64 = 0x2000_0000;
/// Longest bitmap name in bytes.
const MAX_NAME: u64 = 1023;
/// log2 of the finest and coarsest granularity.
const GRANULARITY_BITS: core::ops::RangeInclusive<u8> = 9..=31;
/// The one type there is: a dirty tracking bitmap.
const TYPE_DIRTY: u8 = 1;
/// Flag bit 0: not stored properly.
pub const IN_USE: u32 = 1;
/// Flag bit 1: to be tracked at once.
const AUTO: u32 = 2;
/// Flag bits that QEMU accepts: those two. The third of the specification, "extra data compatible", means
/// nothing without extra data.
const KNOWN_FLAGS: u32 = 3;
/// Bits that must be zero in an entry of a bitmap table.
const ENTRY_RESERVED: u64 = 0xff00_0000_0000_01fe;
/// Bits 9 to 55 of such an entry: the host offset.
const ENTRY_OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Bit 0 of an entry without an offset: all ones.
pub const ENTRY_ONES: u64 = 1;

/// Byte offsets of the fields of a directory entry that a resize changes. Entries are aligned to 8 bytes,
/// so neither word is ever torn.
pub mod at {
    /// Byte offset of the table, u64.
    pub const TABLE_OFFSET: u64 = 0;
    /// Entries of the table, u32, and behind them the flags, u32.
    pub const TABLE_ENTRIES: u64 = 8;
}

/// An entry of the bitmap directory. The name stays in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitmapEntry {
    /// Byte offset of the entry in the file.
    pub offset: u64,
    /// Byte offset of its table.
    pub table_offset: u64,
    /// Entries of that table, 8 bytes each.
    pub table_entries: u64,
    /// Its flags as they stand.
    pub flags: u32,
    /// Whether it was not stored properly.
    pub in_use: bool,
    /// Whether it is to be tracked at once.
    pub auto: bool,
    /// log2 of the bytes that one bit stands for: 9 to 31.
    pub granularity_bits: u8,
    /// Byte offset of its name.
    pub name_offset: u64,
    /// Length of its name in bytes: 1 to 1023.
    pub name_len: u64,
}

/// The host cluster that an entry of a bitmap table names, 0 for none.
///
/// # Errors
/// The entry itself, if it cannot be right.
pub const fn table_entry(value: u64, header: &Header) -> Result<u64, u64> {
    let offset = value & ENTRY_OFFSET;
    let ones = value & ENTRY_ONES != 0;
    if value & ENTRY_RESERVED != 0 || header.geometry.in_cluster(offset) != 0 || (ones && offset != 0) {
        return Err(value);
    }
    Ok(offset)
}

/// Walks the bitmap directory.
#[derive(Debug)]
pub struct Bitmaps {
    /// Byte offset of the directory, 0 for none.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
    /// The byte offset of the word that names the directory, in the extension.
    pub named_at: u64,
    next: u64,
    left: u32,
}

impl Bitmaps {
    /// The directory that the bitmaps extension names; an empty one if there is none, or if a program
    /// that knows no bitmaps has written to the image since.
    ///
    /// # Errors
    /// The device's, or [`ImageError::BitmapDirectory`].
    pub fn find<R: ReadAt + ?Sized>(header: &Header, image: &mut R) -> Result<Self, ExtensionError> {
        let mut extensions = Extensions::new(header);
        while let Some(extension) = extensions.next(image)? {
            if extension.kind == BITMAPS && header.autoclear & AUTOCLEAR_BITMAPS != 0 {
                let mut data = [0; EXTENSION_LEN];
                extension.read(image, &mut data)?;
                return Self::decode(&data, extension.len, extension.offset, header);
            }
        }
        Ok(Self { start: 0, len: 0, named_at: 0, next: 0, left: 0 })
    }

    /// Whether the `len` bytes at `offset` have a byte in common with the directory.
    #[must_use]
    pub const fn lies_on(&self, offset: u64, len: u64) -> bool {
        offset < self.start.saturating_add(self.len) && self.start < offset.saturating_add(len)
    }

    fn decode(data: &[u8], len: u64, at: u64, header: &Header) -> Result<Self, ExtensionError> {
        let (left, size, start) = (be32(data, 0), be64(data, 8), be64(data, 16));
        let wrong = len != EXTENSION_LEN as u64
            || !(1..=MAX_BITMAPS).contains(&left)
            || be32(data, 4) != 0
            || !(FIXED_LEN as u64..=MAX_DIRECTORY).contains(&size)
            || start == 0
            || header.geometry.in_cluster(start) != 0;
        if wrong {
            return Err(ImageError::BitmapDirectory { offset: at }.into());
        }
        Ok(Self { start, len: size, named_at: at.saturating_add(DIRECTORY_OFFSET), next: start, left })
    }

    /// The next entry, or `None` at the end.
    ///
    /// # Errors
    /// The device's, or [`ImageError::BitmapDirectory`].
    pub fn next<R: ReadAt + ?Sized>(
        &mut self,
        header: &Header,
        image: &mut R,
        reader: &mut Buffered<'_>,
    ) -> Result<Option<BitmapEntry>, ExtensionError> {
        let invalid = ImageError::BitmapDirectory { offset: self.next };
        let ahead = self.start.saturating_add(self.len).saturating_sub(self.next);
        let Some(left) = self.left.checked_sub(1) else {
            return if ahead == 0 { Ok(None) } else { Err(invalid.into()) };
        };
        let mut fixed = [0; FIXED_LEN];
        if ahead < FIXED_LEN as u64 {
            return Err(invalid.into());
        }
        reader.exact(image, self.next, ahead, &mut fixed)?;
        let entry = Self::entry(self.next, &fixed);
        let end = entry.name_offset.saturating_add(entry.name_len).saturating_add(7) & !7;
        let fits = end.saturating_sub(self.next) <= ahead;
        if !fits || !entry.plausible(header) || !understood(&fixed) {
            return Err(invalid.into());
        }
        (self.next, self.left) = (end, left);
        Ok(Some(entry))
    }

    fn entry(offset: u64, fixed: &[u8]) -> BitmapEntry {
        let flags = be32(fixed, 12);
        BitmapEntry {
            offset,
            table_offset: be64(fixed, 0),
            table_entries: u64::from(be32(fixed, 8)),
            flags,
            in_use: flags & IN_USE != 0,
            auto: flags & AUTO != 0,
            granularity_bits: fixed.get(17).copied().unwrap_or(0),
            name_offset: offset.saturating_add(FIXED_LEN as u64).saturating_add(u64::from(be32(fixed, 20))),
            name_len: u64::from(be16(fixed, 18)),
        }
    }
}

/// That an entry has nothing that nobody here knows: its type, its flags, no extra data.
fn understood(fixed: &[u8]) -> bool {
    fixed.get(16) == Some(&TYPE_DIRTY) && be32(fixed, 12) & !KNOWN_FLAGS == 0 && be32(fixed, 20) == 0
}

/// How many bits a bitmap of a disk of `size` bytes has.
#[must_use]
pub const fn bits(size: u64, granularity_bits: u8) -> u64 {
    size.div_ceil(1_u64.wrapping_shl(granularity_bits as u32))
}

/// Entries that the table of a bitmap of the whole disk has.
#[must_use]
pub const fn table_entries(geometry: Geometry, size: u64, granularity_bits: u8) -> u64 {
    geometry.clusters(bits(size, granularity_bits).div_ceil(8))
}

/// Whether a bitmap table may have that many entries.
#[must_use]
pub fn fits(geometry: Geometry, entries: u64) -> bool {
    (1..=MAX_TABLE).contains(&entries) && geometry.offset(entries) <= MAX_BITMAP_BYTES
}

impl BitmapEntry {
    fn plausible(&self, header: &Header) -> bool {
        let g = header.geometry;
        let expected = table_entries(g, header.virtual_size(), self.granularity_bits);
        self.table_offset != 0
            && g.in_cluster(self.table_offset) == 0
            && fits(g, self.table_entries)
            && GRANULARITY_BITS.contains(&self.granularity_bits)
            && (1..=MAX_NAME).contains(&self.name_len)
            && (self.in_use || self.table_entries == expected)
    }
}
