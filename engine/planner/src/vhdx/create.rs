//! Creating images, laid out as QEMU lays them out: the log, the BAT, the metadata, 4 MiB that nobody names,
//! and then the blocks.

use super::{Parts, random_guid};
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{index, put, put_le64};
use instar_formats::vhdx::{
    BAT, BLOCK_SIZES, Entry, FILE_ID, FileHeader, Geometry, HEADERS, METADATA, METADATA_LEN, MIB, Metadata,
    NO_GUID, REGION_TABLE_LEN, REGION_TABLES, Region, encode_metadata, encode_region_table,
};

/// What is left free behind the metadata, in bytes.
const SPARE: u64 = 4 * MIB;
/// Bytes of the metadata that are not zero, at most.
const METADATA_USED: usize = 68 << 10;
/// Logical and physical sector size in bytes.
const SECTOR: u64 = 512;
/// Bytes of the file identifier: its signature, and who made the image in UTF-16.
const ID_LEN: usize = 8 + 512;
/// Who that is.
const CREATOR: &str = "instar";

/// Options of a new image. Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// A power of two from 1 MiB to 256 MiB.
    pub block_size: u64,
    /// Whole MiB.
    pub log_len: u64,
    /// Whether the file has room for every block.
    pub fixed: bool,
    /// Whether blocks begin as zeros rather than as nothing, or, in a fixed image, as themselves.
    pub zero_blocks: bool,
}

/// The block size that QEMU chooses for a disk of `size` bytes.
#[must_use]
pub const fn block_size_for(size: u64) -> u64 {
    match size {
        0..=0x4000_0000 => 8 * MIB,
        0x4000_0001..=0x19_0000_0000 => 16 * MIB,
        0x19_0000_0001..=0x2000_0000_0000 => 32 * MIB,
        _ => 64 * MIB,
    }
}

/// A block size as it was asked for: rounded up to a MiB, and cut to the largest there is. `None` if that is no
/// power of two.
#[must_use]
pub const fn block_size(asked: u64) -> Option<u64> {
    let largest = *BLOCK_SIZES.end();
    let rounded = super::up_mib(asked);
    let size = if rounded > largest { largest } else { rounded };
    if size.is_power_of_two() && size >= *BLOCK_SIZES.start() { Some(size) } else { None }
}

/// Lays out an image with a disk of `size` bytes, whole sectors, in an empty file. Returns how long the file
/// shall be, in bytes.
///
/// # Errors
/// [`PlanError`]: the device's, or a scratch buffer that is too small.
pub fn run<T: Target>(
    target: &mut T,
    options: &Options,
    (size, random): (u64, &[u8; 64]),
    scratch: &mut [u8],
) -> Result<u64, PlanError> {
    let parts = Parts::carve(scratch)?;
    let geometry = Geometry::new(options.block_size, SECTOR);
    let log = Region { offset: MIB, len: options.log_len };
    let bat = Region { offset: log.end(), len: geometry.region_len(size) };
    let metadata = Region { offset: bat.end(), len: METADATA_LEN };
    let data = metadata.end().saturating_add(SPARE);
    let mut guids = random.chunks_exact(16).map(random_guid);
    let mut guid = || guids.next().unwrap_or(NO_GUID);
    write_headers(target, &log, (guid(), guid()))?;
    let table = parts.copy.get_mut(..index(REGION_TABLE_LEN)).unwrap_or_default();
    encode_region_table(&[(BAT, bat), (METADATA, metadata)], table);
    for offset in REGION_TABLES {
        target.apply(Patch::Write { offset, data: table })?;
    }
    let items = Metadata {
        block_size: options.block_size,
        fixed: options.fixed,
        has_parent: false,
        disk_size: size,
        disk_size_at: 0,
        logical_sector: SECTOR,
        physical_sector: SECTOR,
    };
    let region = parts.copy.get_mut(..METADATA_USED).unwrap_or_default();
    encode_metadata(&items, &guid(), region);
    target.apply(Patch::Write { offset: metadata.offset, data: region })?;
    write_bat(target, options, (geometry, size), (bat.offset, data), parts.window)?;
    target.apply(Patch::Barrier)?;
    Ok(if options.fixed { data.saturating_add(size) } else { data })
}

fn write_headers<T: Target>(
    target: &mut T,
    log: &Region,
    (file_write_guid, data_write_guid): (instar_formats::vhdx::Guid, instar_formats::vhdx::Guid),
) -> Result<(), PlanError> {
    let mut id = [0; ID_LEN];
    put(&mut id, 0, FILE_ID);
    for (unit, slot) in CREATOR.encode_utf16().zip(id.get_mut(8..).unwrap_or_default().chunks_exact_mut(2)) {
        slot.copy_from_slice(&unit.to_le_bytes());
    }
    target.apply(Patch::Write { offset: 0, data: &id })?;
    for (offset, sequence) in HEADERS.into_iter().zip(1..) {
        let header = FileHeader {
            sequence,
            file_write_guid,
            data_write_guid,
            log_guid: NO_GUID,
            log_version: 0,
            log_len: log.len,
            log_offset: log.offset,
        };
        target.apply(Patch::Write { offset, data: &header.encode() })?;
    }
    Ok(())
}

fn write_bat<T: Target>(
    target: &mut T,
    options: &Options,
    (geometry, size): (Geometry, u64),
    (bat, data): (u64, u64),
    window: &mut [u8],
) -> Result<(), PlanError> {
    let entries = geometry.entries(size);
    let first = match (options.zero_blocks, options.fixed) {
        (true, _) => Entry::ZERO,
        (false, true) => Entry::present(data),
        // Nothing is what the file has there.
        (false, false) => return Ok(()),
    };
    let moves = if options.zero_blocks { 0 } else { options.block_size };
    let most = window.len() as u64 / 8;
    let mut number = 0;
    while number < entries {
        let count = entries.saturating_sub(number).min(most).max(1);
        let piece = window.get_mut(..index(count.saturating_mul(8))).unwrap_or_default();
        for (i, bytes) in piece.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let block = geometry.block_of(number.saturating_add(i as u64));
            let entry = block.map_or(0, |block| first.0.saturating_add(block.saturating_mul(moves)));
            put_le64(bytes, 0, entry);
        }
        let offset = bat.saturating_add(number.saturating_mul(8));
        target.apply(Patch::Write { offset, data: piece })?;
        number = number.saturating_add(count);
    }
    Ok(())
}
