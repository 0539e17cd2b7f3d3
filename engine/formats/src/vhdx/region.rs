//! The two region tables ("Region Tables"), which are copies of each other: where BAT and metadata are.

use super::{Crc32c, Guid, HEADER_SECTION, MIB, OpenError, crc32c, guid};
use crate::ImageError;
use crate::bytes::{le32, le64, put, put_le32, put_le64};
use crate::io::ReadAt;

/// Where the region tables are, in bytes.
pub const REGION_TABLES: [u64; 2] = [192 << 10, 256 << 10];
/// How long each is, in bytes.
pub const REGION_TABLE_LEN: u64 = 64 << 10;
/// The region of the BAT: 2DC27766-F623-4200-9D64-115E9BFD4A08.
pub const BAT: Guid = *b"\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
/// The metadata region: 8B7CA206-4790-4B9A-B8FE-575F050F886E.
pub const METADATA: Guid = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
/// "regi"
const SIGNATURE: u32 = 0x6967_6572;
/// Bytes before the first entry.
const TABLE_HEADER: usize = 16;
/// Bytes of an entry: GUID, offset, length, flags.
const ENTRY: usize = 32;
/// Most entries of a table.
const MAX_ENTRIES: u32 = 2047;
/// In the flags of an entry: whoever does not know the region must not open the image.
const REQUIRED: u32 = 1;
/// How much of a table is read at a time, in bytes: whole entries.
const PIECE: usize = 2048;
/// Most regions of an image, the log among them. The specification names two; more than a few nobody has seen.
const MAX_REGIONS: usize = 16;

/// A part of the file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Region {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub len: u64,
}

impl Region {
    /// Where it ends.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// Whether the two have bytes in common.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }

    /// Whether a region may be here: whole MiB, not in the header section, of some length.
    #[must_use]
    pub const fn is_aligned(&self) -> bool {
        let whole = self.offset.is_multiple_of(MIB) && self.len.is_multiple_of(MIB);
        whole && self.len > 0 && self.offset >= HEADER_SECTION
    }
}

/// What a region table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionTable {
    /// Every region, in the order of the table.
    regions: [(Guid, Region); MAX_REGIONS],
    count: usize,
    /// Whether the table has entries that nobody here knows.
    pub unknown: bool,
}

impl RegionTable {
    /// Reads the table at `offset`.
    ///
    /// # Errors
    /// [`OpenError`]: it makes no sense, or the device failed.
    pub fn read<R: ReadAt>(disk: &mut R, offset: u64) -> Result<Self, OpenError> {
        let mut head = [0; TABLE_HEADER];
        disk.read_at(offset, &mut head)?;
        let count = le32(&head, 8);
        if le32(&head, 0) != SIGNATURE || count > MAX_ENTRIES {
            return Err(ImageError::VhdxRegionTable.into());
        }
        let mut table = Self { regions: Default::default(), count: 0, unknown: false };
        let (stored, mut crc) = (le32(&head, 4), Crc32c::new());
        put_le32(&mut head, 4, 0);
        crc.update(&head);
        let (mut done, mut left) = (TABLE_HEADER as u64, count);
        let mut fault = None;
        while done < REGION_TABLE_LEN {
            let mut piece = [0; PIECE];
            let len = REGION_TABLE_LEN.saturating_sub(done).min(PIECE as u64);
            let part = piece.get_mut(..crate::bytes::index(len)).unwrap_or_default();
            disk.read_at(offset.saturating_add(done), part)?;
            crc.update(part);
            for entry in part.chunks_exact(ENTRY) {
                if left > 0 {
                    left = left.saturating_sub(1);
                    fault = fault.or(table.add(entry).err());
                }
            }
            done = done.saturating_add(len.max(1));
        }
        match fault {
            _ if crc.finish() != stored => Err(ImageError::VhdxRegionTable.into()),
            Some(fault) => Err(fault.into()),
            None => Ok(table),
        }
    }

    fn add(&mut self, entry: &[u8]) -> Result<(), ImageError> {
        let (id, offset) = (guid(entry, 0), le64(entry, 16));
        let (len, flags) = (u64::from(le32(entry, 24)), le32(entry, 28));
        if id != BAT && id != METADATA {
            if flags & REQUIRED != 0 {
                return Err(ImageError::VhdxRegionUnknown);
            }
            self.unknown = true;
        }
        let slot = self.regions.get_mut(self.count).ok_or(ImageError::VhdxRegionsMany)?;
        *slot = (id, Region { offset, len });
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// The regions, with what they are.
    #[must_use]
    pub fn regions(&self) -> &[(Guid, Region)] {
        self.regions.get(..self.count).unwrap_or_default()
    }

    /// Moves the BAT in what is known of the table.
    pub fn set_bat(&mut self, to: Region) {
        for (id, region) in self.regions.iter_mut().take(self.count) {
            if *id == BAT {
                *region = to;
            }
        }
    }

    /// The one region of this kind.
    ///
    /// # Errors
    /// [`ImageError::VhdxRegionMissing`]: there is none, or more than one.
    pub fn find(&self, id: &Guid) -> Result<Region, ImageError> {
        let mut found = self.regions().iter().filter(|(guid, _)| guid == id);
        match (found.next(), found.next()) {
            (Some((_, region)), None) => Ok(*region),
            _ => Err(ImageError::VhdxRegionMissing),
        }
    }
}

/// The head of a region table with these regions, all of them required, as the specification wants it.
/// `table` is [`REGION_TABLE_LEN`] bytes.
pub fn encode_region_table(regions: &[(Guid, Region)], table: &mut [u8]) {
    table.fill(0);
    put_le32(table, 0, SIGNATURE);
    put_le32(table, 8, u32::try_from(regions.len()).unwrap_or(u32::MAX));
    let (_, entries) = table.split_at_mut_checked(TABLE_HEADER).unwrap_or_default();
    for ((id, region), entry) in regions.iter().zip(entries.chunks_exact_mut(ENTRY)) {
        put(entry, 0, id);
        put_le64(entry, 16, region.offset);
        put_le32(entry, 24, u32::try_from(region.len).unwrap_or(u32::MAX));
        put_le32(entry, 28, REQUIRED);
    }
    let crc = crc32c(table);
    put_le32(table, 4, crc);
}

/// Moves the BAT in a region table of [`REGION_TABLE_LEN`] bytes, and nothing else.
pub fn move_bat(table: &mut [u8], to: Region) {
    let (_, entries) = table.split_at_mut_checked(TABLE_HEADER).unwrap_or_default();
    if let Some(entry) = entries.chunks_exact_mut(ENTRY).find(|entry| entry.starts_with(&BAT)) {
        put_le64(entry, 16, to.offset);
        put_le32(entry, 24, u32::try_from(to.len).unwrap_or(u32::MAX));
    }
    let crc = crc32c(table);
    put_le32(table, 4, crc);
}
