//! Growing a sparse extent. See the module above for the order.

use super::tables::{
    Fixed, PIECE, Span, Survey, TABLE, addressable, at, byte, directories, each_entry, entry, survey,
};
use crate::{Patch, PlanError, Preallocation, ReadAt, ResizeError, Target};
use instar_formats::ImageError;
use instar_formats::bytes::{index, round_up};
use instar_formats::io::IoError;
use instar_formats::vmdk::header::{HEADER_LEN, MAX_TABLES, directory_sectors};
use instar_formats::vmdk::{ENTRY_LEN, SECTOR, SECTOR_LEN, SparseHeader, ZEROED_GRAIN};

/// Most tables that are read to find out whether the gap in front of the grains is one: 16 MiB of them.
const MOST_READ: u64 = 8192;

/// A directory and where its new tables go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Home {
    /// Where it is, in sectors.
    pub(super) from: u64,
    /// Where it shall be.
    to: u64,
    /// Its entries that name no table.
    pub(super) holes: u64,
    /// The first new table: those for the holes in their order, then those of the new area.
    pub(super) tables: u64,
}

/// How an extent grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grow {
    pub(super) old: SparseHeader,
    pub(super) new: SparseHeader,
    pub(super) homes: [Option<Home>; 2],
    /// New directories and tables.
    metadata: Span,
    /// New grains, all mapped.
    pub(super) data: Span,
    pub(super) first_grain: u64,
    pub(super) mode: Preallocation,
    file_len: u64,
}

/// Plans to give the extent with this header `capacity` sectors, which is more than it has.
///
/// # Errors
/// [`PlanError`]: its directories make no sense, or what must be added cannot be.
pub fn plan<R: ReadAt + ?Sized>(
    image: &mut R,
    old: &SparseHeader,
    capacity: u64,
    mode: Preallocation,
    scratch: &mut [u8],
) -> Result<Grow, PlanError> {
    if old.tables_for(capacity) > MAX_TABLES {
        return Err(ResizeError::VmdkTooLarge.into());
    }
    let file = image.len().div_ceil(SECTOR);
    let fixed = Fixed::new(old, file)?;
    let buf = scratch.get_mut(..PIECE).unwrap_or_default();
    let mut surveys = [None; 2];
    for (slot, directory) in surveys.iter_mut().zip(directories(old)) {
        *slot = Some((directory, survey(image, old, &fixed, directory, buf)?));
    }
    check_last_grain(image, old, &fixed)?;
    let mut grow = Grow {
        old: *old,
        new: SparseHeader { capacity, ..*old },
        homes: [None; 2],
        metadata: Span::new(file, 0),
        data: Span::new(file, 0),
        first_grain: old.grains_for(old.capacity),
        mode,
        file_len: image.len(),
    };
    let needed = grow.needed(&surveys);
    if needed > 0
        && !grow.moves()
        && let Some(gap) = gap(image, old, &surveys, needed, buf)?
    {
        grow.metadata = Span::new(gap, 0);
    }
    grow.place(&surveys);
    if mode != Preallocation::Off {
        let count = old.grains_for(capacity).saturating_sub(grow.first_grain);
        let start = round_up(grow.metadata.end.max(file), old.grain);
        grow.data = Span::new(start, count.saturating_mul(old.grain));
    }
    addressable(grow.metadata.end.max(grow.data.end).saturating_add(old.grain))?;
    Ok(grow)
}

/// A last grain that is only in part of the disk is in the file: what is behind the end is zeroed.
fn check_last_grain<R: ReadAt + ?Sized>(
    image: &mut R,
    header: &SparseHeader,
    fixed: &Fixed,
) -> Result<(), PlanError> {
    let Some((grain, sector)) = last_grain(image, header)? else {
        return Ok(());
    };
    let fits = fixed.allows(Span::new(sector, header.grain));
    if fits { Ok(()) } else { Err(ImageError::VmdkGrainEntry { grain, sector }.into()) }
}

/// Number and place of the last grain, if it is one of which a part only belongs to the disk.
fn last_grain<R: ReadAt + ?Sized>(
    image: &mut R,
    header: &SparseHeader,
) -> Result<Option<(u64, u64)>, IoError> {
    if header.capacity.checked_rem(header.grain).unwrap_or(0) == 0 {
        return Ok(None);
    }
    let grain = header.grains_for(header.capacity).saturating_sub(1);
    let table = entry(image, header.directory, grain.checked_div(header.table_entries).unwrap_or(0))?;
    if table == 0 {
        return Ok(None);
    }
    let sector = entry(image, u64::from(table), grain.checked_rem(header.table_entries).unwrap_or(0))?;
    Ok((!is_nowhere(header, sector)).then_some((grain, u64::from(sector))))
}

