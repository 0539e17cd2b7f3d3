//! How far a guest may write: a bound that any correct operation stays well below, so that a broken
//! one cannot fill the host's disk at will.

use instar_abi::layout::SECTOR;
use instar_ops::{CreateRequest, Format, SizeRequest};

/// Room for what does not grow with the image: header, first tables, alignment.
const SLACK: u64 = 64 << 20;
/// The tables of a VHDX image without a disk: QEMU wants as many entries as 32 bits say, divided by the
/// blocks of a chunk, of which there are 16 at least.
const EMPTY_VHDX: u64 = 2 << 30;
/// A preallocated area of VHD or VHDX is whole blocks, of 256 MiB at most: one at each end may be the disk's in part.
const EDGES: u64 = 2 * (256 << 20);
/// Metadata takes at most this part of what it describes: with clusters of 512 bytes, 8 bytes of L2
/// table and 8 of refcount for each.
const METADATA_PART: u64 = 16;

/// The end of a file's window for a job that only reads: the image, in whole sectors.
pub fn read(len: u64) -> u64 {
    sectors(len)
}

/// The end of the device for a repair: new refcount structures take less than the file, wherever in it
/// and behind it their place turns out to be.
pub fn repair(len: u64) -> u64 {
    create(len.saturating_mul(2), 0)
}

/// The end of a file's window for a resize of an image of `len` bytes in this format, or one that is probed:
/// tables may be written anew, which takes less than the file has, and all of the area that is added may be
/// allocated, or mapped cluster by cluster where it hides a longer backing file, with its metadata.
pub fn resize(len: u64, size: SizeRequest, format: Option<Format>) -> u64 {
    let more = match size {
        SizeRequest::Absolute(size) | SizeRequest::Grow(size) => size,
        SizeRequest::Shrink(_) => 0,
    };
    let blocks = match format {
        Some(Format::Vhd | Format::Vhdx) | None => EDGES,
        Some(_) => 0,
    };
    create(len.saturating_mul(2), more.saturating_add(blocks))
}

/// Bytes of the disk of a new image, and of what its options ask for beside it.
pub const fn described(request: &CreateRequest) -> u64 {
    let beside = match (request.format, request.size) {
        (Format::Vhdx, 0) => request.vhdx.log_size.saturating_add(EMPTY_VHDX),
        (Format::Vhdx, _) => request.vhdx.log_size,
        _ => 0,
    };
    request.size.saturating_add(beside)
}

/// The end of the image's window for a new image of `size` bytes.
pub fn create(len: u64, size: u64) -> u64 {
    let disk = size.saturating_add(size / METADATA_PART);
    sectors(len.saturating_add(disk).saturating_add(SLACK))
}

/// Rounded up to a sector, and to what a file can have at most.
fn sectors(len: u64) -> u64 {
    let most = i64::MAX.unsigned_abs() / SECTOR * SECTOR;
    len.checked_next_multiple_of(SECTOR).unwrap_or(most).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_whole_sectors_and_never_overflow() {
        assert_eq!(read(1), 512);
        let raw = Some(Format::Raw);
        assert_eq!(resize(1000, SizeRequest::Shrink(u64::MAX), raw), SLACK + 2048);
        assert_eq!(resize(0, SizeRequest::Grow(1 << 30), raw), SLACK + (17 << 26));
        assert_eq!(resize(0, SizeRequest::Grow(0), None), SLACK + (17 << 25));
        let largest = resize(u64::MAX, SizeRequest::Absolute(u64::MAX), None);
        for limit in [read(u64::MAX), largest, create(0, u64::MAX)] {
            assert_eq!(limit, (1 << 63) - 512);
        }
    }
}
