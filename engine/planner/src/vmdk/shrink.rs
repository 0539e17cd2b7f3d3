//! Shrinking a sparse extent, and moving its last grains to the front. See the module above for the order.

use super::grow::{clear_entries, place};
use super::slots::Slots;
use super::tables::{Fixed, TABLE, byte, directories, entry};
use super::walk::{Counts, Finding, Walk};
use crate::{Patch, PlanError, ReadAt, Target};
use instar_formats::ImageError;
use instar_formats::bytes::{index, put_le32};
use instar_formats::io::IoError;
use instar_formats::vmdk::header::{HEADER_LEN, directory_sectors};
use instar_formats::vmdk::{ENTRY_LEN, SECTOR, SECTOR_LEN, SparseHeader};

/// Tables whose grains are moved between two flushes.
const BATCH: usize = 64;
/// Bytes of a grain that are copied at a time.
const COPY: usize = 64 << 10;
/// What [`Shrink::run`] takes of its scratch for that.
const BATCH_LEN: usize = BATCH * TABLE + COPY;

/// How an extent shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shrink {
    old: SparseHeader,
    new: SparseHeader,
    fixed_end: u64,
    /// Grains from here on move, in sectors; [`u64::MAX`] for none.
    moved_from: u64,
    /// Where the file ends then, in sectors.
    end: u64,
}

fn split(scratch: &mut [u8]) -> (&mut [u8], &mut [u8]) {
    scratch.split_at_mut_checked(BATCH_LEN).unwrap_or_default()
}

/// What remains of an extent.
fn rest<'h>(old: &'h SparseHeader, new: &SparseHeader, file: u64) -> Result<Walk<'h>, ImageError> {
    let fixed = Fixed::new(old, file)?;
    Ok(Walk { header: old, fixed, tables: new.tables(), grains: new.grains_for(new.capacity) })
}

/// Plans to leave the extent with this header `capacity` sectors, which is less than it has and not nothing.
///
/// # Errors
/// [`PlanError`]: entries that stay make no sense.
pub fn plan<R: ReadAt + ?Sized>(
    image: &mut R,
    old: &SparseHeader,
    capacity: u64,
    scratch: &mut [u8],
) -> Result<Shrink, PlanError> {
    let new = SparseHeader { capacity, ..*old };
    let file = image.len().div_ceil(SECTOR);
    let walk = rest(old, &new, file)?;
    let (_, scratch) = split(scratch);
    let mut first = None;
    let (counts, slots) =
        walk.run::<_, PlanError>(image, scratch, &mut |finding| first = first.or(fatal(finding)))?;
    if let Some(error) = first {
        return Err(error.into());
    }
    let apart = slots.is_some_and(|_| counts.aligned);
    let mut shrink = Shrink { old: *old, new, fixed_end: file, moved_from: u64::MAX, end: 0 };
    shrink.end = counts.grain_end.max(counts.metadata_end).min(file);
    if apart && counts.metadata_end < shrink.end {
        shrink.compact(image, &walk, &counts, scratch)?;
    }
    Ok(shrink)
}

/// Whether an extent with this finding can be shrunk without harm.
const fn fatal(finding: Finding) -> Option<ImageError> {
    match finding {
        Finding::NoTable { .. } | Finding::Differs { .. } => None,
        Finding::Table { index, sector, .. } => Some(ImageError::VmdkDirectoryTable { index, sector }),
        Finding::Grain { grain, sector } => Some(ImageError::VmdkGrainEntry { grain, sector }),
        Finding::Shared { sector, .. } => Some(ImageError::VmdkOverlap { sector }),
    }
}

impl Shrink {
    /// The header that the extent is given.
    #[must_use]
    pub const fn header(&self) -> &SparseHeader {
        &self.new
    }

