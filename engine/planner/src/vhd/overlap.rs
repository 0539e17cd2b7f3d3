//! Whether blocks lie over each other, in constant memory.
//!
//! The file is cut into stretches as long as a block. Blocks that lie apart begin in different stretches, and
//! of two in neighbouring ones the second begins no nearer to the start of its stretch than the first. So it
//! takes one word a stretch to tell, and a walk over the table for as many stretches as there are words.

use super::table::each_entry;
use crate::{IoError, ReadAt};
use instar_formats::bytes::index;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::vhd::{Header, SECTOR, UNUSED};

/// Bytes of the table read at a time.
const PIECE: usize = 256 << 10;
/// Most walks over the table: with 4 MiB of words enough for 64 Mi blocks.
const MAX_WALKS: u64 = 64;
/// Bytes of a word.
const WORD: usize = 4;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlaps {
    /// All blocks lie apart.
    None,
    /// A block at this sector lies over another one.
    At(u64),
    /// There are more stretches than can be told apart.
    Unknown,
}

/// Looks at the first `entries` entries of a table, in a file of `file_len` bytes.
///
/// # Errors
/// The device's.
pub fn overlaps<R: ReadAt + ?Sized>(
    image: &mut R,
    header: &Header,
    (entries, file_len): (u64, u64),
    scratch: &mut [u8],
) -> Result<Overlaps, IoError> {
    let stride = header.stride() / SECTOR;
    let stretches = (file_len / SECTOR).checked_div(stride).unwrap_or(0).saturating_add(1);
    let (piece, words) = scratch.split_at_mut_checked(PIECE).unwrap_or_default();
    let (words, _) = words.as_chunks_mut::<WORD>();
    // Neighbours are looked at together: the last stretch of a walk is the first one of the next.
    let step = (words.len() as u64).saturating_sub(1);
    if step == 0 || stretches.div_ceil(step) > MAX_WALKS {
        return Ok(Overlaps::Unknown);
    }
    let mut first = 0;
    while first < stretches {
        let count = index(stretches.saturating_sub(first)).min(words.len());
        let mut walk = Walk { stride, first, words: words.get_mut(..count).unwrap_or_default(), found: None };
        walk.words.fill([0; WORD]);
        let mut visit = |_, entry| walk.begin(entry);
        each_entry(image, &mut Buffered::new(piece), header.table_offset(), 0..entries, &mut visit)?;
        if let Some(sector) = walk.found.or_else(|| walk.neighbours()) {
            return Ok(Overlaps::At(sector));
        }
        first = first.saturating_add(step);
    }
    Ok(Overlaps::None)
}

/// A walk over the table for the stretches from `first` on.
struct Walk<'w> {
    /// Sectors of a stretch.
    stride: u64,
    first: u64,
    /// Where in each stretch a block begins, in sectors and one more; 0 for none.
    words: &'w mut [[u8; WORD]],
    found: Option<u64>,
}

impl Walk<'_> {
    fn begin(&mut self, entry: u32) {
        let sector = u64::from(entry);
        let (Some(stretch), Some(within)) =
            (sector.checked_div(self.stride), sector.checked_rem(self.stride))
        else {
            return;
        };
        let word = stretch.checked_sub(self.first).and_then(|at| self.words.get_mut(index(at)));
        if let (Some(word), true) = (word, entry != UNUSED) {
            if *word != [0; WORD] {
                self.found = Some(sector);
            }
            *word = u32::try_from(within.saturating_add(1)).unwrap_or(u32::MAX).to_ne_bytes();
        }
    }

    fn neighbours(&self) -> Option<u64> {
        let begins = |word: &[u8; WORD]| u64::from(u32::from_ne_bytes(*word)).checked_sub(1);
        let pairs = self.words.iter().zip(self.words.iter().skip(1)).zip(self.first.saturating_add(1)..);
        let mut over = pairs.filter_map(|((left, right), stretch)| {
            let right = begins(right)?;
            let overlaps = right < begins(left)?;
            overlaps.then(|| stretch.saturating_mul(self.stride).saturating_add(right))
        });
        over.next()
    }
}
