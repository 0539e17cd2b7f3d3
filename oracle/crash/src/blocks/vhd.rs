//! VHD, after Microsoft's "Virtual Hard Disk Image Format Specification", 1.0. All integers are big-endian.

use super::{Claims, Piece, Reading, be, bytes};
use crate::image::Image;

/// Bytes of a footer, and of a sector.
const SECTOR: u64 = 512;
/// Bytes of the header of a dynamic disk.
const HEADER: u64 = 1024;
/// Disk types.
const FIXED: u64 = 2;
const DYNAMIC: u64 = 3;
/// A geometry that says nothing: 65535 cylinders, 16 heads, 255 sectors.
const NO_GEOMETRY: (u64, u64, u64) = (65535, 16, 255);
/// An entry of the table without a block.
const UNUSED: u64 = 0xffff_ffff;
/// Entries of a table that are read: those of the largest disk there is with blocks of 512 KiB.
const MOST_ENTRIES: u64 = 1 << 22;
/// Bytes of a table that are looked at in one go: most are unused throughout.
const PIECE: u64 = 64 << 10;

/// A footer whose checksum is right.
#[derive(Debug, PartialEq, Eq)]
struct Footer {
    bytes: Vec<u8>,
    kind: u64,
    /// Bytes, in QEMU's eyes.
    size: u64,
}

impl Footer {
    fn read(image: &Image, at: u64) -> Option<Self> {
        let bytes = bytes(image, at, SECTOR);
        let (cylinders, heads, sectors) = (be(&bytes, 56, 2), be(&bytes, 58, 1), be(&bytes, 59, 1));
        // QEMU goes by the geometry of what it or Virtual PC has made.
        let by_geometry = matches!(&bytes[28..32], b"qemu" | b"vpc ");
        let exact = !by_geometry || (cylinders, heads, sectors) == NO_GEOMETRY;
        let size = if exact { be(&bytes, 48, 8) } else { cylinders * heads * sectors * SECTOR };
        let valid = bytes.starts_with(b"conectix") && is_sealed(&bytes, 64);
        valid.then(|| Self { kind: be(&bytes, 60, 4), size, bytes })
    }

    fn current(&self) -> u64 {
        be(&self.bytes, 48, 8)
    }

    /// The size at creation, which libvhdi takes for the size.
    fn original(&self) -> u64 {
        be(&self.bytes, 40, 8)
    }

    /// That all who read this footer see the same size.
    fn is_agreed(&self) -> bool {
        // What libvhdi and 7-Zip see of a disk of QEMU's own is never less than QEMU sees.
        self.current() >= self.size && (self.original() == self.current() || self.original() == self.size)
    }
}

/// Whether the four bytes at `at` are the complement of the sum of all others.
fn is_sealed(bytes: &[u8], at: usize) -> bool {
    let sum = |part: &[u8]| part.iter().map(|b| u32::from(*b)).sum::<u32>();
    let (own, all) = (bytes.get(at..at + 4).unwrap_or_default(), sum(bytes));
    be(bytes, at, 4) == u64::from(!(all - sum(own)))
}

/// Reads it: by the footer in front, as QEMU does, or that at the end if the disk is fixed.
pub fn read(image: &Image) -> Result<Reading, String> {
    let end = image.len().checked_sub(SECTOR).ok_or("the file is too short")?;
    let tail = Footer::read(image, end).ok_or("there is no valid footer at the end of the file")?;
    if tail.kind == FIXED {
        return fixed(&tail, end);
    }
    let head = Footer::read(image, 0).ok_or("there is no valid footer in front")?;
    if (head.kind, tail.kind) != (DYNAMIC, DYNAMIC) {
        return Err(format!("disk types {} and {}", head.kind, tail.kind));
    }
    dynamic(image, &head, &tail)
}

fn fixed(footer: &Footer, end: u64) -> Result<Reading, String> {
    let size = footer.size;
    if size > end || !footer.is_agreed() {
        return Err(format!("the footer says {size} bytes, the file has {end}"));
    }
    let pieces = vec![Piece { guest: 0, len: size, file: 0, at: 0 }];
    let unfinished = (size != end).then_some("the file is longer than the disk");
    Ok(Reading { size, pieces, unfinished, by_length: true, ..Reading::default() })
}

fn dynamic(image: &Image, head: &Footer, tail: &Footer) -> Result<Reading, String> {
    let at = be(&head.bytes, 16, 8);
    let header = bytes(image, at, HEADER);
    if !header.starts_with(b"cxsparse") || !is_sealed(&header, 36) {
        return Err(format!("there is no valid header at {at:#x}"));
    }
    let (table, entries, block) = (be(&header, 16, 8), be(&header, 28, 4), be(&header, 32, 4));
    if !block.is_power_of_two() || block < SECTOR || entries > MOST_ENTRIES {
        return Err(format!("{entries} blocks of {block} bytes"));
    }
    let (size, needed) = (head.size, head.size.div_ceil(block));
    if entries < needed {
        return Err(format!("a table of {entries} entries for {needed} blocks"));
    }
    if !tail.is_agreed() || !head.is_agreed() {
        return Err("a footer has sizes that do not agree".into());
    }
    let bitmap = block.div_ceil(SECTOR).div_ceil(8).next_multiple_of(SECTOR);
    let mut claims = Claims::default();
    claims.claim(0, SECTOR, "footer");
    claims.claim(image.len() - SECTOR, SECTOR, "footer");
    claims.claim(at, HEADER, "header");
    claims.claim(table, (entries * 4).next_multiple_of(SECTOR), "table");
    let mut pieces = Vec::new();
    for (number, entry) in used(image, table, entries) {
        let start = entry * SECTOR;
        claims.claim(start, bitmap + block, "block");
        let guest = number * block;
        if guest < size {
            pieces.push(Piece { guest, len: block.min(size - guest), file: 0, at: start + bitmap });
        }
    }
    claims.check(image.len())?;
    let unfinished = if head != tail { Some("the footers differ") } else { None };
    let unfinished = unfinished.or((entries != needed).then_some("the table is longer than the disk"));
    Ok(Reading { size, pieces, unfinished, ..Reading::default() })
}

/// The entries of a table that name a block, with their numbers.
fn used(image: &Image, table: u64, entries: u64) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    for at in (0..entries * 4).step_by(crate::image::to_usize(PIECE)) {
        let len = PIECE.min(entries * 4 - at);
        if image.is_filled(table + at, len, 0xff) {
            continue;
        }
        let piece = bytes(image, table + at, len);
        let numbered = (at / 4..).zip(piece.chunks_exact(4).map(|entry| be(entry, 0, 4)));
        found.extend(numbered.filter(|(_, entry)| *entry != UNUSED));
    }
    found
}