    /// Finds out how far to the front the grains fit.
    fn compact<R: ReadAt + ?Sized>(
        &mut self,
        image: &mut R,
        walk: &Walk<'_>,
        counts: &Counts,
        scratch: &mut [u8],
    ) -> Result<(), PlanError> {
        let tables = Walk { grains: 0, ..*walk };
        let (_, slots) = tables.run::<_, PlanError>(image, scratch, &mut |_| {})?;
        let Some(slots) = slots else { return Ok(()) };
        let (mut slot, mut left) = (0, counts.grains);
        while left > 0 && slot < slots.count {
            slot = slots.free_from(slot).saturating_add(1);
            left = left.saturating_sub(1);
        }
        let end = slots.sector(slot).max(counts.metadata_end);
        // From a place on, so that none lies on both sides.
        let whole = end.saturating_sub(slots.base).div_ceil(self.old.grain.max(1));
        let end = slots.sector(whole);
        if end < self.end {
            (self.moved_from, self.end) = (end, end);
        }
        Ok(())
    }

    /// Makes the extent smaller: the disk has its new size then.
    ///
    /// # Errors
    /// The device's.
    pub fn commit<T: Target>(&self, image: &mut T) -> Result<(), IoError> {
        let mut sector = [0; HEADER_LEN];
        image.read_at(0, &mut sector)?;
        self.new.encode_resized(&mut sector);
        image.apply(Patch::Write { offset: 0, data: &sector })?;
        image.apply(Patch::Barrier)
    }

    /// Lets go of what is beyond the end, and returns the length in bytes that the file must be given.
    ///
    /// # Errors
    /// The device's, or what [`plan`] would have found.
    pub fn settle<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<u64, PlanError> {
        self.drop_entries(image, scratch)?;
        self.drop_tail(image)?;
        image.apply(Patch::Barrier)?;
        if self.moved_from != u64::MAX {
            self.move_grains(image, scratch)?;
        }
        Ok(byte(self.end).min(image.len()))
    }

    fn drop_entries<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        let (kept, all) = (self.new.tables(), self.old.tables());
        let last = kept.saturating_sub(1);
        let grains = self.new.grains_for(self.new.capacity);
        let first = grains.saturating_sub(last.saturating_mul(self.old.table_entries));
        for directory in directories(&self.old) {
            let table = u64::from(entry(image, directory, last)?);
            if table != 0 {
                clear_entries(image, table, first, self.old.table_entries)?;
            }
            let mut at = kept.saturating_mul(ENTRY_LEN) / SECTOR;
            while at < directory_sectors(all) {
                let piece = scratch.get_mut(..SECTOR_LEN).unwrap_or_default();
                let offset = byte(directory.saturating_add(at));
                image.read_at(offset, piece)?;
                let before = kept.saturating_mul(ENTRY_LEN).saturating_sub(byte(at));
                let beyond = piece.get_mut(index(before)..).unwrap_or_default();
                if !instar_formats::bytes::is_zero(beyond) {
                    beyond.fill(0);
                    image.apply(Patch::Write { offset, data: piece })?;
                }
                at = at.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Zeros what the last grain has behind the end.
    fn drop_tail<T: Target>(&self, image: &mut T) -> Result<(), IoError> {
        let inside = self.new.capacity.checked_rem(self.old.grain).unwrap_or(0);
        let grain = self.new.grains_for(self.new.capacity).saturating_sub(1);
        let per = self.old.table_entries.max(1);
        let table = entry(image, self.old.directory, grain.checked_div(per).unwrap_or(0))?;
        if inside == 0 || table == 0 {
            return Ok(());
        }
        let sector = entry(image, u64::from(table), grain.checked_rem(per).unwrap_or(0))?;
        if super::grow::is_nowhere(&self.old, sector) {
            return Ok(());
        }
        let offset = byte(u64::from(sector).saturating_add(inside));
        let len = byte(self.old.grain.saturating_sub(inside));
        image.apply(Patch::ZeroFill { offset, len, unmap: false })
    }

    fn move_grains<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), PlanError> {
        let (batch, rest_of) = split(scratch);
        let walk = rest(&self.old, &self.new, self.fixed_end)?;
        let (_, slots) = walk.run::<_, PlanError>(image, rest_of, &mut |_| {})?;
        let Some(slots) = slots else { return Ok(()) };
        let (tables, copy) = batch.split_at_mut_checked(BATCH.saturating_mul(TABLE)).unwrap_or_default();
        let mut mover = Mover { shrink: self, slots: &slots, next: 0, copy };
        let mut n = 0;
        while n < self.new.tables() {
            n = mover.batch(image, n, tables)?;
        }
        Ok(())
    }
}

/// Moves grains to free places, first come, first served.
struct Mover<'s, 'b> {
    shrink: &'s Shrink,
    slots: &'s Slots<'b>,
    next: u64,
    copy: &'s mut [u8],
}

impl Mover<'_, '_> {
    /// Moves the grains of up to [`BATCH`] tables from `first` on: copies, then the entries that name them. Returns
    /// the table behind them.
    fn batch<T: Target>(&mut self, image: &mut T, first: u64, tables: &mut [u8]) -> Result<u64, PlanError> {
        let (mut moved, mut n) = ([None; BATCH], first);
        for (slot, table) in moved.iter_mut().zip(tables.chunks_mut(TABLE)) {
            // Tables of which nothing moves take no place in the batch.
            while n < self.shrink.new.tables() && slot.is_none() {
                if self.grains(image, n, table)? {
                    *slot = Some(n);
                }
                n = n.saturating_add(1);
            }
        }
        if moved.iter().all(Option::is_none) {
            return Ok(n);
        }
        image.apply(Patch::Barrier)?;
        for (number, table) in moved.iter().zip(tables.chunks(TABLE)) {
            let Some(number) = number else { continue };
            for directory in directories(&self.shrink.old) {
                let at = u64::from(entry(image, directory, *number)?);
                if at != 0 {
                    write_changes(image, at, table, self.len())?;
                }
            }
        }
        image.apply(Patch::Barrier)?;
        Ok(n)
    }

