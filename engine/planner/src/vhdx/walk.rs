//! Following every entry of the BAT.

use super::Parts;
use crate::{IoError, ReadAt};
use instar_formats::bytes::{index, le64};
use instar_formats::vhdx::{Entry, Image, MAX_FILE, MIB, Region, State};

/// Hands out the entries of the BAT from number `from` on and before `to`, sector bitmaps among them. `window`
/// is what is read of the table at a time.
///
/// # Errors
/// The device's, or `visit`'s.
pub fn each_entry<R: ReadAt, E: From<IoError>>(
    disk: &mut R,
    image: &Image,
    (from, to): (u64, u64),
    window: &mut [u8],
    visit: &mut dyn FnMut(&mut R, u64, Entry) -> Result<(), E>,
) -> Result<(), E> {
    let mut entry = from;
    let most = (window.len() as u64 / 8).max(1);
    while entry < to {
        let count = to.saturating_sub(entry).min(most);
        let piece = window.get_mut(..index(count.saturating_mul(8))).unwrap_or_default();
        disk.read_at(image.entry_at(entry), piece)?;
        for (i, bytes) in piece.as_chunks::<8>().0.iter().enumerate() {
            visit(disk, entry.saturating_add(i as u64), Entry(u64::from_le_bytes(*bytes)))?;
        }
        entry = entry.saturating_add(count);
    }
    Ok(())
}

/// What is wrong with an entry of the BAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It says what only a disk with a parent can say, or nothing that is defined.
    State,
    /// Bits are set that must be zero.
    Reserved,
    /// The block ends past the end of the file.
    PastEnd,
    /// The block lies over the headers, the log or a region: the region's offset in bytes.
    OverRegion(u64),
    /// The block lies over another one.
    OverBlock,
}

/// Which MiB of the file are taken, as far as they are in the window.
pub struct Usage<'b> {
    bits: &'b mut [u8],
    first: u64,
}

impl<'b> Usage<'b> {
    /// A window of as many MiB as `bits` has bits.
    pub const fn new(bits: &'b mut [u8]) -> Self {
        Self { bits, first: 0 }
    }

    /// Empties the window, and moves it to begin at this MiB.
    pub fn reset(&mut self, first: u64) {
        self.bits.fill(0);
        self.first = first;
    }

    /// The window itself.
    pub(super) const fn bits(&mut self) -> &mut [u8] {
        self.bits
    }

    /// The first MiB behind the window.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.first.saturating_add((self.bits.len() as u64).saturating_mul(8))
    }

    /// Takes every MiB that the range has a part in, and says whether one of them was taken.
    pub fn take(&mut self, range: &Region) -> bool {
        let first = (range.offset / MIB).max(self.first);
        let end = range.end().div_ceil(MIB).min(self.end());
        let mut taken = false;
        for unit in first..end {
            let at = unit.saturating_sub(self.first);
            if let Some(byte) = self.bits.get_mut(index(at / 8)) {
                let bit = 1_u8.wrapping_shl(u32::try_from(at & 7).unwrap_or(0));
                taken |= *byte & bit != 0;
                *byte |= bit;
            }
        }
        taken
    }

    /// Whether this MiB is taken; it is in the window.
    #[must_use]
    pub fn is_taken(&self, unit: u64) -> bool {
        let at = unit.saturating_sub(self.first);
        let bit = 1_u8.wrapping_shl(u32::try_from(at & 7).unwrap_or(0));
        self.bits.get(index(at / 8)).is_none_or(|byte| byte & bit != 0)
    }
}

/// What was found in a BAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Survey {
    /// Blocks that are present.
    pub present: u64,
    /// Of them, those that do not follow their predecessor in the file.
    pub scattered: u64,
    /// Where the last of them ends in the file, in bytes.
    pub end: u64,
    /// Entries that something is wrong with.
    pub wrong: u64,
}

