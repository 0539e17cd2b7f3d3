//! A device that fails: at every call in turn, in every way that a call can fail.

use instar_ops::disk::{Direction, IoError};
use instar_ops::{OpError, ResizeRequest, SCRATCH_LEN, resize};

use crate::disk::{Failure, FaultyDisk};
use crate::image::Image;
use crate::judge::Bad;

/// errno of a device that is broken.
const EIO: u32 = 5;
/// errno of a device that is full.
const ENOSPC: u32 = 28;
/// Calls of one resize that are made to fail, at most; of more, an even choice.
const MOST_CALLS: usize = 256;

/// Gets the number of a call, how it failed, what the image has become, and what was wrong with the answer.
pub type Each<'e> = dyn FnMut(usize, Failure, &mut Image, Result<(), Bad>) + 'e;

/// Resizes `image` with one call after the other failing. `each` is told after each; the image is
/// rewound to its mark after that.
pub fn for_each_fault(image: &mut Image, request: &ResizeRequest, each: &mut Each) {
    let mut scratch = vec![0; SCRATCH_LEN];
    let calls = calls(image, request, &mut scratch);
    for call in (0..calls).step_by(calls.div_ceil(MOST_CALLS).max(1)) {
        let mut failures = vec![Failure::Errno(EIO)];
        while let Some(failure) = failures.pop() {
            let mut disk = FaultyDisk::new(image, call, failure);
            let result = resize(&mut disk, request, &mut scratch).map(|_| ());
            let later = disk.later;
            if failure == Failure::Errno(EIO) && is_write(&result) {
                failures.extend([Failure::Errno(ENOSPC), Failure::Short(ENOSPC)]);
            }
            each(call, failure, image, answer(failure, &result, later));
            image.rewind();
        }
    }
}

/// How many calls the resize makes when none of them fails.
fn calls(image: &mut Image, request: &ResizeRequest, scratch: &mut [u8]) -> usize {
    let mut disk = FaultyDisk::new(image, usize::MAX, Failure::Errno(EIO));
    // What comes of it has been looked at already.
    let _ = resize(&mut disk, request, scratch);
    let calls = disk.calls();
    image.rewind();
    calls
}

const fn is_write(result: &Result<(), OpError>) -> bool {
    matches!(result, Err(OpError::Io(IoError { direction: Direction::Write, .. })))
}

/// The error must be that of the device, and nothing may be written once one came.
fn answer(failure: Failure, result: &Result<(), OpError>, later: usize) -> Result<(), Bad> {
    let (Failure::Errno(expected) | Failure::Short(expected)) = failure;
    match result {
        Err(OpError::Io(e)) if e.errno == expected && later == 0 => Ok(()),
        Err(OpError::Io(e)) if e.errno == expected => {
            Err(Bad::new("goes-on", format!("{later} changes or flushes after the error")))
        }
        Err(e) => Err(Bad::new("error", format!("the error is {e}"))),
        Ok(()) => Err(Bad::new("error", "there is no error")),
    }
}
