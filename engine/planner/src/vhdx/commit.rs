//! Changing headers, and everything else that counts through the log.

use super::Guids;
use crate::{IoError, Patch, Target};
use instar_formats::bytes::{index, put};
use instar_formats::vhdx::log::{self, EntryHeader, SECTOR, SECTOR_LEN};
use instar_formats::vhdx::{FileHeader, Guid, HEADERS, Image, NO_GUID, Region};

/// Most sectors that one entry of the log replaces: with two sectors of descriptors they fit in the smallest log.
pub const MOST_SECTORS: usize = 240;
/// Most ranges of zeros.
const MOST_ZEROS: usize = 2;
/// What [`Batch::new`] wants, in bytes: the sectors, and the entry.
pub const BATCH_LEN: usize = (2 * MOST_SECTORS + 4) * SECTOR;
/// How far sequence numbers must be from their end: far more than a resize uses up.
pub const HEADROOM: u64 = 1 << 40;

/// What is to be changed at once.
pub struct Batch<'b> {
    zeros: [(u64, u64); MOST_ZEROS],
    zero_count: usize,
    places: [u64; MOST_SECTORS],
    count: usize,
    contents: &'b mut [u8],
    entry: &'b mut [u8],
}

impl<'b> Batch<'b> {
    /// Nothing yet; `scratch` is [`BATCH_LEN`] bytes.
    pub fn new(scratch: &'b mut [u8]) -> Self {
        let (contents, entry) = scratch.split_at_mut_checked(MOST_SECTORS * SECTOR).unwrap_or_default();
        let zeros = [(0, 0); MOST_ZEROS];
        Self { zeros, zero_count: 0, places: [0; MOST_SECTORS], count: 0, contents, entry }
    }

    /// Whether nothing is to be changed.
    pub const fn is_empty(&self) -> bool {
        self.count == 0 && self.zero_count == 0
    }

    /// Whether the sector of a place in the file can be changed along with the rest.
    pub fn has_room_for(&self, at: u64) -> bool {
        self.count < MOST_SECTORS || self.places.contains(&sector_of(at))
    }

    /// Zeros in whole sectors of the file; nothing of them is changed otherwise.
    pub fn zero(&mut self, offset: u64, len: u64) {
        if let Some(slot) = self.zeros.get_mut(self.zero_count).filter(|_| len > 0) {
            *slot = (offset, len);
            self.zero_count = self.zero_count.saturating_add(1);
        }
    }

    /// Puts `bytes`, which lie within one sector, at byte `at` of the file. There is room for it.
    ///
    /// # Errors
    /// The device's.
    pub fn put<T: Target>(&mut self, image: &mut T, at: u64, bytes: &[u8]) -> Result<(), IoError> {
        let place = sector_of(at);
        let known = self.places.get(..self.count).unwrap_or_default();
        let slot = match known.iter().rposition(|known| *known == place) {
            Some(slot) => slot,
            None => self.load(image, place)?,
        };
        let sector = self.contents.chunks_exact_mut(SECTOR).nth(slot).unwrap_or_default();
        put(sector, index(at.saturating_sub(place)), bytes);
        Ok(())
    }

    fn load<T: Target>(&mut self, image: &mut T, place: u64) -> Result<usize, IoError> {
        let slot = self.count;
        let sector = self.contents.chunks_exact_mut(SECTOR).nth(slot).unwrap_or_default();
        image.read_at(place, sector)?;
        if let Some(known) = self.places.get_mut(slot) {
            *known = place;
        }
        self.count = slot.saturating_add(1);
        Ok(slot)
    }

    fn places(&self) -> &[u64] {
        self.places.get(..self.count).unwrap_or_default()
    }

    fn zeros(&self) -> &[(u64, u64)] {
        self.zeros.get(..self.zero_count).unwrap_or_default()
    }

    /// The entry that says all this. It stands alone: its own tail.
    fn encode(&mut self, header: &EntryHeader) -> &[u8] {
        let descriptors = (self.count as u64).saturating_add(self.zero_count as u64);
        let at = index(log::descriptor_sectors(descriptors));
        let contents = self.contents.get(..self.count.saturating_mul(SECTOR)).unwrap_or_default();
        put(self.entry, at, contents);
        let zeros = self.zeros.get(..self.zero_count).unwrap_or_default();
        let places = self.places.get(..self.count).unwrap_or_default();
        let len = log::encode_entry(header, zeros, places, self.entry);
        self.entry.get(..index(len)).unwrap_or_default()
    }

