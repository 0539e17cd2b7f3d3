//! Following every entry of both directories and of their tables.
//!
//! What a hostile image can make of it is bounded: no more tables are read than there is room for in the file.

use super::grow::place;
use super::slots::Slots;
use super::tables::{Fixed, Span, TABLE, byte, directories};
use crate::ReadAt;
use instar_formats::ImageError;
use instar_formats::bytes::{index, le32};
use instar_formats::io::IoError;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::vmdk::{ENTRY_LEN, SECTOR, SparseHeader};

/// Bytes of a directory, and of tables that follow each other, that are read at a time.
const DIRECTORY: usize = 64 << 10;
const TABLES: usize = 256 << 10;
/// What a walk needs besides a bit for every place.
pub const BUFFERS: usize = 2 * (DIRECTORY + TABLES);

/// Something that should not be. Places in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// A directory entry without a table: what QEMU writes to that area destroys the image.
    NoTable {
        /// Whether it is the redundant directory.
        redundant: bool,
        /// Which entry.
        index: u64,
    },
    /// A directory entry that cannot be right.
    Table {
        /// Whether it is the redundant directory.
        redundant: bool,
        /// Which entry.
        index: u64,
        /// What it says.
        sector: u64,
    },
    /// A grain where none can be.
    Grain {
        /// Which grain.
        grain: u64,
        /// Where.
        sector: u64,
    },
    /// A grain in a place that something else has, too.
    Shared {
        /// Which grain.
        grain: u64,
        /// Where.
        sector: u64,
    },
    /// A redundant table that says something else than the table.
    Differs {
        /// The first grain that it is about.
        grain: u64,
        /// What the redundant table says.
        sector: u64,
    },
}

/// What a walk counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Grains with a place of their own.
    pub grains: u64,
    /// Where the last thing ends that is neither a grain nor free, in sectors.
    pub metadata_end: u64,
    /// Where the last grain ends.
    pub grain_end: u64,
    /// Whether all grains lie where [`Slots`] has them.
    pub aligned: bool,
    /// Whether there was a bit for every place.
    pub complete: bool,
    /// How many grains are where they cannot be.
    pub wrong: u64,
}

/// One directory and its tables, read in large pieces.
struct Reader<'b> {
    directory: u64,
    entries: Buffered<'b>,
    tables: Buffered<'b>,
    previous: u64,
    bytes: [u8; TABLE],
}

impl<'b> Reader<'b> {
    fn take(directory: u64, scratch: &mut &'b mut [u8]) -> Self {
        let mut piece = |len| {
            let (piece, rest) = core::mem::take(scratch).split_at_mut_checked(len).unwrap_or_default();
            *scratch = rest;
            Buffered::new(piece)
        };
        Self { directory, entries: piece(DIRECTORY), tables: piece(TABLES), previous: 0, bytes: [0; TABLE] }
    }

    /// Entry `n` of `count`.
    fn entry<R: ReadAt + ?Sized>(&mut self, image: &mut R, n: u64, count: u64) -> Result<u64, IoError> {
        let mut word = [0; 4];
        let at = byte(self.directory).saturating_add(n.saturating_mul(ENTRY_LEN));
        let ahead = count.saturating_sub(n).saturating_mul(ENTRY_LEN);
        self.entries.exact(image, at, ahead, &mut word)?;
        Ok(u64::from(u32::from_le_bytes(word)))
    }

    /// The table at `sector`; with those behind it, if it follows the one before.
    fn table<R: ReadAt + ?Sized>(
        &mut self,
        image: &mut R,
        header: &SparseHeader,
        sector: u64,
    ) -> Result<&[u8], IoError> {
        let len = header.table_entries.saturating_mul(ENTRY_LEN);
        let ahead = if sector == self.previous { TABLES as u64 } else { len };
        self.previous = sector.saturating_add(header.table_sectors());
        let out = self.bytes.get_mut(..index(len)).unwrap_or_default();
        self.tables.exact(image, byte(sector), ahead, out)?;
        Ok(out)
    }
}

/// Walks the first `tables` tables of an extent and the first `grains` grains in them.
#[derive(Debug, Clone, Copy)]
pub struct Walk<'h> {
    /// The extent's header.
    pub header: &'h SparseHeader,
    /// What else is in the file.
    pub fixed: Fixed,
    /// Entries of the directory that count.
    pub tables: u64,
    /// Grains that count.
    pub grains: u64,
}

