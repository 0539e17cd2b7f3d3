//! The functions behind the call table.

use crate::{blk, outbox};
use core::ptr::with_exposed_provenance_mut;
use core::slice;
use instar_abi::boot::BootInfo;
use instar_abi::layout::{BOUNCE, CALL_TABLE, DMA, SECTOR_LEN};
use instar_abi::table::{CallTable, MAGIC, VERSION};

/// Writes the call table.
///
/// # Safety
/// To be called once, before the operation.
pub unsafe fn fill(boot: &BootInfo) {
    let table = CallTable {
        magic: MAGIC,
        version: VERSION,
        size: short(size_of::<CallTable>()),
        sector_size: short(SECTOR_LEN),
        capacity: boot.capacity.get(),
        image_len: boot.image_len.get(),
        read_output_sector,
        write_output_sector,
        zero_output_sector,
        flush_output,
        send_info_result: send_result,
        send_check_result: send_result,
        send_resize_result: send_result,
        send_create_result: send_result,
        send_unlock_result: send_result,
        send_item,
        debug,
        panic,
        files: boot.files.get(),
        file_len,
    };
    // SAFETY: the page is mapped for writing, and nothing refers to it yet.
    unsafe { with_exposed_provenance_mut::<CallTable>(CALL_TABLE.address()).write(table) };
}

/// A length that device memory bounds.
#[expect(clippy::cast_possible_truncation, reason = "device memory is far below 4 GiB")]
const fn short(len: usize) -> u32 {
    len as u32
}

/// Whether the device reaches the buffer as it is.
fn reachable(address: usize, len: usize) -> bool {
    DMA.contains(address as u64, len as u64)
}

/// Moves `len` bytes by way of the bounce area, piece by piece.
fn by_bounce(sector: u64, len: usize, mut piece: impl FnMut(u64, usize, usize) -> bool) -> u32 {
    let (mut at, mut done) = (sector, 0);
    while done < len {
        let now = (len - done).min(BOUNCE.size());
        if !piece(at, done, now) {
            return 1;
        }
        (at, done) = (at + (now / SECTOR_LEN) as u64, done + now);
    }
    0
}

unsafe extern "C" fn read_output_sector(sector: u64, buffer: *mut u8, len: usize) -> u32 {
    if reachable(buffer.addr(), len) {
        return u32::from(!blk::read(sector, buffer.addr(), short(len)));
    }
    by_bounce(sector, len, |at, done, now| {
        let read = blk::read(at, BOUNCE.address(), short(now));
        let from = with_exposed_provenance_mut::<u8>(BOUNCE.address());
        // SAFETY: the caller gave `len` writable bytes; the bounce area holds `now`.
        unsafe { buffer.add(done).copy_from_nonoverlapping(from, now) };
        read
    })
}

unsafe extern "C" fn write_output_sector(sector: u64, buffer: *const u8, len: usize) -> u32 {
    if reachable(buffer.addr(), len) {
        return u32::from(!blk::write(sector, buffer.addr(), short(len)));
    }
    by_bounce(sector, len, |at, done, now| {
        let to = with_exposed_provenance_mut::<u8>(BOUNCE.address());
        // SAFETY: the caller gave `len` readable bytes; the bounce area holds `now`.
        unsafe { to.copy_from_nonoverlapping(buffer.add(done), now) };
        blk::write(at, BOUNCE.address(), short(now))
    })
}

extern "C" fn zero_output_sector(sector: u64, count: u64, unmap: u32) -> u32 {
    u32::from(!blk::zero(sector, count, unmap != 0))
}

extern "C" fn file_len(file: u64) -> u64 {
    blk::boot_info().file_len(file)
}

extern "C" fn flush_output() -> u32 {
    u32::from(!blk::flush())
}

/// # Safety
/// `len` bytes from `bytes` are readable.
unsafe fn given<'a>(bytes: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: the caller says so.
    unsafe { slice::from_raw_parts(bytes, len) }
}

unsafe extern "C" fn send_result(bytes: *const u8, len: usize) {
    // SAFETY: part of the call's contract.
    outbox::add(unsafe { given(bytes, len) });
    outbox::flush();
}

unsafe extern "C" fn send_item(bytes: *const u8, len: usize) {
    // SAFETY: part of the call's contract.
    outbox::add(unsafe { given(bytes, len) });
}

unsafe extern "C" fn debug(bytes: *const u8, len: usize) {
    // SAFETY: part of the call's contract.
    outbox::debug(unsafe { given(bytes, len) });
}

unsafe extern "C" fn panic(bytes: *const u8, len: usize) -> ! {
    // SAFETY: part of the call's contract.
    outbox::panic(unsafe { given(bytes, len) })
}
