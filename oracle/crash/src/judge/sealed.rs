//! Judging LUKS files: a header, and behind it a disk as long as the file is ("LUKS1 On-Disk Format Specification", 1.2.3).

use super::{Bad, Step};
use crate::image::Image;

/// What a file begins with: a magic and, in big-endian, version 1.
const MAGIC: &[u8] = b"LUKS\xba\xbe\0\x01";
/// The field with the place of the disk, 4 bytes, big-endian, in sectors.
const PAYLOAD: u64 = 104;
const SECTOR: u64 = 512;

/// Where the disk begins, in bytes.
fn payload(image: &Image) -> Result<u64, Bad> {
    let (mut magic, mut field) = ([0; 8], [0; 4]);
    image.read(0, &mut magic);
    image.read(PAYLOAD, &mut field);
    let at = u64::from(u32::from_be_bytes(field)) * SECTOR;
    match magic == MAGIC && at <= image.len() {
        true => Ok(at),
        false => Err(Bad::new("corrupt", "there is no LUKS header, or no disk behind it")),
    }
}

/// The size of the disk in bytes.
pub(super) fn size(image: &Image) -> Result<u64, Bad> {
    Ok(image.len() - payload(image)?)
}

/// Notes the file as it is before a resize.
pub(super) fn begin(step: &mut Step, image: &Image) -> Result<(), Bad> {
    step.old = size(image)?;
    // Zeros in the file, which decrypt to noise: nobody has to find anything there that was cut off.
    step.zeros_beyond = true;
    step.encrypted = true;
    step.sealed = image.clone();
    Ok(())
}

/// Whether header and disk are the bytes that they were, as far as the disk stays, with zeros in the file from there to `to`.
pub(super) fn check(image: &Image, step: &Step, to: u64) -> Result<(), String> {
    let at = payload(&step.sealed).map_err(|bad| bad.to_string())?;
    let (kept, end) = (at + step.old.min(step.new), at + to);
    if let Some(place) = image.difference(&step.sealed, (0, kept)) {
        return Err(format!("something has changed from byte {place} of the file on"));
    }
    match image.is_filled(kept, end.saturating_sub(kept), 0) {
        true => Ok(()),
        false => Err("there are no zeros behind the old end".into()),
    }
}
