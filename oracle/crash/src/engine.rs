//! What resizes an image and tells what it did to the file.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use instar_ops::{Format, Identity, ResizeOutcome, ResizeRequest, SizeRequest};
use oracle_case::{Preallocation, Resize};

use crate::data_file;
use crate::disk::{Course, Failure, finish};
use crate::image::Image;
use crate::split;
use crate::trace::{Op, Trace};
use crate::worker::{InMemory, Stop, Worker};

/// What a resize did.
#[derive(Debug)]
pub struct Traced {
    /// Every change of the file, the final truncation included.
    pub trace: Trace,
    /// The calls of its device, in order: whether each is a flush. The final truncation and preallocation are not among
    /// them.
    pub calls: Vec<bool>,
    /// What it came to, or the error that it ended with.
    pub outcome: Result<ResizeOutcome, String>,
}

impl Traced {
    /// A resize of a file of `start` as far as the device went, with what is left to do to the file at the end.
    #[must_use]
    pub fn finished(
        mut trace: Trace,
        outcome: Result<ResizeOutcome, String>,
        request: &ResizeRequest,
        start: &Image,
    ) -> Self {
        let calls = trace.calls();
        if let (Ok(outcome), false) = (&outcome, start.has_extents()) {
            let mut end = start.clone();
            trace.apply(&mut end);
            for op in finish(outcome, request.preallocation, end.len()) {
                // A file system's journal keeps a file's length ahead of what is written into the file later.
                let is_len = matches!(op, Op::SetLen { .. });
                trace.push(op);
                if is_len {
                    trace.flush();
                }
            }
            if let Some(op) = data_file::finish(outcome, &end) {
                trace.flush();
                trace.push(op);
            }
        }
        Self { trace, calls, outcome }
    }
}

/// What resizes an image.
pub trait Engine: Sync {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Resizes a copy of `image`, with the empty directory `dir` to do it in.
    ///
    /// # Errors
    /// It could not be tried.
    fn resize(&self, image: &Image, request: &ResizeRequest, dir: &Path) -> Result<Traced, String>;

    /// Resizes a copy of `image` with the change or flush number `call`, counted from 0, failing. `None` from an engine that
    /// does what instar's code does in this process, where calls are made to fail anyway.
    ///
    /// # Errors
    /// It could not be tried.
    fn fail(
        &self,
        _image: &Image,
        _request: &ResizeRequest,
        _dir: &Path,
        _call: usize,
        _failure: Failure,
    ) -> Result<Option<Failed>, String> {
        Ok(None)
    }
}

/// A resize of which one call failed.
#[derive(Debug)]
pub struct Failed {
    /// What it left.
    pub image: Image,
    /// What it answered.
    pub result: Result<(), Stop>,
}

/// instar's own code in this process, on a disk in memory.
#[derive(Debug, Clone, Copy)]
pub struct InProcess;

impl Engine for InProcess {
    fn name(&self) -> &'static str {
        "in-process"
    }

    fn resize(&self, image: &Image, request: &ResizeRequest, _: &Path) -> Result<Traced, String> {
        noted(image, request, InMemory::new)
    }
}

impl InProcess {
    /// As a guest has it, which flushes all of its files whenever it flushes one.
    pub(crate) fn as_a_guest(image: &Image, request: &ResizeRequest) -> Result<Traced, String> {
        noted(image, request, InMemory::joined)
    }
}

fn noted(image: &Image, request: &ResizeRequest, worker: fn(Course) -> InMemory) -> Result<Traced, String> {
    let (mut copy, trace) = (image.clone(), Rc::new(RefCell::new(Trace::new())));
    let outcome = job(&mut copy, request, &mut worker(Course::noted(&trace)));
    Ok(Traced::finished(trace.take(), outcome.map_err(|e| e.to_string()), request, image))
}

/// Lets `worker` resize `image` with all its files. What is left to do to the files afterwards ([`finish`]) has been done only if the
/// disk is in other files than the image's own.
///
/// # Errors
/// The worker's.
pub fn job(
    image: &mut Image,
    request: &ResizeRequest,
    worker: &mut dyn Worker,
) -> Result<ResizeOutcome, Stop> {
    if image.has_extents() {
        return split::resize(image, request, worker);
    }
    data_file::resize(image, request, worker)
}

/// Resizes `image` and does what is left to do to its files.
///
/// # Errors
/// instar's.
pub fn whole(image: &mut Image, request: &ResizeRequest) -> Result<(), Stop> {
    let outcome = job(image, request, &mut InMemory::default())?;
    if !image.has_extents() {
        finish(&outcome, request.preallocation, image.len()).iter().for_each(|op| op.apply(image));
        data_file::finish(&outcome, image).iter().for_each(|op| op.apply(image));
    }
    Ok(())
}

/// What an engine is asked for a resize of a case, to `new` bytes.
pub(crate) fn request(resize: &Resize, format: Format, new: u64) -> ResizeRequest {
    ResizeRequest {
        format: resize.name_format.then_some(format),
        size: SizeRequest::Absolute(new),
        shrink: resize.shrink,
        preallocation: match resize.preallocation {
            Preallocation::Off => instar_ops::Preallocation::Off,
            Preallocation::Metadata => instar_ops::Preallocation::Metadata,
            Preallocation::Falloc => instar_ops::Preallocation::Falloc,
            Preallocation::Full => instar_ops::Preallocation::Full,
        },
        // VHDX tells what is new by it.
        identity: Identity { random: [0xc3; 64], unix_time: 0 },
    }
}
