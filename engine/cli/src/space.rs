//! When there is not enough space for a resize: what is said, and what becomes of the file.

use crate::engine::Engine;
use crate::finish::Tail as _;
use crate::image::Image;
use crate::message::errno_text;
use instar_ops::disk::{Direction, IoError};
use instar_ops::{CheckRequest, OpError, Preallocation};
use std::io;

/// The errors of a full disk, a used-up quota, and a file that may not become so large.
const FULL: [i32; 3] = [libc::ENOSPC, libc::EDQUOT, libc::EFBIG];

/// What `qemu-img` says where new clusters do not get the space that `mode` asks for; `None` if `error`
/// is another one. In a file beside the image there is no file beneath it that would have been resized.
#[must_use]
pub fn text(error: &OpError, mode: Preallocation, beside: bool) -> Option<String> {
    let OpError::Io(IoError { direction: Direction::Write, errno, .. }) = error else {
        return None;
    };
    let errno = i32::try_from(*errno).ok().filter(|errno| FULL.contains(errno))?;
    let what = match mode {
        Preallocation::Off | Preallocation::Metadata => return None,
        Preallocation::Falloc => "Could not preallocate new data",
        Preallocation::Full if errno == libc::EFBIG => "Could not resize file",
        Preallocation::Full => "Could not write zeros for preallocation",
    };
    let beneath = if beside { "" } else { "Failed to resize underlying file: " };
    Some(format!("{beneath}{what}: {}", errno_text(&io::Error::from_raw_os_error(errno))))
}

/// Cuts what a resize that failed has left behind off the end of the file, down to the last cluster that
/// the image counts as used, and not below the length that it had.
///
/// An image that a check finds anything but leaks in is left as it is. So is one that cannot be checked, or of which a check
/// does not say where it ends: what is too long costs space, and nothing else. Whether the passphrase of an encrypted one is known
/// is `unlocked`.
pub fn give_back(engine: &dyn Engine, image: &Image, unlocked: bool) {
    let longer = |len: u64| image.window().len().is_ok_and(|now| now > len);
    if !longer(image.len) {
        return;
    }
    let request = CheckRequest { format: image.format, unlocked, ..CheckRequest::default() };
    let Ok(Ok(report)) =
        engine.check(image.window(), &[], &request, &mut |_| {}).map(|finished| finished.result)
    else {
        return;
    };
    let end = report.image_end_offset.max(image.len);
    let known = report.image_end_offset != 0;
    if known && report.corruptions == 0 && report.check_errors == 0 && longer(end) {
        // The error that brought us here is the one to tell.
        let window = image.window();
        drop(window.set_len(end).and_then(|()| window.sync()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_and_only_where_space_was_asked_for() {
        let error = |errno: i32, direction| {
            OpError::Io(IoError { direction, offset: 0, len: 512, errno: errno.unsigned_abs() })
        };
        let full = error(libc::ENOSPC, Direction::Write);
        let said = text(&full, Preallocation::Falloc, false);
        let expected =
            "Failed to resize underlying file: Could not preallocate new data: No space left on device";
        assert_eq!(said.as_deref(), Some(expected));
        let said = text(&full, Preallocation::Full, true);
        let expected = "Could not write zeros for preallocation: No space left on device";
        assert_eq!(said.as_deref(), Some(expected));
        assert_eq!(text(&full, Preallocation::Metadata, false), None);
        for error in [error(libc::EIO, Direction::Write), error(libc::ENOSPC, Direction::Flush)] {
            assert_eq!(text(&error, Preallocation::Full, false), None);
        }
    }
}
