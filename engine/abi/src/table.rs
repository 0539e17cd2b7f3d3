//! What an operation may call: functions of core, at a fixed place and in a fixed order.

use crate::layout;

/// "CALL" as a big-endian number.
pub const MAGIC: u32 = 0x4341_4c4c;
/// Rises when a field changes its meaning, not when one is appended.
pub const VERSION: u32 = 1;

/// Moves `len` bytes, a multiple of the sector size, between `buffer` and the device from `sector`.
/// Returns 0, or 1 if the device failed.
pub type ReadSectors = unsafe extern "C" fn(sector: u64, buffer: *mut u8, len: usize) -> u32;
/// The same in the other direction.
pub type WriteSectors = unsafe extern "C" fn(sector: u64, buffer: *const u8, len: usize) -> u32;
/// Makes `count` sectors from `sector` read as zeros; `unmap` is 1 if their space may be given back.
pub type ZeroSectors = extern "C" fn(sector: u64, count: u64, unmap: u32) -> u32;
/// Makes everything before it durable, in every file.
pub type Flush = extern "C" fn() -> u32;
/// Hands `len` bytes from `bytes` over.
pub type Send = unsafe extern "C" fn(bytes: *const u8, len: usize);
/// Length of a file in bytes when the job began; 0 if there is none of that number.
pub type FileLen = extern "C" fn(file: u64) -> u64;
/// Hands the last words over and ends the job.
pub type Panic = unsafe extern "C" fn(bytes: *const u8, len: usize) -> !;

/// Lies at [`layout::CALL_TABLE`]. Fields are only ever appended; `size` says how many there are.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CallTable {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`VERSION`].
    pub version: u32,
    /// Bytes of this structure.
    pub size: u32,
    /// Bytes of a sector.
    pub sector_size: u32,
    /// Sectors that the image's window has: the image rounded up, and how far it may grow.
    pub capacity: u64,
    /// Length of the image in bytes when the job began.
    pub image_len: u64,
    /// Reads sectors; those past the end of the image are zeros.
    pub read_output_sector: ReadSectors,
    /// Writes sectors; past the end of the image, it grows.
    pub write_output_sector: WriteSectors,
    /// Zeroes sectors.
    pub zero_output_sector: ZeroSectors,
    /// Flushes the device.
    pub flush_output: Flush,
    /// Sends an encoded `GuestMessage` with an `info_result`.
    pub send_info_result: Send,
    /// Sends an encoded `GuestMessage` with a `check_result`.
    pub send_check_result: Send,
    /// Sends an encoded `GuestMessage` with a `resize_result`.
    pub send_resize_result: Send,
    /// Sends an encoded `GuestMessage` with a `create_result`.
    pub send_create_result: Send,
    /// Sends an encoded `GuestMessage` with a snapshot, a bitmap or a finding; may be kept back
    /// until the next one that does not fit or until the result.
    pub send_item: Send,
    /// Sends text for the host's log.
    pub debug: Send,
    /// Sends the text of a panic and ends the job.
    pub panic: Panic,
    /// Files that the device serves, each in its window ([`layout::Windows`]). The image is the first.
    pub files: u64,
    /// Tells how long they are.
    pub file_len: FileLen,
    /// Sends an encoded `GuestMessage` with an `unlock_result`.
    pub send_unlock_result: Send,
}

impl CallTable {
    /// Whether the table is one that this code can use.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        self.magic == MAGIC
            && self.version == VERSION
            && self.size as usize >= size_of::<Self>()
            && self.sector_size as u64 == layout::SECTOR
    }
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<usize>() == 8, "both sides are 64-bit");
    assert!(offset_of!(CallTable, capacity) == 16);
    assert!(offset_of!(CallTable, read_output_sector) == 32);
    assert!(offset_of!(CallTable, flush_output) == 56);
    assert!(offset_of!(CallTable, send_resize_result) == 80);
    assert!(offset_of!(CallTable, panic) == 112);
    assert!(offset_of!(CallTable, files) == 120);
    assert!(size_of::<CallTable>() == 144);
    assert!(size_of::<CallTable>() as u64 <= layout::CALL_TABLE.len);
};
