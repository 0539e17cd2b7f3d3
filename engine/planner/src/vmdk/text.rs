//! The descriptor that an extent has within it.

use crate::{Patch, Target};
use instar_formats::io::IoError;
use instar_formats::vmdk::{SECTOR, SECTOR_LEN};

/// Replaces the text at byte `at`, which has room for `new` with zeros behind it, by the sector, where it is not the
/// same. `old` is what is there.
///
/// # Errors
/// The device's.
pub fn replace<T: Target + ?Sized>(image: &mut T, at: u64, old: &[u8], new: &[u8]) -> Result<(), IoError> {
    let (mut offset, mut changed) = (at, false);
    let mut new = new.chunks(SECTOR_LEN);
    for old in old.chunks(SECTOR_LEN) {
        let mut sector = [0; SECTOR_LEN];
        for (to, from) in sector.iter_mut().zip(new.next().unwrap_or_default()) {
            *to = *from;
        }
        let sector = sector.get(..old.len()).unwrap_or_default();
        if sector != old {
            image.apply(Patch::Write { offset, data: sector })?;
            changed = true;
        }
        offset = offset.saturating_add(SECTOR);
    }
    if changed { image.apply(Patch::Barrier) } else { Ok(()) }
}
