//! The descriptor that an extent has within it.

use crate::{Patch, Target};
use instar_formats::io::IoError;
use instar_formats::vmdk::{SECTOR, SECTOR_LEN};

/// Makes `text` what is at byte `at`, with zeros behind it up to the end of a sector and of the `old` bytes of
/// text that are there. Sectors that are so already are not written.
///
/// # Errors
/// The device's.
pub fn replace<T: Target + ?Sized>(image: &mut T, at: u64, old: usize, text: &[u8]) -> Result<(), IoError> {
    let (mut offset, mut changed) = (at, false);
    let mut pieces = text.chunks(SECTOR_LEN);
    for _ in 0..old.max(text.len()).div_ceil(SECTOR_LEN) {
        let (mut there, mut sector) = ([0; SECTOR_LEN], [0; SECTOR_LEN]);
        image.read_at(offset, &mut there)?;
        for (to, from) in sector.iter_mut().zip(pieces.next().unwrap_or_default()) {
            *to = *from;
        }
        if sector != there {
            image.apply(Patch::Write { offset, data: &sector })?;
            changed = true;
        }
        offset = offset.saturating_add(SECTOR);
    }
    if changed { image.apply(Patch::Barrier) } else { Ok(()) }
}
