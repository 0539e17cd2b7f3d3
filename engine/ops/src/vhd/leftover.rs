//! What lies between the last block and the footer at the end. QEMU puts the next block there and clears
//! nothing, so that what is left there would appear in the disk.

use crate::{Disk, OpError};
use instar_formats::bytes::is_zero;
use instar_formats::vhd::Image;

/// Bytes that are looked at: what the next blocks take. Behind that may be a hole of 2 TiB.
const LOOKED_AT: u64 = 64 << 20;
/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// Where the first bytes behind `used` are that are not zero; zeroes all of them if it is to.
pub fn find<D: Disk>(
    disk: &mut D,
    image: &Image,
    used: u64,
    zeroes: bool,
    scratch: &mut [u8],
) -> Result<Option<u64>, OpError> {
    let end = image.trailer(used).unwrap_or(image.file_end());
    let until = end.min(used.saturating_add(LOOKED_AT));
    let mut at = used;
    while at < until {
        let len = usize::try_from(until.saturating_sub(at)).unwrap_or(PIECE).min(PIECE);
        let piece = scratch.get_mut(..len).unwrap_or_default();
        disk.read_at(at, piece)?;
        if !is_zero(piece) {
            if zeroes {
                disk.zero_at(at, end.saturating_sub(at), true)?;
                disk.flush()?;
            }
            return Ok(Some(at));
        }
        at = at.saturating_add(len.max(1) as u64);
    }
    Ok(None)
}
