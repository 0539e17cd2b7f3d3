//! A resize of whatever the bytes say.

use crate::input::Input;
use crate::memory::{self, Memory, Then};
use crate::scratch;
use crate::watched::{Store, Watched};
use instar_ops::{
    CheckReport, CheckRequest, Format, ImageInfo, InfoRequest, OpError, Preallocation, ResizeAction,
    ResizeOutcome, ResizeRequest, SizeRequest, check, info, resize,
};
use std::cell::Cell;

/// The longest file, in bytes, whose every cluster is looked at before and after.
pub const MOST_CHECKED: u64 = 256 << 20;
/// The largest size, in bytes, for which space is asked for beforehand: filling more than that is long, and no finding.
const MOST_FILLED: u64 = 64 << 20;

thread_local! {
    static RESIZED: Cell<u64> = const { Cell::new(0) };
}

/// How many inputs were no refusals in this thread so far: what a rate of executions is worth.
#[must_use]
pub fn resized() -> u64 {
    RESIZED.get()
}

/// Resizes. A refusal must have written nothing; a resize must have kept to its file, come to the size that was asked for,
/// have nothing left to do, and leave an image as good as it was.
pub fn run(format: Format, data: &[u8]) {
    memory::with(|image| {
        if let Some(input) = Input::decode(data, image) {
            judged(format, &input, image);
        }
    });
}

/// As [`run`], of an image that is put together already.
pub fn judged(format: Format, input: &Input, image: &mut Memory) {
    let mut request = input.request(format);
    if !matches!(request.size, SizeRequest::Absolute(..=MOST_FILLED) | SizeRequest::Grow(..=MOST_FILLED)) {
        request.preallocation = Preallocation::Off;
    }
    let before = image.len();
    let mut disk = Watched::new(image);
    let outcome = scratch::with(|scratch| resize(&mut disk, &request, scratch));
    let (furthest, past, twice) = (disk.furthest, disk.past, disk.twice.take());
    let Ok(outcome) = outcome else {
        assert_eq!(furthest, 0, "a refusal that wrote something");
        return;
    };
    RESIZED.set(RESIZED.get() + 1);
    assert!(outcome.file_size_before == before, "{outcome:?}");
    let inside = furthest <= outcome.file_size_after.max(before);
    let copies = format == Format::Qcow2 && outcome.action != ResizeAction::Grow;
    assert!(
        inside || copies && past <= room_for_copies(image),
        "writes up to {furthest}, {past} bytes behind the old end: {outcome:?}"
    );
    match request.size {
        SizeRequest::Absolute(size) if format != Format::Raw => {
            assert!(outcome.new_virtual_size >= size, "{outcome:?}");
        }
        _ => {}
    }
    let way = way(format, &outcome);
    assert_eq!(outcome.action, way, "{outcome:?}");
    image.set_len(outcome.file_size_after);
    if let (Some((offset, len)), Preallocation::Full) = (outcome.preallocate, request.preallocation) {
        image.zero(offset, len, false);
    }
    assert_eq!(image.len(), outcome.file_size_after);
    again(format, image, &outcome);
    if outcome.file_size_after.max(before) <= MOST_CHECKED {
        as_good(format, image, twice);
    }
}

/// Most bytes that a resize of this qcow2 image which does not grow it writes behind its end. What a snapshot has, too, is
/// copied before anything is let go of, and so behind the end if the image has no cluster to spare; when it has, the copies
/// move to the front, and the file may come to be shorter than it was. These are a table, a cluster of data, and what counts
/// them: three blocks at most, and a refcount table of up to twice the length if the blocks do not fit the old one.
fn room_for_copies(image: &Memory) -> u64 {
    let (mut bits, mut table) = ([0; 4], [0; 4]);
    Then(image).read(20, &mut bits);
    Then(image).read(56, &mut table);
    let clusters = 5 + 2 * (1 + u64::from(u32::from_be_bytes(table)));
    clusters << u32::from_be_bytes(bits).min(21)
}

/// A resize to the size that the image has now finds nothing to do, and changes nothing. The size is that which `info`
/// tells, unless it could not even describe the image before: bitmaps that make no sense keep no disk from being resized.
fn again(format: Format, image: &mut Memory, first: &ResizeOutcome) {
    let size = first.new_virtual_size;
    match said(format, image) {
        Ok(info) => assert_eq!(info.virtual_size, size, "info says another size than the resize"),
        Err(error) => assert!(said(format, &mut Then(image)).is_err(), "info of what was resized: {error:?}"),
    }
    let request = ResizeRequest {
        format: Some(format),
        size: SizeRequest::Absolute(if format == Format::Raw { first.file_size_after } else { size }),
        shrink: true,
        preallocation: Preallocation::Off,
        identity: instar_ops::Identity::default(),
    };
    let len = image.len();
    let outcome = scratch::with(|scratch| resize(&mut Watched::read_only(image), &request, scratch));
    let outcome = outcome.expect("a resize to the same size");
    assert_eq!(outcome.action, way(format, &outcome), "{outcome:?}");
    assert_eq!((outcome.new_virtual_size, outcome.file_size_after), (size, len), "{outcome:?}");
    assert!(format == Format::Raw || outcome.action == ResizeAction::NoOp, "{outcome:?}");
}

/// What `info` says.
pub fn said(format: Format, image: &mut impl Store) -> Result<ImageInfo, OpError> {
    let request = InfoRequest { format: Some(format) };
    scratch::with(|scratch| info(&mut Watched::read_only(image), &request, scratch, &mut |_| ()))
}

/// What its sizes say that a resize did. A raw disk has whole sectors, and is resized to bytes.
fn way(format: Format, outcome: &ResizeOutcome) -> ResizeAction {
    let new = if format == Format::Raw { outcome.file_size_after } else { outcome.new_virtual_size };
    ResizeAction::between(outcome.old_virtual_size, new)
}

/// What was clean is clean, and nothing in it was changed twice between two flushes. A file that has not become longer
/// has no more leaks: counts past the end are no leaks until the file reaches them.
fn as_good(format: Format, image: &mut Memory, twice: Option<String>) {
    let Some(old) = checked(format, &mut Then(image)) else { return };
    if old.corruptions + old.check_errors > 0 {
        return;
    }
    assert_eq!(twice, None, "of a clean image");
    let longer = image.len() > Then(image).len();
    let new = checked(format, image).expect("a check of what was resized");
    assert!(
        new.corruptions + new.check_errors == 0 && (longer || new.leaks <= old.leaks),
        "clean before, {} corruptions, {} errors and {} leaks (of {}) after",
        new.corruptions,
        new.check_errors,
        new.leaks,
        old.leaks
    );
}

/// What the check says, if the format has one and the image is not refused.
pub fn checked(format: Format, image: &mut impl Store) -> Option<CheckReport> {
    let request = CheckRequest { format: Some(format), ..CheckRequest::default() };
    scratch::with(|scratch| check(&mut Watched::read_only(image), &request, scratch, &mut |_| ())).ok()
}
