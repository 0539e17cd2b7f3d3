//! Images that one job resizes: in one file, or with their guest data in an external data file.

use instar_ops::{ResizeOutcome, ResizeRequest};
use oracle_case::parts::DATA_FILE;

use crate::image::Image;
use crate::trace::Op;
use crate::worker::{Files, Stop, Worker};

/// Lets `worker` resize `image`, with its data file if it has one and in front of what is behind it.
///
/// # Errors
/// The worker's.
pub fn resize(
    image: &mut Image,
    request: &ResizeRequest,
    worker: &mut dyn Worker,
) -> Result<ResizeOutcome, Stop> {
    let (number, beside) = (image.file_named(DATA_FILE), image.beside());
    let mut data = number.and_then(|number| image.file_mut(number)).map(std::mem::take);
    let done = worker.resize(
        Files {
            own: image,
            is_copy: false,
            data_file: number.zip(data.as_mut()),
            extents: Vec::new(),
            beside: &beside,
        },
        request,
    );
    if let Some((place, data)) = number.and_then(|number| image.file_mut(number)).zip(data) {
        *place = data;
    }
    done
}

/// What is left to do to the data file of `image` once everything else is durable.
#[must_use]
pub fn finish(outcome: &ResizeOutcome, image: &Image) -> Option<Op> {
    let (len, file) = (outcome.data_file_size_after?, image.file_named(DATA_FILE)?);
    let differs = image.file(file)?.len() != len;
    differs.then(|| Op::SetLen { len }.of_file(file))
}