impl Walk<'_> {
    /// Tells `see` what should not be, counts, and takes a place for everything in `bits`, if there are so many.
    /// What lies in several files, or is compressed, has no places.
    ///
    /// # Errors
    /// [`ImageError::VmdkOverlap`] if more tables are named than there can be; the device's.
    pub fn run<'b, R: ReadAt + ?Sized, E: From<IoError> + From<ImageError>>(
        &self,
        image: &mut R,
        scratch: &'b mut [u8],
        see: &mut dyn FnMut(Finding),
    ) -> Result<(Counts, Option<Slots<'b>>), E> {
        let (mut rest, header) = (scratch, self.header);
        let mut readers = [None, None];
        for (slot, directory) in readers.iter_mut().zip(directories(header)) {
            *slot = Some(Reader::take(directory, &mut rest));
        }
        let mut slots = Slots::new(header, self.fixed.end, rest);
        let mut counts = Counts { aligned: true, complete: slots.is_some(), ..Counts::default() };
        self.take_fixed(&mut slots, &mut counts);
        let [Some(primary), redundant] = &mut readers else { return Ok((counts, slots)) };
        let mut most = self.fixed.end.checked_div(header.table_sectors()).unwrap_or(0);
        for n in 0..self.tables {
            let sector = primary.entry(image, n, self.tables)?;
            let good = self.is_table(n, sector, false, (&mut slots, &mut counts), see);
            let second = match redundant {
                Some(reader) => {
                    let sector = reader.entry(image, n, self.tables)?;
                    self.is_table(n, sector, true, (&mut slots, &mut counts), see).then_some((sector, reader))
                }
                None => None,
            };
            if !good {
                continue;
            }
            most = most.checked_sub(1).ok_or(ImageError::VmdkOverlap { sector })?;
            let table = primary.table(image, header, sector)?;
            self.grains_of(n, table, (&mut slots, &mut counts), see);
            if let Some((sector, reader)) = second {
                let redundant = reader.table(image, header, sector)?;
                self.compare(n, table, redundant, see);
            }
        }
        Ok((counts, slots))
    }

    /// Whether a redundant table is not what the table is: what a walk may call [`Finding::Differs`], found out without looking
    /// at every grain. `false` where a table is missing or cannot be.
    ///
    /// # Errors
    /// The device's.
    pub fn differs<R: ReadAt + ?Sized>(&self, image: &mut R, scratch: &mut [u8]) -> Result<bool, IoError> {
        let (mut rest, header) = (scratch, self.header);
        let mut places = directories(header);
        let (Some(primary), Some(redundant)) = (places.next(), places.next()) else { return Ok(false) };
        let mut readers = (Reader::take(primary, &mut rest), Reader::take(redundant, &mut rest));
        for n in 0..self.tables {
            let first = readers.0.entry(image, n, self.tables)?;
            let second = readers.1.entry(image, n, self.tables)?;
            let table = |at| at != 0 && self.fixed.allows(Span::new(at, header.table_sectors()));
            if !table(first) || !table(second) {
                return Ok(false);
            }
            if readers.0.table(image, header, first)? != readers.1.table(image, header, second)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take_fixed(&self, slots: &mut Option<Slots<'_>>, counts: &mut Counts) {
        let [first, second] = self.fixed.directories;
        for span in [Span { first: 0, end: self.header.overhead }, self.fixed.head, first, second] {
            counts.metadata_end = counts.metadata_end.max(span.end);
            if let Some(slots) = slots {
                slots.take(span);
            }
        }
    }

    /// Whether entry `n` of a directory names a table.
    fn is_table(
        &self,
        n: u64,
        sector: u64,
        redundant: bool,
        (slots, counts): (&mut Option<Slots<'_>>, &mut Counts),
        see: &mut dyn FnMut(Finding),
    ) -> bool {
        let span = Span::new(sector, self.header.table_sectors());
        if sector == 0 {
            // Nobody writes to an extent with compressed grains.
            if !self.header.is_compressed() {
                see(Finding::NoTable { redundant, index: n });
            }
            return false;
        }
        if !self.fixed.allows(span) {
            see(Finding::Table { redundant, index: n, sector });
            return false;
        }
        counts.metadata_end = counts.metadata_end.max(span.end);
        if let Some(slots) = slots {
            slots.take(span);
        }
        true
    }

    fn grains_of(
        &self,
        n: u64,
        table: &[u8],
        (slots, counts): (&mut Option<Slots<'_>>, &mut Counts),
        see: &mut dyn FnMut(Finding),
    ) {
        let compressed = self.header.is_compressed();
        for (grain, entry) in self.entries(n) {
            let Some(sector) = place(self.header, table, entry) else { continue };
            // A compressed grain is as long as its own head says, at least a sector.
            let span = Span::new(sector, if compressed { 1 } else { self.header.grain });
            if !self.fixed.allows(span) {
                counts.wrong = counts.wrong.saturating_add(1);
                see(Finding::Grain { grain, sector });
                continue;
            }
            counts.grains = counts.grains.saturating_add(1);
            counts.grain_end = counts.grain_end.max(span.end);
            let Some(slots) = slots.as_mut().filter(|_| !compressed) else { continue };
            let aligned = slots.of(sector).is_some();
            counts.aligned &= aligned;
            // In front of the overhead everything counts as taken, though a foreign grain may well be there.
            let free = slots.take(span);
            if !free && aligned && sector >= self.header.overhead {
                counts.wrong = counts.wrong.saturating_add(1);
                see(Finding::Shared { grain, sector });
            }
        }
    }

    fn compare(&self, n: u64, table: &[u8], redundant: &[u8], see: &mut dyn FnMut(Finding)) {
        let at = |table: &[u8], entry: u64| le32(table, index(entry.saturating_mul(ENTRY_LEN)));
        let differs = self.entries(n).find(|(_, entry)| at(table, *entry) != at(redundant, *entry));
        if let Some((grain, entry)) = differs {
            see(Finding::Differs { grain, sector: u64::from(at(redundant, entry)) });
        }
    }

    /// The grains of table `n` that count, each with its entry.
    fn entries(&self, n: u64) -> impl Iterator<Item = (u64, u64)> + use<> {
        let first = n.saturating_mul(self.header.table_entries);
        let end = self.grains.saturating_sub(first).min(self.header.table_entries);
        (0..end).map(move |entry| (first.saturating_add(entry), entry))
    }
}

/// A walk over all of an extent in a file of `len` bytes.
///
/// # Errors
/// Its directories lie where they cannot.
pub fn whole(header: &SparseHeader, len: u64) -> Result<Walk<'_>, ImageError> {
    let fixed = Fixed::new(header, len.div_ceil(SECTOR))?;
    Ok(Walk { header, fixed, tables: header.tables(), grains: header.grains_for(header.capacity) })
}
