//! The metadata region ("Metadata Region"): a table of items, and the items.

use super::{BLOCK_SIZES, Guid, MAX_DISK, OpenError, Region, guid};
use crate::ImageError;
use crate::bytes::{index, le32, le64, put, put_le32, put_le64};
use crate::io::ReadAt;

/// Bytes of the table; items come after it ("Metadata Table").
const TABLE_LEN: u64 = 64 << 10;
/// Bytes of the region in a new image.
pub const METADATA_LEN: u64 = 1 << 20;
/// "metadata"
const SIGNATURE: u64 = 0x6174_6164_6174_656d;
/// Bytes before the first entry, and of an entry.
const ENTRY: usize = 32;
/// Most entries of a table.
const MAX_ENTRIES: u32 = 2047;
/// How much of a table is read at a time, in bytes: whole entries.
const PIECE: usize = 2048;

/// Flags of an entry: about the disk and not the file, and: whoever does not know it must not open the image.
const VIRTUAL_DISK: u32 = 2;
const REQUIRED: u32 = 4;

/// Bits of the file parameters.
const LEAVE_BLOCKS_ALLOCATED: u32 = 1;
const HAS_PARENT: u32 = 2;

/// The items that are known, and the length in bytes of all but the last ("Known Metadata Items").
const KNOWN: [(Guid, u32); 6] = [
    (*b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b", 8),
    (*b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8", 8),
    (*b"\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46", 16),
    (*b"\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f", 4),
    (*b"\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56", 4),
    (*b"\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c", u32::MAX),
];
/// How many of them every image has.
const NEEDED: usize = 5;

/// An item that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// Block size and flags.
    FileParameters,
    /// Size of the disk.
    DiskSize,
    /// What SCSI page 83 shows.
    DiskId,
    /// Logical sector size.
    LogicalSector,
    /// Physical sector size.
    PhysicalSector,
    /// Where the parent is.
    ParentLocator,
}

/// What the items say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Bytes of a payload block.
    pub block_size: u64,
    /// Whether blocks stay allocated: what a fixed image says.
    pub fixed: bool,
    /// Whether what is not here is a parent's.
    pub has_parent: bool,
    /// Size of the disk in bytes as the item says it.
    pub disk_size: u64,
    /// Where in the file that item is.
    pub disk_size_at: u64,
    /// Bytes of a logical sector: 512 or 4096.
    pub logical_sector: u64,
    /// Bytes of a physical sector, whatever they are.
    pub physical_sector: u64,
}

impl Metadata {
    /// Reads the table and the items in `region`.
    ///
    /// # Errors
    /// [`OpenError`]: they make no sense, or the device failed.
    pub fn read<R: ReadAt>(disk: &mut R, region: Region) -> Result<Self, OpenError> {
        let items = find(disk, region)?;
        let mut place = |item: Item, buf: &mut [u8]| -> Result<u64, OpenError> {
            let Some(Some(offset)) = items.get(item as usize).copied() else {
                return Err(ImageError::VhdxItemMissing { item: item as u64 }.into());
            };
            disk.read_at(offset, buf)?;
            Ok(offset)
        };
        let (mut parameters, mut size, mut logical, mut physical) = ([0; 8], [0; 8], [0; 4], [0; 4]);
        place(Item::FileParameters, &mut parameters)?;
        let disk_size_at = place(Item::DiskSize, &mut size)?;
        place(Item::DiskId, &mut [0; 16])?;
        place(Item::LogicalSector, &mut logical)?;
        place(Item::PhysicalSector, &mut physical)?;
        let bits = le32(&parameters, 4);
        let metadata = Self {
            block_size: u64::from(le32(&parameters, 0)),
            fixed: bits & LEAVE_BLOCKS_ALLOCATED != 0,
            has_parent: bits & HAS_PARENT != 0,
            disk_size: le64(&size, 0),
            disk_size_at,
            logical_sector: u64::from(le32(&logical, 0)),
            physical_sector: u64::from(le32(&physical, 0)),
        };
        Ok(metadata.sensible()?)
    }

    fn sensible(self) -> Result<Self, ImageError> {
        if !self.block_size.is_power_of_two() || !BLOCK_SIZES.contains(&self.block_size) {
            return Err(ImageError::VhdxBlockSize { bytes: self.block_size });
        }
        if !matches!(self.logical_sector, 512 | 4096) {
            return Err(ImageError::VhdxSectorSize { bytes: self.logical_sector });
        }
        if self.disk_size > MAX_DISK {
            return Err(ImageError::VhdxDiskSize { bytes: self.disk_size });
        }
        Ok(self)
    }
}

