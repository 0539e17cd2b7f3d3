//! A device that fails: at every call in turn, in every way that a call can fail.

use instar_ops::disk::{Direction, IoError};
use instar_ops::{OpError, ResizeRequest};

use crate::disk::{Course, EIO, ENOSPC, Failure, Fault};
use crate::engine::job;
use crate::image::Image;
use crate::judge::Bad;
use crate::worker::{InMemory, Stop};

/// Gets the number of a call, how it failed, what the image has become, and what was wrong with the answer.
pub type Each<'e> = dyn FnMut(usize, Failure, &mut Image, Result<(), Bad>) + 'e;

/// Resizes `image` with one call of its disks after the other failing, `most` of them. `each` is told after each; the image is rewound to its mark
/// after that.
pub fn for_each_fault(image: &mut Image, request: &ResizeRequest, most: usize, each: &mut Each) {
    let calls = calls(image, request);
    for call in (0..calls).step_by(calls.div_ceil(most.max(1)).max(1)) {
        let mut failures = vec![Failure::Errno(EIO)];
        while let Some(failure) = failures.pop() {
            let mut worker = InMemory::failing(call, failure);
            let result = job(image, request, &mut worker).map(|_| ());
            if failure == Failure::Errno(EIO) && is_write(&result) {
                failures.extend([Failure::Errno(ENOSPC), Failure::Short(ENOSPC)]);
            }
            each(call, failure, image, answer(failure, &result));
            image.rewind();
        }
    }
}

/// How many calls the resize makes when none of them fails.
fn calls(image: &mut Image, request: &ResizeRequest) -> usize {
    let fault = Fault::new(usize::MAX, Failure::Errno(EIO));
    // What comes of it has been looked at already.
    let _ = job(image, request, &mut InMemory::new(Course::failing(&fault)));
    image.rewind();
    fault.borrow().calls()
}

const fn is_write(result: &Result<(), Stop>) -> bool {
    matches!(result, Err(Stop::Op(OpError::Io(IoError { direction: Direction::Write, .. }))))
}

/// How the `turn`th call that is made to fail does so, if they take turns; a flush cannot be short of space.
pub const fn in_turn(turn: usize, is_flush: bool) -> Failure {
    match (turn % 3, is_flush) {
        (0, _) | (_, true) => Failure::Errno(EIO),
        (1, false) => Failure::Errno(ENOSPC),
        _ => Failure::Short(ENOSPC),
    }
}

/// The error must be that of the device. What is done to the image after it is judged by what it leaves.
///
/// # Errors
/// What is wrong with it.
pub fn answer(failure: Failure, result: &Result<(), Stop>) -> Result<(), Bad> {
    let (Failure::Errno(expected) | Failure::Short(expected)) = failure;
    match result {
        Err(Stop::Op(OpError::Io(e))) if e.errno == expected => Ok(()),
        Err(e) => Err(Bad::new("error", format!("the error is {e}"))),
        Ok(()) => Err(Bad::new("error", "there is no error")),
    }
}
