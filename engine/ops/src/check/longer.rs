//! A disk that a repair has made longer.

use crate::Disk;
use instar_formats::io::{IoError, ReadAt};

/// A disk whose length moves with what is added to it.
#[derive(Debug)]
pub(crate) struct Longer<'d, D> {
    disk: &'d mut D,
    len: u64,
}

impl<'d, D: Disk> Longer<'d, D> {
    /// `disk`, as long as it is.
    pub fn new(disk: &'d mut D) -> Self {
        Self { len: disk.len(), disk }
    }

    /// Has it reach to byte `len` at least.
    pub fn reach(&mut self, len: u64) {
        self.len = self.len.max(len);
    }
}

impl<D: Disk> ReadAt for Longer<'_, D> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.disk.read_at(offset, buf)
    }
}

impl<D: Disk> Disk for Longer<'_, D> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.disk.write_at(offset, data)
    }

    fn zero_at(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), IoError> {
        self.disk.zero_at(offset, len, unmap)
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.disk.flush()
    }
}