    fn len(&self) -> usize {
        index(self.shrink.old.table_entries.saturating_mul(ENTRY_LEN)).min(TABLE)
    }

    /// Copies the grains of table `n` that must move, and has `table` say where they are then. Whether there
    /// were any.
    fn grains<T: Target>(&mut self, image: &mut T, n: u64, table: &mut [u8]) -> Result<bool, PlanError> {
        let header = &self.shrink.old;
        let at = u64::from(entry(image, header.directory, n)?);
        if at == 0 {
            return Ok(false);
        }
        let len = self.len();
        let used = table.get_mut(..len).unwrap_or_default();
        image.read_at(byte(at), used)?;
        let mut any = false;
        for entry in 0..header.table_entries {
            let Some(sector) = place(header, used, entry).filter(|at| *at >= self.shrink.moved_from) else {
                continue;
            };
            let slot = self.slots.free_from(self.next);
            let to = self.slots.sector(slot);
            if to >= self.shrink.moved_from {
                return Err(ImageError::VmdkOverlap { sector }.into());
            }
            self.next = slot.saturating_add(1);
            self.copy(image, sector, to)?;
            put_le32(used, index(entry.saturating_mul(ENTRY_LEN)), u32::try_from(to).unwrap_or(0));
            any = true;
        }
        Ok(any)
    }

    fn copy<T: Target>(&mut self, image: &mut T, from: u64, to: u64) -> Result<(), IoError> {
        let (mut done, len) = (0, self.shrink.old.grain_len());
        while done < len {
            let left = index(len.saturating_sub(done)).min(self.copy.len());
            let piece = self.copy.get_mut(..left).unwrap_or_default();
            image.read_at(byte(from).saturating_add(done), piece)?;
            image.apply(Patch::Write { offset: byte(to).saturating_add(done), data: piece })?;
            done = done.saturating_add((left as u64).max(1));
        }
        Ok(())
    }
}

/// Writes the sectors of a table that differ from what is there.
pub(super) fn write_changes<T: Target>(
    image: &mut T,
    at: u64,
    table: &[u8],
    len: usize,
) -> Result<(), IoError> {
    let mut there = [0; TABLE];
    let there = there.get_mut(..len).unwrap_or_default();
    image.read_at(byte(at), there)?;
    let sectors = table.chunks(SECTOR_LEN).zip(there.chunks(SECTOR_LEN));
    for ((new, old), sector) in sectors.zip(at..) {
        if let Some(new) = new.get(..old.len()).filter(|new| *new != old) {
            image.apply(Patch::Write { offset: byte(sector), data: new })?;
        }
    }
    Ok(())
}
