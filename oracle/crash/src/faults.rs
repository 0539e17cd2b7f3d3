//! A device that fails: at every call in turn, in every way that a call can fail.

use instar_ops::disk::{Direction, IoError};
use instar_ops::{OpError, ResizeRequest};

use crate::disk::{EIO, ENOSPC, Failure, FaultyDisk, MemoryDisk};
use crate::image::Image;
use crate::judge::Bad;

/// Calls of one resize that are made to fail, at most; of more, an even choice.
const MOST_CALLS: usize = 256;

/// Gets the number of a call, how it failed, what the image has become, and what was wrong with the answer.
pub type Each<'e> = dyn FnMut(usize, Failure, &mut Image, Result<(), Bad>) + 'e;

/// Resizes `image`, all of whose disk is in its own file, with one call after the other failing. `each` is told after each; the image is
/// rewound to its mark after that.
pub fn for_each_fault(image: &mut Image, request: &ResizeRequest, each: &mut Each) {
    if image.has_extents() || image.data_file().is_some() {
        return;
    }
    let (calls, beside) = (calls(image, request), image.beside());
    for call in (0..calls).step_by(calls.div_ceil(MOST_CALLS).max(1)) {
        let mut failures = vec![Failure::Errno(EIO)];
        while let Some(failure) = failures.pop() {
            let mut disk = FaultyDisk::new(image, call, failure);
            let result = beside.resize(&mut disk, None::<&mut MemoryDisk>, request).map(|_| ());
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
    let beside = image.beside();
    let mut disk = FaultyDisk::new(image, usize::MAX, Failure::Errno(EIO));
    // What comes of it has been looked at already.
    let _ = beside.resize(&mut disk, None::<&mut MemoryDisk>, request);
    let calls = disk.calls();
    image.rewind();
    calls
}

const fn is_write(result: &Result<(), OpError>) -> bool {
    matches!(result, Err(OpError::Io(IoError { direction: Direction::Write, .. })))
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
pub fn answer(failure: Failure, result: &Result<(), OpError>) -> Result<(), Bad> {
    let (Failure::Errno(expected) | Failure::Short(expected)) = failure;
    match result {
        Err(OpError::Io(e)) if e.errno == expected => Ok(()),
        Err(e) => Err(Bad::new("error", format!("the error is {e}"))),
        Ok(()) => Err(Bad::new("error", "there is no error")),
    }
}
