//! Persistent bitmaps (qcow2.txt, "Bitmaps extension" and "Bitmaps").

use super::header::{BITMAPS, Header, be};
use super::tables::OFFSET_MASK;
use crate::sparse::{Range, read_padded};
use std::fs::File;
use std::io;

/// Bytes of a directory entry before its extra data and name.
const ENTRY: usize = 24;
/// Bit 0 of a table entry that names no cluster: all bits are ones.
const ALL_ONES: u64 = 1;
/// Bits that are read of one bitmap, at most.
const MAX_BITS: u64 = 1 << 28;

/// One persistent bitmap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    /// Its name.
    pub name: String,
    /// Its flags as they stand: bit 0 in use, bit 1 recording.
    pub flags: u64,
    /// log2 of the bytes that one bit stands for.
    pub granularity_bits: u64,
    /// The bits that are set, as ranges of bit numbers.
    pub set: Vec<Range>,
    /// Where its table lies.
    pub table: Range,
    /// Where the clusters lie that the table names.
    pub clusters: Vec<Range>,
}

/// The bitmaps of an image, and where their directory lies; `None` if the header names none.
///
/// # Errors
/// The file cannot be read.
pub fn bitmaps(file: &File, header: &Header) -> io::Result<Option<(Vec<Bitmap>, Range)>> {
    let Some((data, _)) = header.extension(BITMAPS) else { return Ok(None) };
    let number = |from: usize, len: usize| data.get(from..from + len).map_or(0, be);
    // Number of bitmaps, 4 bytes reserved, size and offset of the directory.
    let (count, len, start) = (number(0, 4), number(8, 8), number(16, 8));
    let (mut at, mut found) = (start, Vec::new());
    for _ in 0..count {
        let (bitmap, len) = read_entry(file, header, at)?;
        found.push(bitmap);
        at = at.saturating_add(len);
    }
    Ok(Some((found, Range { start, end: start.saturating_add(len) })))
}

/// The bitmap whose directory entry is at `at`, and the entry's length in bytes.
fn read_entry(file: &File, header: &Header, at: u64) -> io::Result<(Bitmap, u64)> {
    let mut entry = [0; ENTRY];
    read_padded(file, at, &mut entry)?;
    let number = |from: usize, len: usize| entry.get(from..from + len).map_or(0, be);
    let (name, extra) = (number(18, 2), number(20, 4));
    let mut text = vec![0; usize::try_from(name).unwrap_or(0)];
    read_padded(file, at + ENTRY as u64 + extra, &mut text)?;
    let table = Range { start: number(0, 8), end: number(0, 8).saturating_add(8 * number(8, 4)) };
    let mut bitmap = Bitmap {
        name: String::from_utf8_lossy(&text).into_owned(),
        flags: number(12, 4),
        granularity_bits: number(17, 1),
        set: Vec::new(),
        table,
        clusters: Vec::new(),
    };
    bitmap.read_bits(file, header)?;
    Ok((bitmap, (ENTRY as u64 + extra + name).next_multiple_of(8)))
}

impl Bitmap {
    fn read_bits(&mut self, file: &File, header: &Header) -> io::Result<()> {
        let size = header.cluster_size();
        let granules = header.get("size").div_ceil(1 << self.granularity_bits.min(63)).min(MAX_BITS);
        let mut first = 0;
        for piece in self.table.pieces(8) {
            let mut value = [0; 8];
            read_padded(file, piece.start, &mut value)?;
            let (value, end) = (be(&value), (first + size * 8).min(granules));
            match value & OFFSET_MASK {
                0 if value & ALL_ONES != 0 => self.note(first, end),
                0 => {}
                start => {
                    self.clusters.push(Range { start, end: start + size });
                    self.read_cluster(file, start, first, end)?;
                }
            }
            first += size * 8;
        }
        Ok(())
    }

    /// Bits stand in bytes from the least significant one on.
    fn read_cluster(&mut self, file: &File, at: u64, first: u64, end: u64) -> io::Result<()> {
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(first).div_ceil(8)).unwrap_or(0)];
        read_padded(file, at, &mut bytes)?;
        for (number, byte) in (first..).step_by(8).zip(bytes).filter(|(_, byte)| *byte != 0) {
            for bit in (0..8).filter(|bit| byte >> bit & 1 == 1 && number + bit < end) {
                self.note(number + bit, number + bit + 1);
            }
        }
        Ok(())
    }

    fn note(&mut self, start: u64, end: u64) {
        match self.set.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ if start < end => self.set.push(Range { start, end }),
            _ => {}
        }
    }
}
