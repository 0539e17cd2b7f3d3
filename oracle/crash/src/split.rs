//! Disks in several files: what the command does around the jobs of the engine. A descriptor is replaced by a copy that was
//! changed, files are made before it and removed behind it.

use instar_ops::{
    ExtentsAfter, OpError, Refusal, ResizeOutcome, ResizeRequest, SizeRequest, next_extent_name,
};

use crate::blocks::extent_names;
use crate::image::{Image, to_usize};
use crate::trace::Op;
use crate::worker::{Files, Stop, Worker};

/// Lets `worker` resize `image`; it is told what that does to the files, in their order. Files that were made are removed again if
/// nothing comes of it.
///
/// # Errors
/// The worker's.
pub fn resize(
    image: &mut Image,
    request: &ResizeRequest,
    worker: &mut dyn Worker,
) -> Result<ResizeOutcome, Stop> {
    let mut names = extent_names(image);
    let old = names.len();
    let mut shadow = own(image);
    let done = grow_or_cut(image, &mut shadow, &mut names, request, worker);
    let outcome = match done {
        Ok(outcome) => outcome,
        Err(why) => {
            remove(image, &names[old.min(names.len())..], worker);
            return Err(why);
        }
    };
    shadow.set_len(outcome.file_size_after);
    if shadow.hash() == own(image).hash() && outcome.extents_after.is_none() {
        return Ok(outcome);
    }
    let mut data = vec![0; to_usize(shadow.len())];
    shadow.read(0, &mut data);
    note(image, worker, Op::Replace { data });
    worker.flush();
    if let Some(after) = outcome.extents_after {
        settle(
            image,
            &mut shadow,
            (&names, after),
            &ResizeRequest { size: SizeRequest::Absolute(outcome.new_virtual_size), ..*request },
            worker,
        )?;
    }
    Ok(outcome)
}

/// What is done before the descriptor is replaced.
fn grow_or_cut(
    image: &mut Image,
    shadow: &mut Image,
    names: &mut Vec<String>,
    request: &ResizeRequest,
    worker: &mut dyn Worker,
) -> Result<ResizeOutcome, Stop> {
    match run(image, shadow, names, request, worker) {
        Err(Stop::Op(OpError::Refused(Refusal::ExtentsWanted { count }))) => {
            make(image, names, count, worker)?;
            run(image, shadow, names, request, worker)
        }
        done => done,
    }
}

/// What is left to do once the descriptor is in its place.
fn settle(
    image: &mut Image,
    shadow: &mut Image,
    (names, after): (&[String], ExtentsAfter),
    request: &ResizeRequest,
    worker: &mut dyn Worker,
) -> Result<(), Stop> {
    let (kept, dropped) = names.split_at(names.len().min(after.kept as usize));
    let mut last_len = after.last_len;
    if after.again {
        let again = run(image, shadow, kept, request, worker)?;
        last_len = again.extents_after.and_then(|after| after.last_len);
    }
    if let (Some(len), Some(file)) = (last_len, kept.last().and_then(|name| image.file_named(name))) {
        note(image, worker, Op::SetLen { len }.of_file(file));
        worker.flush();
    }
    remove(image, dropped, worker);
    Ok(())
}

fn remove(image: &mut Image, names: &[String], worker: &mut dyn Worker) {
    for name in names {
        if let Some(file) = image.file_named(name) {
            note(image, worker, Op::Remove { file });
        }
    }
}

/// The image's own file, alone.
fn own(image: &Image) -> Image {
    let mut data = vec![0; to_usize(image.len())];
    image.read(0, &mut data);
    let mut own = Image::default();
    own.replace(&data);
    own
}

fn note(image: &mut Image, worker: &mut dyn Worker, op: Op) {
    op.apply(image);
    worker.note(op);
}

/// Makes `count` more files, named like the last. Names are in the journal of the file system before anything else.
fn make(image: &mut Image, names: &mut Vec<String>, count: u64, worker: &mut dyn Worker) -> Result<(), Stop> {
    let old = names.clone();
    for n in 1..=count {
        let refused = || OpError::Refused(Refusal::ExtentsWanted { count });
        let name = next_extent_name(old.iter().map(String::as_bytes), n).ok_or_else(refused)?;
        let name = String::from_utf8_lossy(&name).into_owned();
        note(image, worker, Op::Make { name: name.clone() });
        names.push(name);
    }
    worker.flush();
    Ok(())
}

/// One job on `shadow` and the files of these names.
fn run(
    image: &mut Image,
    shadow: &mut Image,
    names: &[String],
    request: &ResizeRequest,
    worker: &mut dyn Worker,
) -> Result<ResizeOutcome, Stop> {
    let beside = image.beside();
    let numbers: Vec<usize> = names.iter().filter_map(|name| image.file_named(name)).collect();
    let take = |number: &usize| image.file_mut(*number).map(std::mem::take).unwrap_or_default();
    let mut files: Vec<Image> = numbers.iter().map(take).collect();
    let extents = numbers.iter().copied().zip(&mut files).collect();
    let job = Files { own: shadow, is_copy: true, data_file: None, extents, beside: &beside };
    let done = worker.resize(job, request);
    for (number, file) in numbers.into_iter().zip(files) {
        if let Some(place) = image.file_mut(number) {
            *place = file;
        }
    }
    done
}
