//! An image in memory, and small images built by hand.

extern crate std;

use crate::disk::{Direction, Disk, IoError, ReadAt};
use std::vec::Vec;

/// An image in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemDisk {
    /// Its bytes; writes past the end grow it.
    pub bytes: Vec<u8>,
    /// What `ReadAt::len` answers: the length when the job began.
    len: u64,
    /// How often it was read, to catch reading entry by entry.
    pub reads: usize,
}

impl MemDisk {
    /// `len` zeros.
    pub fn new(len: usize) -> Self {
        Self::from(std::vec![0; len])
    }

    /// Overwrites, without growing.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Overwrites a big-endian word.
    pub fn put64(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_be_bytes());
    }

    /// Overwrites a big-endian word.
    pub fn put32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_be_bytes());
    }

    /// Overwrites a big-endian word.
    pub fn put16(&mut self, at: usize, value: u16) {
        self.put(at, &value.to_be_bytes());
    }
}

impl From<Vec<u8>> for MemDisk {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len() as u64, bytes, reads: 0 }
    }
}

fn range(direction: Direction, offset: u64, len: u64) -> Result<std::ops::Range<usize>, IoError> {
    let error = IoError { direction, offset, len, errno: 0 };
    let end = offset.checked_add(len).ok_or(error)?;
    let start = usize::try_from(offset).map_err(|_| error)?;
    Ok(start..usize::try_from(end).map_err(|_| error)?)
}

impl ReadAt for MemDisk {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.reads += 1;
        let want = range(Direction::Read, offset, buf.len() as u64)?;
        let there = self.bytes.len().min(want.end).saturating_sub(want.start);
        let (data, past) = buf.split_at_mut(there);
        if there > 0 {
            data.copy_from_slice(&self.bytes[want.start..want.start + there]);
        }
        past.fill(0);
        Ok(())
    }
}

impl Disk for MemDisk {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        let want = range(Direction::Write, offset, data.len() as u64)?;
        if self.bytes.len() < want.end {
            self.bytes.resize(want.end, 0);
        }
        self.bytes[want].copy_from_slice(data);
        Ok(())
    }

    fn zero_at(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), IoError> {
        let want = range(Direction::Write, offset, len)?;
        if self.bytes.len() < want.end {
            self.bytes.resize(want.end, 0);
        }
        self.bytes[want].fill(0);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}

/// Cluster size of [`fresh_qcow2`].
pub(crate) const CLUSTER: usize = 65536;
/// Where the refcount table of [`fresh_qcow2`] is; its block and the L1 table follow.
pub(crate) const REFTABLE: usize = CLUSTER;
/// The refcount block.
pub(crate) const REFBLOCK: usize = 2 * CLUSTER;
/// The L1 table.
pub(crate) const L1: usize = 3 * CLUSTER;

/// A clean, empty 1 MiB version 3 image with 64 KiB clusters and 16-bit refcounts.
pub(crate) fn fresh_qcow2() -> MemDisk {
    let mut disk = MemDisk::new(4 * CLUSTER);
    disk.put(0, b"QFI\xfb");
    disk.put32(4, 3);
    disk.put32(20, 16);
    disk.put64(24, 1 << 20);
    disk.put32(36, 1);
    disk.put64(40, L1 as u64);
    disk.put64(48, REFTABLE as u64);
    disk.put32(56, 1);
    disk.put32(96, 4);
    disk.put32(100, 112);
    disk.put64(REFTABLE, REFBLOCK as u64);
    for cluster in 0..4 {
        disk.put16(REFBLOCK + 2 * cluster, 1);
    }
    disk
}

/// A clean, empty QED image of 4 MiB with 64 KiB clusters, and `base` behind it, not to be probed.
pub(crate) fn fresh_qed(base: &[u8]) -> MemDisk {
    use instar_formats::qed::{at, features};
    let mut disk = MemDisk::new(5 * CLUSTER);
    let mut word = |at, value: u64| disk.put(at, &value.to_le_bytes());
    word(0, 0x0001_0000_0044_4551);
    word(at::TABLE_SIZE, 1 << 32 | 4);
    word(at::L1_OFFSET, CLUSTER as u64);
    word(at::IMAGE_SIZE, 4 << 20);
    if !base.is_empty() {
        word(at::FEATURES, features::BACKING_FILE | features::NO_PROBE);
        word(at::BACKING_OFFSET, (base.len() as u64) << 32 | 64);
        disk.put(64, base);
    }
    disk
}
