//! What a writer leaves that ended badly: the dirty bit with refcounts missing, bitmaps in use, the corrupt bit.

use super::BuildError;
use super::file::ImageFile;
use super::header::{DIRTY, EXTENDED_L2, Header, INCOMPATIBLE, OFFSET_MASK};
use super::refcounts::forget;

/// L2: the cluster is compressed. Bit 62.
const COMPRESSED: u64 = 1 << 62;
/// Header extension type of persistent bitmaps.
const BITMAPS: u32 = 0x2385_2875;
/// Bytes of a header extension's type and length fields.
const EXTENSION_HEAD: u64 = 8;
/// Bitmap flag 0: it was being written to.
const IN_USE: u32 = 1;
/// Bytes of a bitmap directory entry before its extra data and name.
const ENTRY: u64 = 24;

/// Sets incompatible feature bits.
pub fn set_incompatible(file: &ImageFile, header: &Header, bits: u64) -> Result<(), BuildError> {
    if header.version < 3 {
        return Err(BuildError::Illegal("version 2 has no feature bits"));
    }
    let bits = file.be64(INCOMPATIBLE)? | bits;
    file.write(INCOMPATIBLE, &bits.to_be_bytes())
}

/// Sets the dirty bit and forgets that the first `lost` clusters of data are in use.
pub fn dirty(file: &ImageFile, header: &Header, lost: u16) -> Result<(), BuildError> {
    set_incompatible(file, header, DIRTY)?;
    let step = if file.be64(INCOMPATIBLE)? & EXTENDED_L2 == 0 { 8 } else { 16 };
    let mut left = lost;
    for slot in 0..header.l1_size {
        let table = file.be64(header.l1_offset + 8 * slot)? & OFFSET_MASK;
        for place in (0..header.cluster).step_by(step).filter(|_| table != 0) {
            if left == 0 {
                return Ok(());
            }
            let entry = file.be64(table + place)?;
            let data = if entry & COMPRESSED == 0 { entry & OFFSET_MASK } else { 0 };
            if data != 0 && forget(file, header, data / header.cluster)? {
                left -= 1;
            }
        }
    }
    Ok(())
}

/// Marks every bitmap of the directory.
pub fn bitmaps_in_use(file: &ImageFile, header: &Header) -> Result<(), BuildError> {
    let mut at = header.length;
    while file.be32(at)? != BITMAPS {
        if file.be32(at)? == 0 {
            return Err(file.unexpected("no bitmaps", at));
        }
        at += EXTENSION_HEAD + u64::from(file.be32(at + 4)?).next_multiple_of(8);
    }
    // Number of bitmaps, 4 bytes reserved, size and offset of the directory.
    let data = at + EXTENSION_HEAD;
    let mut entry = file.be64(data + 16)?;
    for _ in 0..file.be32(data)? {
        let flags = file.be32(entry + 12)? | IN_USE;
        file.write(entry + 12, &flags.to_be_bytes())?;
        let name = u64::from(file.be32(entry + 16)? & 0xffff);
        let extra = u64::from(file.be32(entry + 20)?);
        entry += (ENTRY + extra + name).next_multiple_of(8);
    }
    Ok(())
}
