//! Free space between regions and blocks, in ascending order.

use super::{Parts, Usage, each_entry};
use crate::{IoError, ReadAt};
use instar_formats::bytes::index;
use instar_formats::vhdx::{Image, MIB, Region, State};

/// Marks what is taken in the window of `taken` that begins at MiB `first`: the header section, the log, every
/// region and every block of the disk. In `ends` the last MiB of each block.
pub fn load<R: ReadAt>(
    disk: &mut R,
    image: &Image,
    first: u64,
    (taken, ends): (&mut Usage<'_>, &mut Usage<'_>),
    window: &mut [u8],
) -> Result<(), IoError> {
    taken.reset(first);
    ends.reset(first);
    taken.take(&Region { offset: 0, len: MIB });
    for region in image.regions() {
        taken.take(&region);
    }
    let entries = image.geometry().entries(image.virtual_size());
    each_entry(disk, image, (0, entries), window, &mut |_, number, entry| {
        if entry.state() == State::Present && image.geometry().block_of(number).is_some() {
            let block = Region { offset: entry.offset(), len: image.metadata.block_size };
            taken.take(&block);
            ends.take(&Region { offset: block.end().saturating_sub(MIB), len: MIB });
        }
        Ok::<(), IoError>(())
    })
}

/// The two halves of the usage window, for [`load`].
pub fn halves<'u>(parts: &'u mut Parts<'_>) -> (Usage<'u>, Usage<'u>, &'u mut [u8]) {
    let bits = parts.usage.bits();
    let half = bits.len() / 2;
    let (taken, ends) = bits.split_at_mut_checked(half).unwrap_or_default();
    (Usage::new(taken), Usage::new(ends), parts.inner)
}

/// The least end of the file, in bytes, below which `kept` blocks would find room: those that lie there stay, and
/// each of the others fits into a gap between what is there.
pub fn least_end<R: ReadAt>(
    disk: &mut R,
    image: &Image,
    kept: u64,
    parts: &mut Parts<'_>,
) -> Result<u64, IoError> {
    let per_block = image.metadata.block_size / MIB;
    let (mut taken, mut ends, window) = halves(parts);
    let (mut unit, mut below, mut room, mut run) = (0_u64, 0_u64, 0_u64, 0_u64);
    while below.saturating_add(room) < kept {
        load(disk, image, unit, (&mut taken, &mut ends), window)?;
        while unit < taken.end() && below.saturating_add(room) < kept {
            below = below.saturating_add(u64::from(ends.is_taken(unit)));
            run = if taken.is_taken(unit) { 0 } else { run.saturating_add(1) };
            if run == per_block {
                (room, run) = (room.saturating_add(1), 0);
            }
            unit = unit.saturating_add(1);
        }
    }
    Ok(unit.saturating_mul(MIB))
}

/// Gaps of a certain length, found one after the other.
pub struct Gaps {
    units: u64,
    unit: u64,
    run: u64,
    loaded: bool,
}

impl Gaps {
    /// Gaps of `len` bytes, whole MiB.
    pub const fn new(len: u64) -> Self {
        Self { units: len / MIB, unit: 0, run: 0, loaded: false }
    }

    /// The next gap that ends at `limit` or before, by its offset in bytes.
    pub fn next<R: ReadAt>(
        &mut self,
        disk: &mut R,
        image: &Image,
        limit: u64,
        (taken, ends): (&mut Usage<'_>, &mut Usage<'_>),
        window: &mut [u8],
    ) -> Result<Option<u64>, IoError> {
        while self.unit < limit / MIB {
            if !self.loaded || self.unit >= taken.end() {
                load(disk, image, self.unit, (taken, ends), window)?;
                self.loaded = true;
            }
            self.run = if taken.is_taken(self.unit) { 0 } else { self.run.saturating_add(1) };
            self.unit = self.unit.saturating_add(1);
            if self.run == self.units {
                self.run = 0;
                return Ok(Some(self.unit.saturating_sub(self.units).saturating_mul(MIB)));
            }
        }
        Ok(None)
    }
}

/// Copies a block. What is zero is not written but made so; `keep` says whether its space stays allocated.
pub fn copy<T: crate::Target>(
    target: &mut T,
    (from, to): (u64, u64),
    len: u64,
    keep: bool,
    buffer: &mut [u8],
) -> Result<(), IoError> {
    let mut done = 0;
    while done < len {
        let count = len.saturating_sub(done).min(buffer.len() as u64).max(1);
        let piece = buffer.get_mut(..index(count)).unwrap_or_default();
        target.read_at(from.saturating_add(done), piece)?;
        let offset = to.saturating_add(done);
        target.apply(if instar_formats::bytes::is_zero(piece) {
            crate::Patch::ZeroFill { offset, len: count, unmap: !keep }
        } else {
            crate::Patch::Write { offset, data: piece }
        })?;
        done = done.saturating_add(count);
    }
    Ok(())
}
