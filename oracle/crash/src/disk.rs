//! Disks that instar resizes in this process: one that records, and one that fails when it is told to.

use std::cell::RefCell;
use std::rc::Rc;

use instar_ops::disk::{Direction, IoError};
use instar_ops::{Disk, Preallocation, ReadAt, ResizeOutcome};

use crate::image::{Image, to_usize};
use crate::trace::{Op, SECTOR, Trace};

/// An image in memory as a disk, for one job.
#[derive(Debug)]
pub struct MemoryDisk<'i> {
    image: &'i mut Image,
    len: u64,
    recorder: Option<Recorder>,
}

/// Where the changes of a disk are noted.
#[derive(Debug, Clone)]
struct Recorder {
    /// The number of its file.
    file: usize,
    trace: Rc<RefCell<Trace>>,
}

impl Recorder {
    fn note(&self, op: Op) {
        let op = if self.file == 0 { op } else { Op::In { file: self.file, op: Box::new(op) } };
        self.trace.borrow_mut().push(op);
    }
}

impl<'i> MemoryDisk<'i> {
    /// The disk.
    pub fn new(image: &'i mut Image) -> Self {
        let len = image.len();
        Self { image, len, recorder: None }
    }

    /// The same, with every change noted in `trace` as one of the file of this number. Flushes of all files that share a
    /// trace are flushes of all of them: a disk in several files is to be done with one before it goes on to the next.
    pub fn recording(image: &'i mut Image, file: usize, trace: &Rc<RefCell<Trace>>) -> Self {
        Self { recorder: Some(Recorder { file, trace: Rc::clone(trace) }), ..Self::new(image) }
    }

    fn change(&mut self, op: Op) {
        op.apply(self.image);
        if let Some(recorder) = &self.recorder {
            recorder.note(op);
        }
    }
}

impl ReadAt for MemoryDisk<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.image.read(offset, buf);
        Ok(())
    }
}

impl Disk for MemoryDisk<'_> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        if self.recorder.is_none() {
            self.image.write(offset, data);
        } else {
            self.change(Op::Write { offset, data: data.to_vec() });
        }
        Ok(())
    }

    fn zero_at(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), IoError> {
        self.change(Op::Zero { offset, len, unmap });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IoError> {
        if let Some(recorder) = &self.recorder {
            recorder.trace.borrow_mut().flush();
        }
        Ok(())
    }
}

/// What is left to do to the file after a job that came to `outcome`, when the file has `len` bytes.
#[must_use]
pub fn finish(outcome: &ResizeOutcome, mode: Preallocation, len: u64) -> Vec<Op> {
    let mut ops = Vec::new();
    if outcome.file_size_after != len {
        ops.push(Op::SetLen { len: outcome.file_size_after });
    }
    if let (Some((offset, len)), Preallocation::Full) = (outcome.preallocate, mode) {
        ops.push(Op::Zero { offset, len, unmap: false });
    }
    ops
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// With this errno, and nothing of it is done. If it is a broken device's ([`Failure::lasts`]), neither is any change or
    /// flush after it.
    Errno(u32),
    /// With this errno, after half of a write or of a range of zeros was done.
    Short(u32),
}

/// errno of a device that is broken.
pub const EIO: u32 = 5;
/// errno of a device that is full.
pub const ENOSPC: u32 = 28;

impl Failure {
    /// Whether all changes and flushes that come later fail, too: a broken device stays broken, a full one has room for
    /// something else.
    #[must_use]
    pub const fn lasts(self) -> bool {
        matches!(self, Self::Errno(EIO))
    }

    /// What lands of a short write of `len` bytes: half of it in whole sectors, as a full disk has it.
    #[must_use]
    pub fn landed(len: usize) -> usize {
        to_usize(len as u64 / 2 / SECTOR * SECTOR)
    }
}

/// A disk of which one call fails, and those after it if the failure lasts.
#[derive(Debug)]
pub struct FaultyDisk<'i> {
    disk: MemoryDisk<'i>,
    call: usize,
    calls: usize,
    failure: Failure,
    /// Whether the call came, and failed.
    pub failed: bool,
}

impl<'i> FaultyDisk<'i> {
    /// Fails the call number `call`, counted from 0 over reads, writes, zeroing and flushes.
    pub fn new(image: &'i mut Image, call: usize, failure: Failure) -> Self {
        Self { disk: MemoryDisk::new(image), call, calls: 0, failure, failed: false }
    }

    /// How many calls came, up to the one that failed.
    #[must_use]
    pub const fn calls(&self) -> usize {
        self.calls
    }

    fn due(&mut self, direction: Direction) -> Option<Failure> {
        if self.failed {
            return (self.failure.lasts() && direction != Direction::Read).then_some(self.failure);
        }
        self.failed = self.calls == self.call;
        self.calls += 1;
        self.failed.then_some(self.failure)
    }
}

fn error(direction: Direction, offset: u64, len: u64, failure: Failure) -> IoError {
    let (Failure::Errno(errno) | Failure::Short(errno)) = failure;
    IoError { direction, offset, len, errno }
}

impl ReadAt for FaultyDisk<'_> {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        match self.due(Direction::Read) {
            Some(failure) => Err(error(Direction::Read, offset, buf.len() as u64, failure)),
            None => self.disk.read_at(offset, buf),
        }
    }
}

impl Disk for FaultyDisk<'_> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        let Some(failure) = self.due(Direction::Write) else {
            return self.disk.write_at(offset, data);
        };
        if let Failure::Short(_) = failure {
            self.disk.write_at(offset, &data[..Failure::landed(data.len())])?;
        }
        Err(error(Direction::Write, offset, data.len() as u64, failure))
    }

    fn zero_at(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), IoError> {
        let Some(failure) = self.due(Direction::Write) else {
            return self.disk.zero_at(offset, len, unmap);
        };
        if let Failure::Short(_) = failure {
            self.disk.zero_at(offset, Failure::landed(to_usize(len)) as u64, unmap)?;
        }
        Err(error(Direction::Write, offset, len, failure))
    }

    fn flush(&mut self) -> Result<(), IoError> {
        match self.due(Direction::Flush) {
            Some(failure) => Err(error(Direction::Flush, 0, 0, failure)),
            None => self.disk.flush(),
        }
    }
}
