//! Walking the block allocation table.

use crate::{IoError, ReadAt};
use core::ops::Range;
use instar_formats::ImageError;
use instar_formats::bytes::round_up;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::vhd::{ENTRY_LEN, FOOTER_LEN, HEADER_LEN, Header, Image, SECTOR, UNUSED};

/// Where an entry's block begins, in bytes.
#[must_use]
pub const fn place(entry: u32) -> u64 {
    (entry as u64).saturating_mul(SECTOR)
}

/// Entries that are looked at together first: most of a table has no places.
const TOGETHER: usize = 64;

/// Walks those of the entries `range` of the table at byte `table` that have a place.
///
/// # Errors
/// The device's.
pub fn each_entry<R: ReadAt + ?Sized>(
    image: &mut R,
    reader: &mut Buffered<'_>,
    table: u64,
    range: Range<u64>,
    visit: &mut dyn FnMut(u64, u32),
) -> Result<(), IoError> {
    let mut index = range.start;
    while index < range.end {
        let at = table.saturating_add(index.saturating_mul(ENTRY_LEN));
        let ahead = range.end.saturating_sub(index).saturating_mul(ENTRY_LEN);
        let piece = reader.piece(image, at, ahead)?;
        let (entries, _) = piece.as_chunks::<4>();
        for some in entries.chunks(TOGETHER) {
            if some.iter().fold(UNUSED, |all, entry| all & u32::from_ne_bytes(*entry)) == UNUSED {
                index = index.saturating_add(some.len() as u64);
                continue;
            }
            for entry in some.iter().map(|entry| u32::from_be_bytes(*entry)) {
                if entry != UNUSED {
                    visit(index, entry);
                }
                index = index.saturating_add(1);
            }
        }
        if entries.is_empty() {
            reader.forget();
        }
    }
    Ok(())
}

/// Walks over the entries of a range that have a place, one at a time.
#[derive(Debug)]
pub struct Cursor<'b> {
    reader: Buffered<'b>,
    table: u64,
    rest: Range<u64>,
}

impl<'b> Cursor<'b> {
    /// Of the entries `range` of the table at byte `table`.
    pub const fn new(buf: &'b mut [u8], table: u64, range: Range<u64>) -> Self {
        Self { reader: Buffered::new(buf), table, rest: range }
    }

    /// The next entry that `wants` takes: its number, and what it says.
    ///
    /// # Errors
    /// The device's.
    pub fn next<R: ReadAt + ?Sized>(
        &mut self,
        image: &mut R,
        wants: impl Fn(u32) -> bool,
    ) -> Result<Option<(u64, u32)>, IoError> {
        while self.rest.start < self.rest.end {
            let index = self.rest.start;
            let at = self.table.saturating_add(index.saturating_mul(ENTRY_LEN));
            let ahead = self.rest.end.saturating_sub(index).saturating_mul(ENTRY_LEN);
            let (entries, _) = self.reader.piece(image, at, ahead)?.as_chunks::<4>();
            let unused = entries.iter().take_while(|entry| **entry == UNUSED.to_be_bytes()).count();
            if unused > 0 {
                self.rest.start = index.saturating_add(unused as u64);
                continue;
            }
            let mut entry = [0; 4];
            self.reader.exact(image, at, ahead, &mut entry)?;
            self.rest.start = index.saturating_add(1);
            let entry = u32::from_be_bytes(entry);
            if entry != UNUSED && wants(entry) {
                return Ok(Some((index, entry)));
            }
        }
        Ok(None)
    }
}

/// What a walk over the table of a dynamic disk tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Survey {
    /// Blocks with a place.
    pub allocated: u64,
    /// Of them, those that do not lie behind their predecessor.
    pub fragmented: u64,
    /// Where the last of all structures ends, in bytes; the footer at the end is none of them.
    pub end: u64,
    /// Where the first structure behind the table begins, in bytes; the end of time if there is none.
    pub behind_table: u64,
    /// The first block that lies over metadata, and its sector.
    pub over_metadata: Option<(u64, u32)>,
}

/// Walks the whole table. `buf` is what is read at a time.
///
/// # Errors
/// The device's.
pub fn survey<R: ReadAt + ?Sized>(
    image: &mut R,
    header: &Header,
    header_at: u64,
    buf: &mut [u8],
) -> Result<Survey, IoError> {
    let (table, table_end) = (header.table_offset(), header.table_end());
    let header_end = header_at.saturating_add(HEADER_LEN);
    let mut found = Survey { end: header_end.max(table_end), behind_table: u64::MAX, ..Survey::default() };
    found.is_behind(table, header_at);
    for (at, len) in header.locators() {
        found.is_behind(table, at);
        found.end = found.end.max(round_up(at.saturating_add(len), SECTOR));
    }
    let mut expected = None;
    each_entry(
        image,
        &mut Buffered::new(buf),
        table,
        0..u64::from(header.entries()),
        &mut |index, entry| {
            let start = place(entry);
            let end = start.saturating_add(header.stride());
            found.allocated = found.allocated.saturating_add(1);
            found.fragmented =
                found.fragmented.saturating_add(u64::from(expected.is_some_and(|e| e != start)));
            expected = Some(end);
            found.end = found.end.max(end);
            found.is_behind(table, start);
            let apart = |from: u64, to: u64| end <= from || to <= start;
            let clear = apart(0, FOOTER_LEN) && apart(header_at, header_end) && apart(table, table_end);
            if !clear && found.over_metadata.is_none() {
                found.over_metadata = Some((index, entry));
            }
        },
    )?;
    Ok(found)
}

impl Survey {
    fn is_behind(&mut self, table: u64, at: u64) {
        if at > table {
            self.behind_table = self.behind_table.min(at);
        }
    }

    /// Refuses an image with blocks beyond the end of its file, as QEMU does when it opens one.
    ///
    /// # Errors
    /// [`ImageError::VhdPastEnd`].
    pub fn check_end(&self, image: &Image) -> Result<(), ImageError> {
        if self.end > image.file_end() { Err(ImageError::VhdPastEnd) } else { Ok(()) }
    }
}