/// Where the known items are in the file.
fn find<R: ReadAt>(disk: &mut R, region: Region) -> Result<[Option<u64>; KNOWN.len()], OpenError> {
    let mut head = [0; ENTRY];
    disk.read_at(region.offset, &mut head)?;
    // Two reserved bytes stand before the count.
    let count = le32(&head, 8) >> 16;
    if le64(&head, 0) != SIGNATURE || count > MAX_ENTRIES || region.len < TABLE_LEN {
        return Err(ImageError::VhdxMetadataTable.into());
    }
    let (mut items, mut left, mut done) = ([None; KNOWN.len()], count, ENTRY as u64);
    while left > 0 && done < TABLE_LEN {
        let mut piece = [0; PIECE];
        let len = TABLE_LEN.saturating_sub(done).min(PIECE as u64);
        let part = piece.get_mut(..index(len)).unwrap_or_default();
        disk.read_at(region.offset.saturating_add(done), part)?;
        for entry in part.chunks_exact(ENTRY) {
            if left > 0 {
                left = left.saturating_sub(1);
                add(&mut items, entry, region)?;
            }
        }
        done = done.saturating_add(len.max(1));
    }
    apart(&items)?;
    Ok(items)
}

/// That no two of the items that every image has share bytes: a new size would change another one.
fn apart(items: &[Option<u64>; KNOWN.len()]) -> Result<(), ImageError> {
    let regions =
        items.iter().zip(KNOWN).take(NEEDED).enumerate().filter_map(|(item, (offset, (_, len)))| {
            offset.map(|offset| (item as u64, Region { offset, len: u64::from(len) }))
        });
    let shares = |(item, region): &(u64, Region)| {
        regions.clone().any(|(other, place)| other != *item && place.overlaps(region))
    };
    match regions.clone().find(shares) {
        Some((item, _)) => Err(ImageError::VhdxItem { item }),
        None => Ok(()),
    }
}

fn add(items: &mut [Option<u64>; KNOWN.len()], entry: &[u8], region: Region) -> Result<(), ImageError> {
    let id = guid(entry, 0);
    let (offset, len) = (u64::from(le32(entry, 16)), u64::from(le32(entry, 20)));
    let Some(which) = KNOWN.iter().position(|(guid, _)| *guid == id) else {
        let required = le32(entry, 24) & REQUIRED != 0;
        return if required { Err(ImageError::VhdxItemUnknown) } else { Ok(()) };
    };
    let length = KNOWN.get(which).map_or(0, |(_, len)| *len);
    let within = offset >= TABLE_LEN && offset.saturating_add(len) <= region.len;
    let Some(slot) = items.get_mut(which).filter(|slot| slot.is_none()) else {
        return Err(ImageError::VhdxItem { item: which as u64 });
    };
    // A word across two sectors of the log could not be replaced by one entry's sector.
    let whole = offset.is_multiple_of(4) && (offset & 4095).saturating_add(8) <= 4096;
    if !within || (length != u32::MAX && u64::from(length) != len) || !whole {
        return Err(ImageError::VhdxItem { item: which as u64 });
    }
    *slot = Some(region.offset.saturating_add(offset));
    Ok(())
}

/// The head of the region of a new image: the table, and behind it the items one after the other. `region`
/// is at least 68 KiB. Where the items are is not looked at.
pub fn encode_metadata(metadata: &Metadata, disk_id: &Guid, region: &mut [u8]) {
    region.fill(0);
    put_le64(region, 0, SIGNATURE);
    let count = u32::try_from(NEEDED).unwrap_or(u32::MAX);
    put_le32(region, 8, count << 16);
    let mut offset = index(TABLE_LEN);
    let bits = if metadata.fixed { LEAVE_BLOCKS_ALLOCATED } else { 0 };
    let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    for (i, (id, len)) in KNOWN.iter().take(NEEDED).enumerate() {
        let entry = i.saturating_add(1).saturating_mul(ENTRY);
        put(region, entry, id);
        put_le32(region, entry.saturating_add(16), word(offset as u64));
        put_le32(region, entry.saturating_add(20), *len);
        put_le32(region, entry.saturating_add(24), if i == 0 { REQUIRED } else { REQUIRED | VIRTUAL_DISK });
        match i {
            0 => {
                put_le32(region, offset, word(metadata.block_size));
                put_le32(region, offset.saturating_add(4), bits);
            }
            1 => put_le64(region, offset, metadata.disk_size),
            2 => put(region, offset, disk_id),
            3 => put_le32(region, offset, word(metadata.logical_sector)),
            _ => put_le32(region, offset, word(metadata.physical_sector)),
        }
        offset = offset.saturating_add(index(u64::from(*len)));
    }
}
