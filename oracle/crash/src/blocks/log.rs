//! The log of a VHDX image ("VHDX Format Specification", section 2.3), and its replay.

use super::crc::is_sealed;
use super::{bytes, le};
use crate::image::{Image, to_usize};

/// Everything in a log is in sectors of this size.
const SECTOR: u64 = 4096;
/// Bytes of an entry's header, and of a descriptor.
const HEADER: usize = 64;
const DESCRIPTOR: usize = 32;
/// Most bytes of a log that are looked at.
const MOST: u64 = 64 << 20;

/// Where the log is, and what its entries must carry.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    pub offset: u64,
    pub len: u64,
    pub guid: [u8; 16],
}

/// An entry whose checksum is right.
#[derive(Debug)]
struct Entry {
    bytes: Vec<u8>,
    tail: u64,
    sequence: u64,
}

impl Log {
    /// Bytes of the log, which is a ring.
    fn ring(&self, image: &Image, at: u64, len: u64) -> Vec<u8> {
        let first = len.min(self.len - at);
        let mut all = bytes(image, self.offset + at, first);
        all.extend(bytes(image, self.offset, len - first));
        all
    }

    fn entry(&self, image: &Image, at: u64) -> Option<Entry> {
        let head = self.ring(image, at, HEADER as u64);
        let len = le(&head, 8, 4);
        let sane = head.starts_with(b"loge") && head[32..48] == self.guid && len <= self.len;
        if !sane || len == 0 || !len.is_multiple_of(SECTOR) {
            return None;
        }
        let bytes = self.ring(image, at, len);
        let entry = Entry { tail: le(&bytes, 12, 4), sequence: le(&bytes, 16, 8), bytes };
        (is_sealed(&entry.bytes) && entry.sequence > 0).then_some(entry)
    }

    /// The entries from byte `at` on that follow one another, if they are a sequence: the last one's tail is the first.
    fn sequence(&self, image: &Image, at: u64) -> Option<Vec<Entry>> {
        let (mut all, mut next, mut left) = (Vec::<Entry>::new(), at, self.len);
        while let Some(entry) = self.entry(image, next) {
            let len = entry.bytes.len() as u64;
            let follows = all.last().is_none_or(|last| entry.sequence == last.sequence + 1);
            if !follows || len > left {
                break;
            }
            (next, left) = ((next + len) % self.len, left - len);
            all.push(entry);
        }
        (all.last()?.tail == at).then_some(all)
    }

    /// The image with everything in its place.
    ///
    /// # Errors
    /// There is nothing to replay, although there should be, or it cannot be.
    pub fn replay(&self, image: &Image) -> Result<Image, String> {
        if self.len == 0 || self.len > MOST || self.offset + self.len > image.len() {
            return Err("the log is not in the file".into());
        }
        let newest = |all: &Vec<Entry>| all.last().map_or(0, |entry| entry.sequence);
        let found = (0..self.len).step_by(to_usize(SECTOR)).filter_map(|at| self.sequence(image, at));
        let entries = found.max_by_key(newest).ok_or("the log has no valid entry")?;
        let (flushed, last) =
            entries.last().map_or((0, 0), |entry| (le(&entry.bytes, 48, 8), le(&entry.bytes, 56, 8)));
        if image.len() < flushed {
            return Err(format!("the file has {} bytes, not the {flushed} of the log", image.len()));
        }
        let mut replayed = image.clone();
        replayed.set_len(image.len().max(last));
        entries.iter().try_for_each(|entry| entry.apply(&mut replayed))?;
        Ok(replayed)
    }
}

impl Entry {
    fn apply(&self, image: &mut Image) -> Result<(), String> {
        let count = to_usize(le(&self.bytes, 24, 4));
        // Descriptors fill the rest of their sectors; then come the sectors of data.
        let mut data = (HEADER + count * DESCRIPTOR).next_multiple_of(to_usize(SECTOR));
        for number in 0..count {
            let descriptor = HEADER + number * DESCRIPTOR;
            let Some(fields) = self.bytes.get(descriptor..descriptor + DESCRIPTOR) else {
                return Err("an entry of the log is too short".into());
            };
            let offset = le(fields, 16, 8);
            if le(fields, 24, 8) != self.sequence {
                return Err("a descriptor of another entry".into());
            }
            match &fields[..4] {
                b"zero" => image.zero(offset, le(fields, 8, 8), false),
                b"desc" => {
                    image.write(offset, &self.sector(fields, data)?);
                    data += to_usize(SECTOR);
                }
                _ => return Err("a descriptor that is none".into()),
            }
        }
        Ok(())
    }

    /// The sector of data at byte `at` of the entry, with the bytes that its descriptor keeps.
    fn sector(&self, fields: &[u8], at: usize) -> Result<Vec<u8>, String> {
        let mut sector = self.bytes.get(at..at + to_usize(SECTOR)).unwrap_or_default().to_vec();
        let (high, low) = (le(&sector, 4, 4), le(&sector, sector.len().saturating_sub(4), 4));
        if !sector.starts_with(b"data") || (high << 32 | low) != self.sequence {
            return Err("a sector of another entry".into());
        }
        let end = sector.len() - 4;
        sector[..8].copy_from_slice(&fields[8..16]);
        sector[end..].copy_from_slice(&fields[4..8]);
        Ok(sector)
    }
}
