//! A resize of whatever the bytes say.

use crate::input::Input;
use crate::scratch;
use crate::watched::Watched;
use instar_ops::{
    CheckReport, CheckRequest, Format, InfoRequest, Preallocation, ResizeAction, ResizeRequest, SizeRequest,
    check, info, resize,
};
use oracle_crash::{Image, finish};

/// The longest file, in bytes, whose every cluster is looked at before and after.
const MOST_CHECKED: u64 = 256 << 20;

/// Resizes. A refusal must have written nothing; a resize must have kept to its file, come to the size that was asked for,
/// have nothing left to do, and leave an image as good as it was.
pub fn run(format: Format, data: &[u8]) {
    let Some(input) = Input::decode(data) else { return };
    let request = input.request(format);
    let mut image = input.image.clone();
    let mut disk = Watched::new(&mut image);
    let outcome = scratch::with(|scratch| resize(&mut disk, &request, scratch));
    let (furthest, twice) = (disk.furthest, disk.twice.take());
    let Ok(outcome) = outcome else {
        assert_eq!(furthest, 0, "a refusal that wrote something");
        return;
    };
    assert!(outcome.file_size_before == input.image.len(), "{outcome:?}");
    assert!(
        furthest <= outcome.file_size_after.max(outcome.file_size_before),
        "writes up to {furthest}: {outcome:?}"
    );
    match request.size {
        SizeRequest::Absolute(size) if format != Format::Raw => {
            assert!(outcome.new_virtual_size >= size, "{outcome:?}");
        }
        _ => {}
    }
    let way = ResizeAction::between(outcome.old_virtual_size, outcome.new_virtual_size);
    assert_eq!(outcome.action, way, "{outcome:?}");
    finish(&outcome, request.preallocation, image.len()).iter().for_each(|op| op.apply(&mut image));
    assert_eq!(image.len(), outcome.file_size_after);
    again(format, &image, outcome.new_virtual_size);
    if outcome.file_size_after.max(input.image.len()) <= MOST_CHECKED {
        as_good(format, &input.image, &image, twice);
    }
}

/// A resize to the size that the image has now finds nothing to do, and changes nothing.
fn again(format: Format, image: &Image, size: u64) {
    let mut copy = image.clone();
    let said = scratch::with(|scratch| {
        let request = InfoRequest { format: Some(format) };
        info(&mut Watched::read_only(&mut copy), &request, scratch, &mut |_| ())
    });
    let said = said.expect("info of what was resized");
    assert_eq!(said.virtual_size, size, "info says another size than the resize");
    let request = ResizeRequest {
        format: Some(format),
        size: SizeRequest::Absolute(size),
        shrink: true,
        preallocation: Preallocation::Off,
        identity: instar_ops::Identity::default(),
    };
    let outcome = scratch::with(|scratch| resize(&mut Watched::new(&mut copy), &request, scratch));
    let outcome = outcome.expect("a resize to the same size");
    assert_eq!(outcome.action, ResizeAction::NoOp, "{outcome:?}");
    assert_eq!(outcome.new_virtual_size, size);
}

/// What was clean is clean, and nothing in it was changed twice between two flushes. A file that has not become longer
/// has no more leaks: counts past the end are no leaks until the file reaches them.
fn as_good(format: Format, before: &Image, after: &Image, twice: Option<String>) {
    let Some(old) = checked(format, before) else { return };
    if old.corruptions + old.check_errors > 0 {
        return;
    }
    assert_eq!(twice, None, "of a clean image");
    let longer = after.len() > before.len();
    let new = checked(format, after).expect("a check of what was resized");
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
pub fn checked(format: Format, image: &Image) -> Option<CheckReport> {
    let request = CheckRequest { format: Some(format), ..CheckRequest::default() };
    let mut copy = image.clone();
    scratch::with(|scratch| check(&mut Watched::read_only(&mut copy), &request, scratch, &mut |_| ())).ok()
}
