//! A crash anywhere in a resize of a clean qcow2 image.

use crate::input::Input;
use crate::resize::checked;
use crate::scratch;
use crate::watched::Watched;
use instar_ops::{Companions, Format, InfoRequest, OpError, ResizeError, info, resize_mended};
use oracle_crash::{Bounds, Engine, Image, InProcess, State, Trace, for_each_state};
use std::path::Path;

/// The longest file, in bytes, that is looked at.
const MOST_LEN: u64 = 16 << 20;
/// How many states of one interval are tried.
const BOUNDS: Bounds = Bounds { exhaustive: 4, samples: 8, scattered: 2, cuts: 2, calls: 256 };

/// Whatever a crash leaves opens at the old or the new size, is no more corrupt than before, and can be resized.
pub fn run(data: &[u8]) {
    let mut image = Image::default();
    if Input::file_len(data).is_none_or(|len| len > MOST_LEN) {
        return;
    }
    let Some(input) = Input::decode(data, &mut image) else { return };
    let format = Format::Qcow2;
    let clean =
        |image: &mut Image| checked(format, image).is_some_and(|r| r.corruptions + r.check_errors == 0);
    let request = input.request(format);
    if !clean(&mut image) {
        return;
    }
    let traced = InProcess.resize(&image, &request, Path::new("")).expect("a resize in memory");
    let Ok(outcome) = traced.outcome else { return };
    let seed = data.iter().fold(1_u64, |n, byte| n.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let sizes = [outcome.old_virtual_size, outcome.new_virtual_size];
    for (interval, ops) in traced.trace.intervals.iter().enumerate() {
        image.mark();
        for_each_state(&traced.trace, interval, &BOUNDS, seed, &mut |state| {
            good(&traced.trace, &state, &mut image, sizes, &input);
            image.rewind();
            true
        });
        ops.iter().for_each(|op| op.apply(&mut image));
    }
}

fn good(trace: &Trace, state: &State, image: &mut Image, sizes: [u64; 2], input: &Input) {
    state.apply(trace, image);
    let format = Format::Qcow2;
    let report = checked(format, image).unwrap_or_else(|| panic!("{state:?}: no check"));
    assert!(report.corruptions + report.check_errors == 0, "{state:?}: {report:?}");
    let request = InfoRequest { format: Some(format) };
    let said = scratch::with(|scratch| info(&mut Watched::read_only(image), &request, scratch, &mut |_| ()));
    let size = said.expect("info of what a crash left").virtual_size;
    assert!(sizes.contains(&size), "{state:?}: opens at {size} bytes, not one of {sizes:?}");
    let mut again = input.request(format);
    again.size = instar_ops::SizeRequest::Absolute(sizes[1]);
    again.shrink = true;
    again.preallocation = instar_ops::Preallocation::Off;
    let mut alone = Companions::default();
    // As instar does it: an image that was not closed properly is repaired first.
    let outcome = scratch::with(|scratch| {
        resize_mended(&mut Watched::new(image), &mut alone, &again, scratch, &mut |_| ())
    });
    // A bitmap that is flagged as in use is safe, and refused by everybody until it is removed.
    let in_use = matches!(outcome, Err(OpError::Resize(ResizeError::BitmapInUse { .. })));
    assert!(in_use || outcome.is_ok(), "{state:?}: resizing again: {outcome:?}");
}
