//! An image in memory that sees to it that a job keeps the rules of writing.

use crate::memory::are_zeros;
use instar_ops::disk::{Direction, IoError};
use instar_ops::{Disk, ReadAt};
use oracle_crash::Image;
use std::collections::BTreeMap;

/// Where the bytes of an image are.
pub trait Store {
    /// Length in bytes.
    fn len(&self) -> u64;
    /// Fills `buf` from `offset`, with zeros for what is past the end.
    fn read(&self, offset: u64, buf: &mut [u8]);
    /// Writes; past the end, the image grows.
    fn write(&mut self, offset: u64, data: &[u8]);
    /// Makes a range zero; the image grows to hold it unless the space is given back.
    fn zero(&mut self, offset: u64, len: u64, unmap: bool);
}

impl Store for Image {
    fn len(&self) -> u64 {
        self.len()
    }

    fn read(&self, offset: u64, buf: &mut [u8]) {
        self.read(offset, buf);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        self.write(offset, data);
    }

    fn zero(&mut self, offset: u64, len: u64, unmap: bool) {
        self.zero(offset, len, unmap);
    }
}

/// Bytes that one job may read, write or zero before it is called endless. Ranges of zeros count once.
const MOST_WORK: u64 = 4 << 30;

/// A disk for one job.
#[derive(Debug)]
pub struct Watched<'i, S> {
    image: &'i mut S,
    len: u64,
    /// What was written since the last flush: start and end of ranges that do not overlap. Zeroed ranges are not among them:
    /// what is zeroed, or given space, may be filled right away.
    epoch: BTreeMap<u64, u64>,
    /// Whether nothing may be written at all.
    read_only: bool,
    work: u64,
    /// Where the furthest change ends, in bytes; 0 if there was none.
    pub furthest: u64,
    /// Bytes written behind the end that the image had, each as often as it was written.
    pub past: u64,
    /// The first change of something that was changed since the last flush already, if there was any: both may arrive in
    /// any order. In an image whose structures lie on each other it means nothing.
    pub twice: Option<String>,
}

impl<'i, S: Store> Watched<'i, S> {
    /// A disk that may be written to.
    pub fn new(image: &'i mut S) -> Self {
        let len = image.len();
        Self {
            image,
            len,
            epoch: BTreeMap::new(),
            read_only: false,
            work: 0,
            furthest: 0,
            past: 0,
            twice: None,
        }
    }

    /// One that may not.
    pub fn read_only(image: &'i mut S) -> Self {
        Self { read_only: true, ..Self::new(image) }
    }

    fn worked(&mut self, bytes: u64) {
        self.work = self.work.saturating_add(bytes).saturating_add(512);
        assert!(self.work < MOST_WORK, "a job that does not end");
    }

    fn extends(&mut self, offset: u64, len: u64) {
        let inside = self.len.saturating_sub(offset).min(len);
        self.past = self.past.saturating_add(len - inside);
    }

    fn changes(&mut self, offset: u64, len: u64, zeroes: bool) {
        assert!(!self.read_only, "{len} bytes are written at {offset}, and nothing may be");
        let end = offset.checked_add(len).expect("a range within 64 bits");
        self.furthest = self.furthest.max(end);
        if len == 0 {
            return;
        }
        if let Some((from, to)) = self.epoch.range(..end).next_back().filter(|(_, to)| **to > offset) {
            let what = || format!("{offset} to {end} is changed after {from} to {to}, with no flush between");
            self.twice.get_or_insert_with(what);
            return;
        }
        if zeroes {
            return;
        }
        // Neighbours become one range, so that a table that is written entry by entry stays small here.
        let next = self.epoch.remove(&end);
        let last = next.unwrap_or(end);
        match self.epoch.range_mut(..offset).next_back().filter(|(_, to)| **to == offset) {
            Some((_, to)) => *to = last,
            None => drop(self.epoch.insert(offset, last)),
        }
    }
}

impl<S: Store> ReadAt for Watched<'_, S> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let len = buf.len() as u64;
        self.worked(len);
        if offset.checked_add(len).is_none() {
            return Err(IoError { direction: Direction::Read, offset, len, errno: 22 });
        }
        self.image.read(offset, buf);
        Ok(())
    }
}

impl<S: Store> Disk for Watched<'_, S> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.worked(data.len() as u64);
        self.changes(offset, data.len() as u64, are_zeros(data));
        self.extends(offset, data.len() as u64);
        self.image.write(offset, data);
        Ok(())
    }

    fn zero_at(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), IoError> {
        self.worked(0);
        self.changes(offset, len, true);
        if !unmap {
            self.extends(offset, len);
        }
        self.image.zero(offset, len, unmap);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.epoch.clear();
        Ok(())
    }
}
