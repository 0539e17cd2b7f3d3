//! Replaying the log: each sector that it says goes to its place, and then the headers say that nothing is
//! left to be replayed.
//!
//! # After a crash
//! Until the first header is written the log is there to be replayed again, and what it says does not depend on what
//! was there before. Only the log's own sectors it must not change: one that would is refused.

use super::commit::{HEADROOM, write_headers};
use crate::{IoError, Patch, PlanError, ReadAt, Target};
use instar_formats::ImageError;
use instar_formats::vhdx::log::{Change, SECTOR_LEN, Sequence, each_change, find};
use instar_formats::vhdx::{FILE_ID, FileHeader, MAX_FILE, NO_GUID, Region, both_headers, current};

/// What a log may add to a file that is as long again, in bytes. What was to be behind it was not there yet when the
/// last writer stopped, and a log could claim anything.
const GROWTH: u64 = 64 << 20;

/// What the log of an image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Nothing.
    Empty,
    /// No valid entry, and the header says that there is one.
    Lost,
    /// This is to be replayed.
    Dirty(Replay),
}

/// What is to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    header: FileHeader,
    slot: usize,
    sequence: Sequence,
}

/// Looks at the log of the image on `disk`.
///
/// # Errors
/// [`PlanError`]: this is no such image, its log cannot be where it is, or what it says cannot be replayed.
pub fn log<R: ReadAt>(disk: &mut R) -> Result<Log, PlanError> {
    let mut id = [0; FILE_ID.len()];
    disk.read_at(0, &mut id)?;
    if id != *FILE_ID {
        return Err(ImageError::NotVhdx.into());
    }
    let (header, slot) = current(&both_headers(disk)?)?;
    match find(disk, &header)? {
        Some(sequence) => Ok(Log::Dirty(Replay { header, slot, sequence })),
        None if header.log_guid == NO_GUID => Ok(Log::Empty),
        None => Ok(Log::Lost),
    }
}

impl Replay {
    /// Whether it can be carried out: nothing of it lies over the headers or the log, or where no file reaches.
    ///
    /// # Errors
    /// [`PlanError`] says why not.
    pub fn check<R: ReadAt>(&self, disk: &mut R) -> Result<(), PlanError> {
        let newest = &self.sequence.newest;
        if newest.flushed_file_offset > disk.len() {
            return Err(ImageError::VhdxLogCut { bytes: newest.flushed_file_offset }.into());
        }
        if self.header.sequence > u64::MAX - HEADROOM {
            return Err(ImageError::VhdxSequence.into());
        }
        let log = Region { offset: self.header.log_offset, len: self.header.log_len };
        // Identifier and headers come before the region tables, which a log may well change.
        let headers = Region { offset: 0, len: instar_formats::vhdx::REGION_TABLES[0] };
        let reach = self.reach(disk.len());
        let mut possible = true;
        each_change(disk, &self.sequence, &mut |_, change| {
            let (place, reach) = match change {
                Change::Sector(offset, _) => (Region { offset, len: SECTOR_LEN }, reach),
                Change::Zeros(offset, len) => (Region { offset, len }, u64::MAX),
            };
            possible &= !place.overlaps(&log) && !place.overlaps(&headers) && place.end() <= reach;
            Ok(())
        })?;
        if possible { Ok(()) } else { Err(ImageError::VhdxLogPlace.into()) }
    }

    /// How long a file of `len` bytes may become.
    fn reach(&self, len: u64) -> u64 {
        let most = len.saturating_mul(2).saturating_add(GROWTH).min(MAX_FILE);
        self.sequence.newest.last_file_offset.min(most).max(len)
    }

    /// Carries it out. Returns how long the file is then, in bytes.
    ///
    /// # Errors
    /// The device's.
    pub fn run<T: Target>(&self, image: &mut T) -> Result<u64, IoError> {
        let before = image.len();
        let mut end = before;
        each_change(image, &self.sequence, &mut |image, change| match change {
            Change::Sector(offset, data) => {
                end = end.max(offset.saturating_add(SECTOR_LEN));
                image.apply(Patch::Write { offset, data })
            }
            Change::Zeros(offset, len) => {
                // What is past the end of the file reads as zeros.
                let len = len.min(before.saturating_sub(offset));
                if len == 0 { Ok(()) } else { image.apply(Patch::ZeroFill { offset, len, unmap: true }) }
            }
        })?;
        end = extend(image, end, self.reach(before))?;
        image.apply(Patch::Barrier)?;
        let (mut header, mut slot) = (self.header, self.slot);
        header.log_guid = NO_GUID;
        write_headers(image, &mut header, &mut slot)?;
        Ok(end)
    }
}

/// Makes a file of `have` bytes `want` bytes long, if it is shorter. Returns the length then.
///
/// # Errors
/// The device's.
pub fn extend<T: Target>(image: &mut T, have: u64, want: u64) -> Result<u64, IoError> {
    if want <= have {
        return Ok(have);
    }
    let last = want.saturating_sub(1) & !511;
    let len = want.saturating_sub(last).min(512);
    let data = [0; 512];
    let data = data.get(..instar_formats::bytes::index(len)).unwrap_or_default();
    // What of the last sector is there already must stay: it is within the last MiB only if that is so.
    if last >= have {
        image.apply(Patch::Write { offset: last, data })?;
    } else {
        image.apply(Patch::ZeroFill { offset: have, len: want.saturating_sub(have), unmap: false })?;
    }
    Ok(want)
}
