//! Disks in several files: what the command does around the jobs of the engine. A descriptor is replaced by a copy that was
//! changed, files are made before it and removed behind it.

use std::cell::RefCell;
use std::rc::Rc;

use instar_ops::{
    Companions, Disk, ExtentsAfter, OpError, Refusal, ResizeOutcome, ResizeRequest, SizeRequest,
    next_extent_name, resize_mended,
};

use crate::blocks::extent_names;
use crate::disk::MemoryDisk;
use crate::image::{Image, to_usize};
use crate::scratch;
use crate::trace::{Op, Trace};

/// Resizes `image`, and notes in `trace` what that did to its files, in their order.
///
/// # Errors
/// The engine's.
pub fn resize(
    image: &mut Image,
    request: &ResizeRequest,
    trace: &Rc<RefCell<Trace>>,
) -> Result<ResizeOutcome, OpError> {
    let mut names = extent_names(image);
    let mut shadow = own(image);
    let mut done = run(image, &mut shadow, &names, request, trace);
    if let Err(OpError::Refused(Refusal::ExtentsWanted { count })) = done {
        make(image, &mut names, count, trace)?;
        done = run(image, &mut shadow, &names, request, trace);
    }
    let outcome = done?;
    shadow.set_len(outcome.file_size_after);
    if shadow.hash() == own(image).hash() && outcome.extents_after.is_none() {
        return Ok(outcome);
    }
    let mut data = vec![0; to_usize(shadow.len())];
    shadow.read(0, &mut data);
    note(image, trace, Op::Replace { data });
    trace.borrow_mut().flush();
    if let Some(after) = outcome.extents_after {
        settle(
            image,
            &mut shadow,
            (&names, after),
            &ResizeRequest { size: SizeRequest::Absolute(outcome.new_virtual_size), ..*request },
            trace,
        )?;
    }
    Ok(outcome)
}

/// What is left to do once the descriptor is in its place.
fn settle(
    image: &mut Image,
    shadow: &mut Image,
    (names, after): (&[String], ExtentsAfter),
    request: &ResizeRequest,
    trace: &Rc<RefCell<Trace>>,
) -> Result<(), OpError> {
    let (kept, dropped) = names.split_at(names.len().min(after.kept as usize));
    let mut last_len = after.last_len;
    if after.again {
        let again = run(image, shadow, kept, request, trace)?;
        last_len = again.extents_after.and_then(|after| after.last_len);
    }
    let number = |image: &Image, name: &String| image.file_named(name);
    if let (Some(len), Some(file)) = (last_len, kept.last().and_then(|name| number(image, name))) {
        note(image, trace, Op::In { file, op: Box::new(Op::SetLen { len }) });
        trace.borrow_mut().flush();
    }
    for name in dropped {
        if let Some(file) = number(image, name) {
            note(image, trace, Op::Remove { file });
        }
    }
    Ok(())
}

/// The image's own file, alone.
fn own(image: &Image) -> Image {
    let mut data = vec![0; to_usize(image.len())];
    image.read(0, &mut data);
    let mut own = Image::default();
    own.replace(&data);
    own
}

fn note(image: &mut Image, trace: &Rc<RefCell<Trace>>, op: Op) {
    op.apply(image);
    trace.borrow_mut().push(op);
}

/// Makes `count` more files, named like the last. Names are in the journal of the file system before anything else.
fn make(
    image: &mut Image,
    names: &mut Vec<String>,
    count: u64,
    trace: &Rc<RefCell<Trace>>,
) -> Result<(), OpError> {
    let old = names.clone();
    for n in 1..=count {
        let name =
            next_extent_name(old.iter().map(String::as_bytes), n).ok_or(Refusal::ExtentsWanted { count })?;
        let name = String::from_utf8_lossy(&name).into_owned();
        note(image, trace, Op::Make { name: name.clone() });
        names.push(name);
    }
    trace.borrow_mut().flush();
    Ok(())
}

/// One job on `shadow` and the files of these names.
fn run(
    image: &mut Image,
    shadow: &mut Image,
    names: &[String],
    request: &ResizeRequest,
    trace: &Rc<RefCell<Trace>>,
) -> Result<ResizeOutcome, OpError> {
    let numbers: Vec<usize> = names.iter().filter_map(|name| image.file_named(name)).collect();
    let take = |number: &usize| image.file_mut(*number).map(std::mem::take).unwrap_or_default();
    let mut files: Vec<Image> = numbers.iter().map(take).collect();
    let mut disks: Vec<MemoryDisk> = files
        .iter_mut()
        .zip(&numbers)
        .map(|(file, number)| MemoryDisk::recording(file, *number, trace))
        .collect();
    let mut extents: Vec<&mut dyn Disk> = disks.iter_mut().map(|disk| disk as &mut dyn Disk).collect();
    let mut companions = Companions { extents: &mut extents, ..Companions::default() };
    let mut disk = MemoryDisk::new(shadow);
    let done =
        scratch::with(|scratch| resize_mended(&mut disk, &mut companions, request, scratch, &mut |_| ()));
    for (number, file) in numbers.into_iter().zip(files) {
        if let Some(place) = image.file_mut(number) {
            *place = file;
        }
    }
    done
}
