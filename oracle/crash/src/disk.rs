//! Disks in memory, which record what is done to them and fail when they are told to.

use std::cell::RefCell;
use std::rc::Rc;

use instar_ops::disk::{Direction, IoError};
use instar_ops::{Disk, Preallocation, ReadAt, ResizeOutcome};

use crate::image::{Image, to_usize};
use crate::trace::{Op, SECTOR, Trace};

/// What sees the calls of all disks of a resize, and may let one fail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Course {
    /// Where changes are noted.
    pub trace: Option<Rc<RefCell<Trace>>>,
    /// What fails.
    pub fault: Option<Rc<RefCell<Fault>>>,
}

impl Course {
    /// One that notes every change and every flush in `trace`. Flushes of all files that share a trace are flushes of all of
    /// them: a disk in several files is to be done with one before it goes on to the next.
    pub fn noted(trace: &Rc<RefCell<Trace>>) -> Self {
        Self { trace: Some(Rc::clone(trace)), fault: None }
    }

    /// One on which a call fails.
    pub fn failing(fault: &Rc<RefCell<Fault>>) -> Self {
        Self { trace: None, fault: Some(Rc::clone(fault)) }
    }

    fn due(&self, direction: Direction) -> Option<Failure> {
        self.fault.as_ref().and_then(|fault| fault.borrow_mut().due(direction))
    }
}

/// An image in memory as a disk, for one job.
#[derive(Debug)]
pub struct MemoryDisk<'i> {
    image: &'i mut Image,
    len: u64,
    /// The number of its file, if its changes are to be noted.
    file: Option<usize>,
    course: Course,
}

impl<'i> MemoryDisk<'i> {
    /// The disk.
    pub fn new(image: &'i mut Image) -> Self {
        Self::on(image, None, &Course::default())
    }

    /// The same, in the course of a resize. Changes of what has no number are not noted; flushes are.
    pub(crate) fn on(image: &'i mut Image, file: Option<usize>, course: &Course) -> Self {
        let len = image.len();
        Self { image, len, file, course: course.clone() }
    }

    fn change(&mut self, op: Op) {
        op.apply(self.image);
        if let (Some(file), Some(trace)) = (self.file, &self.course.trace) {
            trace.borrow_mut().push(op.of_file(file));
        }
    }

    fn is_noted(&self) -> bool {
        self.file.is_some() && self.course.trace.is_some()
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if self.is_noted() {
            self.change(Op::Write { offset, data: data.to_vec() });
        } else {
            self.image.write(offset, data);
        }
    }
}

fn error(direction: Direction, offset: u64, len: u64, failure: Failure) -> IoError {
    let (Failure::Errno(errno) | Failure::Short(errno)) = failure;
    IoError { direction, offset, len, errno }
}

impl ReadAt for MemoryDisk<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        if let Some(failure) = self.course.due(Direction::Read) {
            return Err(error(Direction::Read, offset, buf.len() as u64, failure));
        }
        self.image.read(offset, buf);
        Ok(())
    }
}

impl Disk for MemoryDisk<'_> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        let Some(failure) = self.course.due(Direction::Write) else {
            self.write(offset, data);
            return Ok(());
        };
        if let Failure::Short(_) = failure {
            self.write(offset, &data[..Failure::landed(data.len())]);
        }
        Err(error(Direction::Write, offset, data.len() as u64, failure))
    }

    fn zero_at(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), IoError> {
        let Some(failure) = self.course.due(Direction::Write) else {
            self.change(Op::Zero { offset, len, unmap });
            return Ok(());
        };
        if let Failure::Short(_) = failure {
            self.change(Op::Zero { offset, len: Failure::landed(to_usize(len)) as u64, unmap });
        }
        Err(error(Direction::Write, offset, len, failure))
    }

    fn flush(&mut self) -> Result<(), IoError> {
        if let Some(failure) = self.course.due(Direction::Flush) {
            return Err(error(Direction::Flush, 0, 0, failure));
        }
        if let Some(trace) = &self.course.trace {
            trace.borrow_mut().flush();
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

/// That one call of the disks of a resize fails, and those after it if the failure lasts.
#[derive(Debug)]
pub(crate) struct Fault {
    call: usize,
    calls: usize,
    failure: Failure,
    /// Whether the call came, and failed.
    failed: bool,
}

impl Fault {
    /// The call number `call` fails, counted from 0 over reads, writes, zeroing and flushes of all disks.
    pub fn new(call: usize, failure: Failure) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { call, calls: 0, failure, failed: false }))
    }

    /// How many calls came, up to the one that failed.
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
