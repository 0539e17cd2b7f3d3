//! The directories of a sparse extent, and whether they can be what they say.

use crate::{PlanError, ReadAt, ResizeError};
use instar_formats::ImageError;
use instar_formats::bytes::{index, le32};
use instar_formats::io::IoError;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::vmdk::header::directory_sectors;
use instar_formats::vmdk::{ENTRY_LEN, SECTOR, SparseHeader};

/// Bytes of a directory read at a time.
pub const PIECE: usize = 64 << 10;
/// Most bytes of a grain table.
pub const TABLE: usize = 2048;

/// Where the directories are: the one that everybody reads, then the redundant one, if there is one.
pub fn directories(header: &SparseHeader) -> impl Iterator<Item = u64> + use<> {
    [Some(header.directory), header.is_twofold().then_some(header.redundant)].into_iter().flatten()
}

/// The byte offset of a sector.
#[must_use]
pub const fn byte(sector: u64) -> u64 {
    sector.saturating_mul(SECTOR)
}

/// A range of sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: u64,
    /// Behind the last.
    pub end: u64,
}

impl Span {
    /// So many from `first`.
    #[must_use]
    pub const fn new(first: u64, count: u64) -> Self {
        Self { first, end: first.saturating_add(count) }
    }

    /// Whether both have a sector.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.first < other.end && other.first < self.end
    }
}

/// What is in a file besides tables and grains.
#[derive(Debug, Clone, Copy)]
pub struct Fixed {
    /// Header and descriptor.
    pub head: Span,
    /// Directories.
    pub directories: [Span; 2],
    /// Where the file ends.
    pub end: u64,
}

impl Fixed {
    /// Of the extent with this header in a file of `file` sectors.
    ///
    /// # Errors
    /// They lie outside of it or on each other.
    pub fn new(header: &SparseHeader, file: u64) -> Result<Self, ImageError> {
        let head = match header.descriptor {
            0 => Span::new(0, 1),
            at => Span { first: 0, end: at.saturating_add(header.descriptor_len).max(1) },
        };
        let len = directory_sectors(header.tables());
        let mut fixed = Self { head, directories: [Span::new(0, 0); 2], end: file };
        for (slot, at) in fixed.directories.iter_mut().zip(directories(header)) {
            *slot = Span::new(at, len);
            if slot.meets(head) || slot.end > file {
                return Err(ImageError::VmdkDirectoryOffset { sector: at });
            }
        }
        let [first, second] = fixed.directories;
        if first.meets(second) { Err(ImageError::VmdkOverlap { sector: second.first }) } else { Ok(fixed) }
    }

    /// Whether a table or a grain may be there.
    #[must_use]
    pub fn allows(&self, span: Span) -> bool {
        let [first, second] = self.directories;
        span.end <= self.end && !span.meets(self.head) && !span.meets(first) && !span.meets(second)
    }
}

/// What a directory looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Survey {
    /// Entries that name no table.
    pub holes: u64,
    /// Where the last table ends.
    pub end: u64,
    /// Whether the tables follow the directory and each other.
    pub in_order: bool,
}

/// Reads the directory at sector `at`.
///
/// # Errors
/// An entry names what cannot be a table.
pub fn survey<R: ReadAt + ?Sized>(
    image: &mut R,
    header: &SparseHeader,
    fixed: &Fixed,
    at: u64,
    buf: &mut [u8],
) -> Result<Survey, PlanError> {
    let (per, mut next) = (header.table_sectors(), at.saturating_add(directory_sectors(header.tables())));
    let mut found = Survey { holes: 0, end: next, in_order: true };
    each_entry(image, (at, header.tables()), buf, |index, entry| {
        let span = Span::new(u64::from(entry), per);
        found.in_order &= span.first == next;
        next = span.end;
        if entry == 0 {
            found.holes = found.holes.saturating_add(1);
        } else if !fixed.allows(span) {
            return Err(PlanError::from(ImageError::VmdkDirectoryTable { index, sector: span.first }));
        }
        found.end = found.end.max(span.end);
        Ok(())
    })?;
    Ok(found)
}

/// Hands out the first `count` entries of the directory at sector `at`, each with its number.
///
/// # Errors
/// The device's and `visit`'s.
pub fn each_entry<R: ReadAt + ?Sized, E: From<IoError>>(
    image: &mut R,
    (at, count): (u64, u64),
    buf: &mut [u8],
    mut visit: impl FnMut(u64, u32) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Buffered::new(buf);
    let (mut done, len) = (0, count.saturating_mul(ENTRY_LEN));
    while done < len {
        let piece = reader.piece(image, byte(at).saturating_add(done), len.saturating_sub(done))?;
        let words = piece.as_chunks::<4>().0;
        for (n, word) in words.iter().enumerate() {
            visit((done / ENTRY_LEN).saturating_add(n as u64), u32::from_le_bytes(*word))?;
        }
        if words.is_empty() {
            break;
        }
        done = done.saturating_add((words.len() as u64).saturating_mul(ENTRY_LEN));
    }
    Ok(())
}

/// Entry `n` of the directory at sector `at`.
///
/// # Errors
/// The device's.
pub fn entry<R: ReadAt + ?Sized>(image: &mut R, at: u64, n: u64) -> Result<u32, IoError> {
    let mut word = [0; 4];
    image.read_at(byte(at).saturating_add(n.saturating_mul(ENTRY_LEN)), &mut word)?;
    Ok(u32::from_le_bytes(word))
}

/// Entry `n` of a table at hand.
#[must_use]
pub fn at(table: &[u8], n: u64) -> u32 {
    le32(table, index(n.saturating_mul(ENTRY_LEN)))
}

/// Whether all sectors up to `end` can be told in an entry.
///
/// # Errors
/// [`ResizeError::FileTooLarge`].
pub fn addressable(end: u64) -> Result<(), ResizeError> {
    if end <= u64::from(u32::MAX) { Ok(()) } else { Err(ResizeError::FileTooLarge) }
}
