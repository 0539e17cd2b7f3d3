//! Who does the jobs that a resize takes: instar's code in this process, or a guest.

use std::cell::RefCell;
use std::rc::Rc;

use instar_ops::{OpError, ResizeOutcome, ResizeRequest, resize_mended};

use crate::beside::Beside;
use crate::disk::{Course, Failure, Fault, MemoryDisk};
use crate::image::Image;
use crate::scratch;
use crate::trace::{Op, Trace};

/// What ends a resize before its end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The engine's error.
    #[error(transparent)]
    Op(#[from] OpError),
    /// The engine could not be run.
    #[error("{0}")]
    Broken(String),
}

/// The files of one job.
#[derive(Debug)]
pub struct Files<'f> {
    /// The image's own file, or a copy that takes its place later.
    pub own: &'f mut Image,
    /// Whether it is such a copy: nobody misses what is not written to it.
    pub is_copy: bool,
    /// The external data file, with its number ([`Image::file`]).
    pub data_file: Option<(usize, &'f mut Image)>,
    /// The files of the disk in its order, with their numbers.
    pub extents: Vec<(usize, &'f mut Image)>,
    /// What is behind the image.
    pub beside: &'f Beside,
}

/// Does jobs, and keeps the trace of a resize.
pub trait Worker {
    /// Does one job.
    ///
    /// # Errors
    /// It did not come to its end.
    fn resize(&mut self, files: Files<'_>, request: &ResizeRequest) -> Result<ResizeOutcome, Stop>;

    /// Notes what the command does itself.
    fn note(&mut self, op: Op);

    /// Notes that everything before it is durable.
    fn flush(&mut self);
}

/// instar's code in this process, on disks in memory.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    course: Course,
    /// Whether a flush of any disk makes all files durable, as one of a guest does.
    joined: bool,
}

impl InMemory {
    /// On disks whose calls go as `course` has it.
    pub(crate) const fn new(course: Course) -> Self {
        Self { course, joined: false }
    }

    /// The same with disks that are flushed together.
    pub(crate) const fn joined(course: Course) -> Self {
        Self { course, joined: true }
    }

    /// On disks of which a call fails: the one of this number, counted from 0 over all that is asked of all of them.
    #[must_use]
    pub fn failing(call: usize, failure: Failure) -> Self {
        Self::new(Course::failing(&Fault::new(call, failure)))
    }

    fn trace(&self) -> Option<&Rc<RefCell<Trace>>> {
        self.course.trace.as_ref()
    }
}

impl Worker for InMemory {
    fn resize(&mut self, files: Files<'_>, request: &ResizeRequest) -> Result<ResizeOutcome, Stop> {
        let course = &self.course;
        let silent = Course { trace: None, fault: course.fault.clone() };
        let mut disk = match (files.is_copy, self.joined) {
            (false, _) => MemoryDisk::on(files.own, Some(0), course),
            (true, true) => MemoryDisk::on(files.own, None, course),
            (true, false) => MemoryDisk::on(files.own, None, &silent),
        };
        let mut data_file = files.data_file.map(|(number, file)| MemoryDisk::on(file, Some(number), course));
        let extents = files.extents.into_iter();
        let mut extents: Vec<_> =
            extents.map(|(number, file)| MemoryDisk::on(file, Some(number), course)).collect();
        let done = files.beside.with_companions(data_file.as_mut(), &mut extents, |companions| {
            scratch::with(|scratch| resize_mended(&mut disk, companions, request, scratch, &mut |_| ()))
        });
        Ok(done?)
    }

    fn note(&mut self, op: Op) {
        if let Some(trace) = self.trace() {
            trace.borrow_mut().push(op);
        }
    }

    fn flush(&mut self) {
        if let Some(trace) = self.trace() {
            trace.borrow_mut().flush();
        }
    }
}
