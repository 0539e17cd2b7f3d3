//! Disks in memory: a plain one, and one that records what it is told.

use instar_ops::disk::IoError;
use instar_ops::{Disk, ReadAt};

/// A disk in memory.
pub struct Disk512 {
    pub bytes: Vec<u8>,
    len: u64,
}

impl Disk512 {
    pub fn new(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self { bytes, len }
    }
}

impl ReadAt for Disk512 {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let start = usize::try_from(offset).unwrap().min(self.bytes.len());
        let n = buf.len().min(self.bytes.len() - start);
        buf[..n].copy_from_slice(&self.bytes[start..start + n]);
        buf[n..].fill(0);
        Ok(())
    }
}

impl Disk for Disk512 {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        Change { offset, data: data.to_vec() }.apply(&mut self.bytes);
        Ok(())
    }

    fn zero_at(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), IoError> {
        self.write_at(offset, &vec![0; usize::try_from(len).unwrap()])
    }

    fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}

/// One write on its way to the disk.
#[derive(Clone)]
pub struct Change {
    offset: u64,
    data: Vec<u8>,
}

impl Change {
    pub fn new(offset: u64, data: &[u8]) -> Self {
        Self { offset, data: data.to_vec() }
    }

    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let start = usize::try_from(self.offset).unwrap();
        let end = start + self.data.len();
        bytes.resize(bytes.len().max(end), 0);
        bytes[start..end].copy_from_slice(&self.data);
    }

    /// The write cut at its first, middle and last sector boundary: either part may be what arrives.
    pub fn torn(&self) -> Vec<Self> {
        let first = self.offset.next_multiple_of(512).max(self.offset + 1).next_multiple_of(512);
        let end = self.offset + self.data.len() as u64;
        let last = (end - 1) / 512 * 512;
        let middle = (first + last) / 2 / 512 * 512;
        let mut cuts = vec![first, middle, last];
        cuts.retain(|cut| *cut > self.offset && *cut < end);
        cuts.dedup();
        let cut_at = |cut: u64| {
            let (head, tail) = self.data.split_at(usize::try_from(cut - self.offset).unwrap());
            [Self { offset: self.offset, data: head.to_vec() }, Self { offset: cut, data: tail.to_vec() }]
        };
        cuts.into_iter().flat_map(cut_at).collect()
    }
}

/// A disk in memory that keeps what it was told, in order, a list for each interval between flushes.
pub struct Recorder {
    disk: Disk512,
    intervals: Vec<Vec<Change>>,
    barriers: bool,
}

impl Recorder {
    /// Without `barriers`, flushes are ignored, as by a disk that lies.
    pub fn new(bytes: Vec<u8>, barriers: bool) -> Self {
        Self { disk: Disk512::new(bytes), intervals: vec![Vec::new()], barriers }
    }

    pub fn intervals(&self) -> &[Vec<Change>] {
        &self.intervals
    }
}

impl ReadAt for Recorder {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.disk.read_at(offset, buf)
    }
}

impl Disk for Recorder {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.intervals.last_mut().unwrap().push(Change { offset, data: data.to_vec() });
        self.disk.write_at(offset, data)
    }

    fn zero_at(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), IoError> {
        self.write_at(offset, &vec![0; usize::try_from(len).unwrap()])
    }

    fn flush(&mut self) -> Result<(), IoError> {
        if self.barriers {
            self.intervals.push(Vec::new());
        }
        Ok(())
    }
}