/// Whether an entry of a table names no place.
#[must_use]
pub fn is_nowhere(header: &SparseHeader, sector: u32) -> bool {
    use instar_formats::vmdk::header::flags::ZEROED;
    sector == 0 || sector == ZEROED_GRAIN && header.has(ZEROED)
}

/// Where new tables fit between the last table and the first grain of an extent that `qemu-img` laid out.
fn gap<R: ReadAt + ?Sized>(
    image: &mut R,
    header: &SparseHeader,
    surveys: &[Option<(u64, Survey)>; 2],
    needed: u64,
    buf: &mut [u8],
) -> Result<Option<u64>, IoError> {
    let found = || surveys.iter().flatten().map(|(_, survey)| survey);
    let end = found().map(|survey| survey.end).max().unwrap_or(0);
    let room = header.overhead.saturating_sub(end) >= needed && end > 0;
    let plain = found().all(|survey| survey.in_order && survey.holes == 0);
    if !room || !plain || header.tables() > MOST_READ {
        return Ok(None);
    }
    let gap = Span { first: end, end: header.overhead };
    let first = header.directory.saturating_add(directory_sectors(header.tables()));
    let mut free = true;
    let entries = header.tables().saturating_mul(header.table_sectors()).saturating_mul(SECTOR / ENTRY_LEN);
    each_entry(image, (first, entries), buf, |_, sector| {
        free &= sector == 0 || !Span::new(u64::from(sector), header.grain).meets(gap);
        Ok::<_, IoError>(())
    })?;
    Ok(free.then_some(end))
}

impl Grow {
    /// Whether the directories must move.
    const fn moves(&self) -> bool {
        directory_sectors(self.new.tables()) > directory_sectors(self.old.tables())
    }

    /// Tables that the directory of this survey lacks.
    const fn missing(&self, survey: &Survey) -> u64 {
        self.new.tables().saturating_sub(self.old.tables()).saturating_add(survey.holes)
    }

    /// Sectors of a directory that moves.
    const fn directory(&self) -> u64 {
        if self.moves() { directory_sectors(self.new.tables()) } else { 0 }
    }

    fn needed(&self, surveys: &[Option<(u64, Survey)>; 2]) -> u64 {
        let of = |(_, survey): &(u64, Survey)| {
            self.missing(survey).saturating_mul(self.old.table_sectors()).saturating_add(self.directory())
        };
        surveys.iter().flatten().map(of).fold(0, u64::saturating_add)
    }

    /// Gives everything new its place, from the beginning of `metadata` on: the redundant directory first, as
    /// `qemu-img` does.
    fn place(&mut self, surveys: &[Option<(u64, Survey)>; 2]) {
        let mut next = self.metadata.first;
        for n in [1, 0] {
            let Some((from, survey)) = surveys.get(n).copied().flatten() else { continue };
            let to = if self.moves() { next } else { from };
            let tables = next.saturating_add(self.directory());
            next = tables.saturating_add(self.missing(&survey).saturating_mul(self.old.table_sectors()));
            if let Some(slot) = self.homes.get_mut(n) {
                *slot = Some(Home { from, to, holes: survey.holes, tables });
            }
        }
        self.metadata.end = next;
        let [first, second] = self.homes;
        self.new.directory = first.map_or(self.old.directory, |home| home.to);
        self.new.redundant = second.map_or(self.old.redundant, |home| home.to);
    }

    /// The header that the extent is given.
    #[must_use]
    pub const fn header(&self) -> &SparseHeader {
        &self.new
    }

    /// Carries it out and returns the length in bytes that the file must be given.
    ///
    /// # Errors
    /// The device's.
    pub fn run<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<u64, IoError> {
        self.clear_beyond(image)?;
        if self.data.end > self.data.first {
            // Entries of new grains go to the table that was cleared.
            image.apply(Patch::Barrier)?;
        }
        if self.metadata.end > self.metadata.first {
            let (offset, len) = (byte(self.metadata.first), byte(self.metadata.end));
            let len = len.saturating_sub(offset);
            image.apply(Patch::ZeroFill { offset, len, unmap: true })?;
        }
        self.allocate(image, scratch)?;
        let end = self.end();
        if end > self.file_len {
            // Everything has its place in the file before anything names it.
            let offset = end.saturating_sub(SECTOR);
            image.apply(Patch::Write { offset, data: &[0; SECTOR_LEN] })?;
        }
        self.map(image, scratch)?;
        image.apply(Patch::Barrier)?;
        for home in self.homes.iter().flatten() {
            self.directory_of(image, home, scratch)?;
        }
        image.apply(Patch::Barrier)?;
        let mut sector = [0; HEADER_LEN];
        image.read_at(0, &mut sector)?;
        self.new.encode_resized(&mut sector);
        image.apply(Patch::Write { offset: 0, data: &sector })?;
        image.apply(Patch::Barrier)?;
        Ok(end)
    }

