//! Finding what is to be replayed ("Log Sequence", "Log Replay").
//!
//! A sequence is followed from where it begins, and the search goes on behind it. What a hostile log can make of
//! that is bounded: entries that are not valid after all may overlap, and cost a few passes over the log at most.

use super::super::{FileHeader, OpenError, Region};
use super::{Descriptor, EntryHeader, SECTOR, SECTOR_LEN, data_sector, descriptor_sectors};
use crate::ImageError;
use crate::io::{IoError, ReadAt};

/// Most bytes of a log that are looked at. Nobody has seen a log of more than a few MiB.
const MOST: u64 = 1 << 28;
/// How often each of its sectors may be read, one with the other.
const PASSES: u64 = 8;

/// Entries that follow each other, the last of which says that the first must still be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    log: Region,
    /// Where in the log the first one is.
    tail: u64,
    /// How many there are.
    count: u64,
    /// The last one's.
    pub newest: EntryHeader,
}

/// What an entry does to one place of the file.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// This sector at this byte offset.
    Sector(u64, &'a [u8; SECTOR]),
    /// Zeros from this byte offset on, so many bytes.
    Zeros(u64, u64),
}

/// What the log of a file with this header has to replay. `None`: nothing, as the header says so or as no entry is valid.
///
/// # Errors
/// [`OpenError`]: the log lies where it cannot, is too large to be searched, or the device failed.
pub fn find<R: ReadAt>(disk: &mut R, header: &FileHeader) -> Result<Option<Sequence>, OpenError> {
    let log = super::super::log_region(header)?;
    if header.log_guid == super::super::NO_GUID {
        return Ok(None);
    }
    let log = Region { len: log.len & !SECTOR_LEN.saturating_sub(1), ..log };
    if log.len > MOST {
        return Err(ImageError::VhdxLogTooLarge.into());
    }
    let (mut at, mut best) = (0, None::<Sequence>);
    let mut budget = log.len.saturating_mul(PASSES);
    while at < log.len {
        let (behind, found) = follow(disk, log, header, (at, &mut budget))?;
        let newer =
            |found: &Sequence| best.is_none_or(|best: Sequence| found.newest.sequence > best.newest.sequence);
        best = found.filter(newer).or(best);
        at = behind.max(at.saturating_add(SECTOR_LEN));
    }
    Ok(best)
}

/// Follows the entries that begin at `start`. Returns where the last one ends, not wrapped, and what of them
/// is a sequence.
fn follow<R: ReadAt>(
    disk: &mut R,
    log: Region,
    header: &FileHeader,
    (start, budget): (u64, &mut u64),
) -> Result<(u64, Option<Sequence>), OpenError> {
    let (mut last, mut end) = (None::<EntryHeader>, start);
    let mut count = 0_u64;
    while end.saturating_sub(start) < log.len {
        let Some(entry) = entry_at(disk, log, header, (wrapped(log, end), budget))? else {
            break;
        };
        let follows = last.is_none_or(|last| last.sequence.checked_add(1) == Some(entry.sequence));
        let fits = end.saturating_sub(start).saturating_add(entry.len) <= log.len;
        if !follows || !fits {
            break;
        }
        (last, count) = (Some(entry), count.saturating_add(1));
        end = end.saturating_add(entry.len);
    }
    let Some(newest) = last else {
        return Ok((end, None));
    };
    let (mut at, mut left) = (start, count);
    while left > 0 {
        if wrapped(log, at) == newest.tail {
            return Ok((end, Some(Sequence { log, tail: newest.tail, count: left, newest })));
        }
        let len = header_at(disk, log, wrapped(log, at))?.map_or(SECTOR_LEN, |entry| entry.len);
        at = at.saturating_add(len);
        left = left.saturating_sub(1);
    }
    Ok((end, None))
}

fn wrapped(log: Region, at: u64) -> u64 {
    at.checked_rem(log.len).unwrap_or(0)
}

/// Reads from the ring; `buf` crosses its end at a multiple of a sector only.
fn read<R: ReadAt>(disk: &mut R, log: Region, at: u64, buf: &mut [u8]) -> Result<(), IoError> {
    disk.read_at(log.offset.saturating_add(wrapped(log, at)), buf)
}

fn header_at<R: ReadAt>(disk: &mut R, log: Region, at: u64) -> Result<Option<EntryHeader>, IoError> {
    let mut head = [0; 64];
    read(disk, log, at, &mut head)?;
    Ok(EntryHeader::parse(&head, log.len))
}

/// The entry at `at`, if it is valid.
fn entry_at<R: ReadAt>(
    disk: &mut R,
    log: Region,
    header: &FileHeader,
    (at, budget): (u64, &mut u64),
) -> Result<Option<EntryHeader>, OpenError> {
    let mut sector = [0; SECTOR];
    read(disk, log, at, &mut sector)?;
    let ours = |entry: &EntryHeader| entry.log_guid == header.log_guid;
    let Some(entry) = EntryHeader::parse(&sector, log.len).filter(ours) else {
        return Ok(None);
    };
    *budget = budget.checked_sub(entry.len).ok_or(ImageError::VhdxLogTooLarge)?;
    let (stored, mut crc) = EntryHeader::checksum(&sector);
    let mut done = SECTOR_LEN;
    while done < entry.len {
        read(disk, log, at.saturating_add(done), &mut sector)?;
        crc.update(&sector);
        done = done.saturating_add(SECTOR_LEN);
    }
    let valid = crc.finish() == stored && changes(disk, log, at, &entry, &mut |_, _| Ok(()))?;
    Ok(valid.then_some(entry))
}

/// Hands out what the entries of a sequence do, oldest first.
///
/// # Errors
/// The device's, or `visit`'s.
pub fn each_change<R: ReadAt>(
    disk: &mut R,
    sequence: &Sequence,
    visit: &mut dyn FnMut(&mut R, Change<'_>) -> Result<(), IoError>,
) -> Result<(), IoError> {
    let mut at = sequence.tail;
    for _ in 0..sequence.count {
        let Some(entry) = header_at(disk, sequence.log, at)? else {
            return Ok(());
        };
        changes(disk, sequence.log, at, &entry, visit)?;
        at = at.saturating_add(entry.len);
    }
    Ok(())
}

/// Hands out what an entry does, and says whether all of it makes sense.
fn changes<R: ReadAt>(
    disk: &mut R,
    log: Region,
    at: u64,
    entry: &EntryHeader,
    visit: &mut dyn FnMut(&mut R, Change<'_>) -> Result<(), IoError>,
) -> Result<bool, IoError> {
    let mut data = descriptor_sectors(entry.descriptors);
    for number in 0..entry.descriptors {
        let mut bytes = [0; 32];
        read(disk, log, at.saturating_add(Descriptor::at(number)), &mut bytes)?;
        match Descriptor::parse(&bytes, entry.sequence) {
            None => return Ok(false),
            Some(Descriptor::Zero { offset, len }) => visit(disk, Change::Zeros(offset, len))?,
            Some(Descriptor::Data { offset, trailing, leading }) => {
                let mut sector = [0; SECTOR];
                if data >= entry.len {
                    return Ok(false);
                }
                read(disk, log, at.saturating_add(data), &mut sector)?;
                if data_sector(&mut sector, entry.sequence, (leading, trailing)).is_none() {
                    return Ok(false);
                }
                data = data.saturating_add(SECTOR_LEN);
                visit(disk, Change::Sector(offset, &sector))?;
            }
        }
    }
    Ok(true)
}
