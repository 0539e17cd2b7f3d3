//! Images whose guest data lies in an external data file: both files of a resize, one after the other.
//!
//! A flush of either counts as one of both here; that neither says anything of the other is tested next to the planner.

use std::cell::RefCell;
use std::rc::Rc;

use instar_ops::{OpError, ResizeOutcome, ResizeRequest};
use oracle_case::parts::DATA_FILE;

use crate::disk::MemoryDisk;
use crate::image::Image;
use crate::trace::{Op, Trace};

/// Resizes `image`, with its data file if it has one and in front of what is behind it, and notes in `trace` what that did to
/// both.
///
/// # Errors
/// The engine's.
pub fn resize(
    image: &mut Image,
    request: &ResizeRequest,
    trace: Option<&Rc<RefCell<Trace>>>,
) -> Result<ResizeOutcome, OpError> {
    let (number, beside) = (image.file_named(DATA_FILE), image.beside());
    let mut data = number.and_then(|number| image.file_mut(number)).map(std::mem::take);
    let done = {
        let mut file = data.as_mut().zip(number).map(|(data, number)| disk(data, number, trace));
        beside.resize(&mut disk(image, 0, trace), file.as_mut(), request)
    };
    if let Some((place, data)) = number.and_then(|number| image.file_mut(number)).zip(data) {
        *place = data;
    }
    done
}

/// File number `file` as a disk, recorded if there is a `trace`.
fn disk<'i>(image: &'i mut Image, file: usize, trace: Option<&Rc<RefCell<Trace>>>) -> MemoryDisk<'i> {
    match trace {
        Some(trace) => MemoryDisk::recording(image, file, trace),
        None => MemoryDisk::new(image),
    }
}

/// What is left to do to the data file of `image` once everything else is durable.
#[must_use]
pub fn finish(outcome: &ResizeOutcome, image: &Image) -> Option<Op> {
    let (len, file) = (outcome.data_file_size_after?, image.file_named(DATA_FILE)?);
    let differs = image.file(file)?.len() != len;
    differs.then(|| Op::In { file, op: Box::new(Op::SetLen { len }) })
}