    /// Where the file ends in bytes: with a grain, if anything was added behind it.
    fn end(&self) -> u64 {
        let end = byte(self.metadata.end.max(self.data.end));
        let whole = end.checked_next_multiple_of(self.old.grain_len()).unwrap_or(end);
        if end > self.file_len { whole } else { self.file_len }
    }

    /// Zeros what is left behind the old end in the last table and the last grain.
    fn clear_beyond<T: Target>(&self, image: &mut T) -> Result<(), IoError> {
        if let Some((_, sector)) = last_grain(image, &self.old)? {
            let inside = self.old.capacity.checked_rem(self.old.grain).unwrap_or(0);
            let offset = byte(sector.saturating_add(inside));
            let len = byte(self.old.grain.saturating_sub(inside));
            image.apply(Patch::ZeroFill { offset, len, unmap: false })?;
        }
        let last = self.old.tables().saturating_sub(1);
        let first = self.first_grain.saturating_sub(last.saturating_mul(self.old.table_entries));
        for directory in directories(&self.old) {
            let table = u64::from(entry(image, directory, last)?);
            if table != 0 {
                clear_entries(image, table, first, self.old.table_entries)?;
            }
        }
        Ok(())
    }

    /// Writes a directory: all of it if it moves, else the sectors that change.
    fn directory_of<T: Target>(&self, image: &mut T, home: &Home, scratch: &mut [u8]) -> Result<(), IoError> {
        let moves = home.from != home.to;
        let len = if moves { PIECE as u64 } else { SECTOR };
        let (old, all) = (self.old.tables(), self.new.tables());
        let mut next = home.tables;
        let mut done = if moves || home.holes > 0 { 0 } else { byte(old.saturating_mul(ENTRY_LEN) / SECTOR) };
        while done < byte(directory_sectors(all)) {
            let left = byte(directory_sectors(all)).saturating_sub(done);
            let piece = scratch.get_mut(..index(len.min(left))).unwrap_or_default();
            image.read_at(byte(home.from).saturating_add(done), piece)?;
            let mut changed = moves;
            for (n, word) in (done / ENTRY_LEN..).zip(piece.as_chunks_mut::<4>().0) {
                let used = n < old && *word != [0; 4];
                if used || !moves && n >= all {
                    continue;
                }
                let entry = if n < all { u32::try_from(next).unwrap_or(0) } else { 0 };
                if n < all {
                    next = next.saturating_add(self.old.table_sectors());
                }
                changed |= *word != entry.to_le_bytes();
                *word = entry.to_le_bytes();
            }
            if changed {
                image.apply(Patch::Write { offset: byte(home.to).saturating_add(done), data: piece })?;
            }
            done = done.saturating_add((piece.len() as u64).max(1));
        }
        Ok(())
    }
}

/// Makes the entries from `first` to `end` of the table at `table` zero, by the sector, where they are not.
///
/// # Errors
/// The device's.
pub fn clear_entries<T: Target>(image: &mut T, table: u64, first: u64, end: u64) -> Result<(), IoError> {
    let mut buf = [0; TABLE];
    let used = buf.get_mut(..index(end.saturating_mul(ENTRY_LEN)).min(TABLE)).unwrap_or_default();
    image.read_at(byte(table), used)?;
    let mut offset = byte(table);
    for (sector, entry) in used.chunks_mut(SECTOR_LEN).zip((0..).step_by(SECTOR_LEN / 4)) {
        let keep: u64 = first.saturating_sub(entry).min(SECTOR / ENTRY_LEN);
        let beyond = sector.get_mut(index(keep.saturating_mul(ENTRY_LEN))..).unwrap_or_default();
        if !instar_formats::bytes::is_zero(beyond) {
            beyond.fill(0);
            image.apply(Patch::Write { offset, data: sector })?;
        }
        offset = offset.saturating_add(SECTOR);
    }
    Ok(())
}

/// What entry `n` of a table at hand says, unless it names no place.
#[must_use]
pub fn place(header: &SparseHeader, table: &[u8], n: u64) -> Option<u64> {
    let sector = at(table, n);
    (!is_nowhere(header, sector)).then_some(u64::from(sector))
}