    /// Changes what is to be changed where it stands.
    fn apply<T: Target>(&self, image: &mut T) -> Result<(), IoError> {
        for (offset, len) in self.zeros() {
            image.apply(Patch::ZeroFill { offset: *offset, len: *len, unmap: true })?;
        }
        for (offset, sector) in self.places().iter().zip(self.contents.chunks_exact(SECTOR)) {
            image.apply(Patch::Write { offset: *offset, data: sector })?;
        }
        Ok(())
    }

    const fn clear(&mut self) {
        self.count = 0;
        self.zero_count = 0;
    }
}

/// Where the sector begins that byte `at` of the file is in.
const fn sector_of(at: u64) -> u64 {
    at & !(SECTOR_LEN - 1)
}

/// An image that is being changed.
pub struct Session {
    header: FileHeader,
    slot: usize,
    log: Region,
    log_guid: Guid,
    entries: u64,
}

impl Session {
    /// Says in both headers that file and disk change. The first thing that is written.
    ///
    /// # Errors
    /// The device's.
    pub fn begin<T: Target>(target: &mut T, image: &Image, guids: &Guids) -> Result<Self, IoError> {
        let mut session = Self {
            header: FileHeader {
                file_write_guid: guids.file_write,
                data_write_guid: guids.data_write,
                ..image.header
            },
            slot: image.slot,
            log: image.log(),
            log_guid: guids.log,
            entries: 0,
        };
        session.set_log(target, NO_GUID)?;
        Ok(session)
    }

    /// Writes both headers, the one that does not count first: [`write_headers`].
    fn set_log<T: Target>(&mut self, target: &mut T, guid: Guid) -> Result<(), IoError> {
        self.header.log_guid = guid;
        write_headers(target, &mut self.header, &mut self.slot)
    }

    /// Makes the changes of a batch, all of them or none, and empties it. The file is `file_len` bytes long, in whole
    /// MiB; what was written before is durable first.
    ///
    /// # Errors
    /// The device's.
    pub fn commit<T: Target>(
        &mut self,
        target: &mut T,
        batch: &mut Batch<'_>,
        file_len: u64,
    ) -> Result<(), IoError> {
        self.entries = self.entries.saturating_add(1);
        let header = EntryHeader {
            len: 0,
            tail: 0,
            sequence: self.entries,
            descriptors: 0,
            log_guid: self.log_guid,
            flushed_file_offset: file_len,
            last_file_offset: file_len,
        };
        target.apply(Patch::Barrier)?;
        target.apply(Patch::Write { offset: self.log.offset, data: batch.encode(&header) })?;
        target.apply(Patch::Barrier)?;
        self.set_log(target, self.log_guid)?;
        batch.apply(target)?;
        target.apply(Patch::Barrier)?;
        self.set_log(target, NO_GUID)?;
        batch.clear();
        Ok(())
    }
}

/// Writes `header` in place of the header that does not count, with the next sequence number, and then in place of the
/// other one. Each write is durable before the next.
///
/// # Errors
/// The device's.
pub fn write_headers<T: Target>(
    target: &mut T,
    header: &mut FileHeader,
    slot: &mut usize,
) -> Result<(), IoError> {
    for _ in HEADERS {
        header.sequence = header.sequence.saturating_add(1);
        *slot = if *slot == 0 { 1 } else { 0 };
        let offset = HEADERS.get(*slot).copied().unwrap_or_default();
        target.apply(Patch::Write { offset, data: &header.encode() })?;
        target.apply(Patch::Barrier)?;
    }
    Ok(())
}

/// Makes both headers valid copies of the one that counts, which is in `slot`.
///
/// # Errors
/// The device's.
pub fn repair_headers<T: Target>(target: &mut T, header: &FileHeader, slot: usize) -> Result<(), IoError> {
    let (mut header, mut slot) = (*header, slot);
    write_headers(target, &mut header, &mut slot)
}