/// Looks at every entry of the BAT, of an image of `file_len` bytes. What is wrong goes to `report`: the number
/// of the entry, the entry, and why.
///
/// # Errors
/// The device's.
pub fn survey<R: ReadAt>(
    disk: &mut R,
    image: &Image,
    file_len: u64,
    parts: &mut Parts<'_>,
    report: &mut dyn FnMut(u64, Entry, Wrong),
) -> Result<Survey, IoError> {
    let (geometry, size) = (image.geometry(), image.virtual_size());
    let file_len = file_len.min(MAX_FILE);
    let entries = geometry.entries(size);
    let mut found = Survey::default();
    let mut next = 0;
    let Parts { window, usage, .. } = parts;
    each_entry(disk, image, (0, entries), window, &mut |_, number, entry| {
        if entry.0 == 0 {
            // Nothing, whichever kind of entry it is; most of a large table.
            return Ok::<(), IoError>(());
        }
        if let Some(wrong) = alone(image, file_len, number, entry) {
            found.wrong = found.wrong.saturating_add(1);
            report(number, entry, wrong);
        } else if geometry.block_of(number).is_some() && entry.state() == State::Present {
            let block = Region { offset: entry.offset(), len: geometry.block_size };
            found.present = found.present.saturating_add(1);
            let follows = next == 0 || next == block.offset;
            found.scattered = found.scattered.saturating_add(u64::from(!follows));
            next = block.end();
            found.end = found.end.max(block.end());
        }
        Ok(())
    })?;
    let mut unit = 0;
    while unit < found.end.div_ceil(MIB) {
        usage.reset(unit);
        each_entry(disk, image, (0, entries), window, &mut |_, number, entry| {
            if let Some(block) = sound_block(image, file_len, number, entry)
                && usage.take(&block)
            {
                found.wrong = found.wrong.saturating_add(1);
                report(number, entry, Wrong::OverBlock);
            }
            Ok::<(), IoError>(())
        })?;
        unit = usage.end();
    }
    Ok(found)
}

/// The block of an entry that names one, if nothing is wrong with the entry alone.
fn sound_block(image: &Image, file_len: u64, number: u64, entry: Entry) -> Option<Region> {
    let sound = entry.state() == State::Present
        && image.geometry().block_of(number).is_some()
        && alone(image, file_len, number, entry).is_none();
    sound.then_some(Region { offset: entry.offset(), len: image.metadata.block_size })
}

/// What is wrong with an entry whatever the others say.
fn alone(image: &Image, file_len: u64, number: u64, entry: Entry) -> Option<Wrong> {
    let Some(block) = image.geometry().block_of(number) else {
        return (entry.0 != 0).then_some(Wrong::State);
    };
    match entry.state() {
        State::Reserved | State::Partial => return Some(Wrong::State),
        _ if entry.has_reserved_bits() => return Some(Wrong::Reserved),
        State::Present => {}
        _ => return None,
    }
    let size = image.metadata.block_size;
    let place = Region { offset: entry.offset(), len: size };
    let header = Region { offset: 0, len: MIB };
    let mut taken = core::iter::once(header).chain(image.regions());
    if let Some(region) = taken.find(|region| region.len > 0 && region.overlaps(&place)) {
        return Some(Wrong::OverRegion(region.offset));
    }
    // The last block of a file that QEMU has preallocated ends with the disk.
    let used = image.virtual_size().saturating_sub(block.saturating_mul(size)).min(size);
    (place.offset.saturating_add(used) > file_len).then_some(Wrong::PastEnd)
}

/// The entry of a block.
///
/// # Errors
/// The device's.
pub fn entry_of<R: ReadAt>(disk: &mut R, image: &Image, block: u64) -> Result<Entry, IoError> {
    let mut bytes = [0; 8];
    disk.read_at(image.entry_at(image.geometry().entry_of(block)), &mut bytes)?;
    Ok(Entry(le64(&bytes, 0)))
}
