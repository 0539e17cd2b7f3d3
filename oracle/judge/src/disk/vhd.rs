//! VHD: numbers have their most significant byte first.

use super::source::Bytes;
use super::{Disk, Run};
use crate::JudgeError;
use oracle_case::chs;

/// Bytes of a footer, and of a sector.
const FOOTER: u64 = 512;
/// Bytes of a dynamic disk's header.
const HEADER: u64 = 1024;
/// An entry of a block without a place.
const UNUSED: u64 = 0xffff_ffff;
/// Where both have their checksum.
const FOOTER_SUM: usize = 64;
const HEADER_SUM: usize = 36;

/// What a footer has besides size, geometry and checksum: name, first byte, length.
const FOOTER_FIELDS: [(&str, usize, usize); 8] = [
    ("footer.features-and-version", 8, 8),
    ("footer.data-offset", 16, 8),
    ("footer.time-stamp", 24, 4),
    ("footer.creator", 28, 12),
    ("footer.disk-type", 60, 4),
    ("footer.unique-id", 68, 16),
    ("footer.saved-state", 84, 1),
    ("footer.reserved", 85, 427),
];

/// What a header has besides the table's place and length and the checksum.
const HEADER_FIELDS: [(&str, usize, usize); 4] = [
    ("header.data-offset", 8, 8),
    ("header.version", 24, 4),
    ("header.block-size", 32, 4),
    ("header.parent", 40, 984),
];

/// Reads the image.
pub fn read(disk: &mut Disk) -> Result<(), JudgeError> {
    let file = &disk.files[0];
    let len = file.len;
    let trailer = file.bytes(len.saturating_sub(FOOTER), FOOTER)?;
    let front = file.bytes(0, FOOTER)?;
    if trailer.at(0) != *b"conectix" {
        disk.wrong("footer", "there is no footer at the end");
        return Ok(());
    }
    disk.want(sum(&trailer, FOOTER_SUM) == trailer.be32(FOOTER_SUM), "checksum", || "of the footer".into());
    disk.size = size(&trailer);
    let sizes = (trailer.be64(40), trailer.be64(48));
    disk.want(sizes.0 == sizes.1, "sizes", || format!("{sizes:?} at creation and now"));
    for (name, at, len) in FOOTER_FIELDS {
        disk.keep(name, trailer.part(at, len));
    }
    match trailer.be32(60) {
        2 => fixed(disk, len),
        3 => {
            disk.want(front == trailer, "footers", || "the two footers differ".into());
            return dynamic(disk, &trailer, len);
        }
        kind => disk.wrong("disk-type", kind.to_string()),
    }
    Ok(())
}

/// The size that a reader believes: the geometry's if it counts.
fn size(footer: &Bytes) -> u64 {
    let creator: [u8; 4] = footer.at(28);
    let [c0, c1, heads, sectors] = footer.at(56);
    let total = u64::from(u16::from_be_bytes([c0, c1])) * u64::from(heads) * u64::from(sectors);
    let counts = matches!(&creator, b"qemu" | b"vpc ") && total != chs::MOST.total();
    if counts { total * FOOTER } else { footer.be64(48) }
}

fn fixed(disk: &mut Disk, len: u64) {
    let room = len.saturating_sub(FOOTER);
    disk.want(disk.size == room, "file-length", || format!("{room} bytes before the footer"));
    disk.runs.insert(0, Run { file: 0, offset: 0, len: disk.size.min(room) });
}

fn dynamic(disk: &mut Disk, footer: &Bytes, len: u64) -> Result<(), JudgeError> {
    let at = footer.be64(16);
    let header = disk.files[0].bytes(at, HEADER)?;
    disk.want(header.at(0) == *b"cxsparse", "header", || format!("none at {at:#x}"));
    let right = sum(&header, HEADER_SUM) == header.be32(HEADER_SUM);
    disk.want(right, "checksum", || "of the header".into());
    for (name, at, len) in HEADER_FIELDS {
        disk.keep(name, header.part(at, len));
    }
    let (table, entries, block) = (header.be64(16), header.be32(28), header.be32(32).max(1));
    let needed = disk.size.div_ceil(block);
    disk.want(entries == needed, "table-entries", || format!("{entries} for {needed} blocks"));
    let bytes = disk.files[0].bytes(table, entries * 4)?;
    let bitmap = (block / FOOTER).div_ceil(8).next_multiple_of(FOOTER);
    let table_len = (entries * 4).next_multiple_of(FOOTER);
    let mut ranges = vec![
        (0, FOOTER, "the first footer".to_string()),
        (at, HEADER, "the header".to_string()),
        (table, table_len, "the table".to_string()),
    ];
    for number in 0..entries {
        let entry = bytes.be32(super::place(number * 4));
        if entry == UNUSED {
            continue;
        }
        let place = entry * FOOTER;
        ranges.push((place, bitmap + block, format!("block {number}")));
        let bits = disk.files[0].bytes(place, block / FOOTER / 8)?;
        let whole = bits.0.iter().all(|byte| *byte == 0xff);
        disk.want(whole, "bitmap", || format!("sectors of block {number} are said not to be there"));
        disk.runs.insert(number * block, Run { file: 0, offset: place + bitmap, len: block });
    }
    disk.apart(ranges, len.saturating_sub(FOOTER));
    Ok(())
}

/// The one's complement of the sum of all bytes but the four at `skip`.
fn sum(bytes: &Bytes, skip: usize) -> u64 {
    let kept = bytes.0.iter().enumerate().filter(|(at, _)| !(skip..skip + 4).contains(at));
    let sum = kept.fold(0u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)));
    (!sum).into()
}
