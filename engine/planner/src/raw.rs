//! Raw files: the file is the disk, so a resize is one change of the file's length, and crash-safe
//! as far as the file system makes a truncation so.

use crate::{Preallocation, Request, ResizeAction, ResizeError};

/// Virtual sizes are whole sectors of this many bytes.
const SECTOR: u64 = 512;

/// What the resize of a raw file comes to. All sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawPlan {
    /// Larger, smaller or the same.
    pub action: ResizeAction,
    /// The file's length, rounded up to a sector.
    pub old_virtual_size: u64,
    /// The new virtual size, rounded up to a sector.
    pub new_virtual_size: u64,
    /// What the file's length must become: the size as asked, with no rounding.
    pub file_size_after: u64,
    /// The range `(offset, len)` to allocate.
    pub preallocate: Option<(u64, u64)>,
}

/// Plans the resize of a raw file of `file_len` bytes.
///
/// # Errors
/// [`ResizeError`] names the refusal.
pub fn plan_resize(file_len: u64, request: &Request) -> Result<RawPlan, ResizeError> {
    let old = virtual_size(file_len);
    let new = request.resolve(old)?;
    let preallocate = match request.preallocation {
        Preallocation::Off => None,
        Preallocation::Metadata => return Err(ResizeError::RawPreallocationMetadata),
        Preallocation::Falloc | Preallocation::Full => Some((file_len, new.saturating_sub(file_len))),
    };
    Ok(RawPlan {
        action: ResizeAction::between(old, new),
        old_virtual_size: old,
        new_virtual_size: virtual_size(new),
        file_size_after: new,
        preallocate,
    })
}

/// The virtual size of a raw file of `file_len` bytes: rounded up to a sector.
#[must_use]
pub const fn virtual_size(file_len: u64) -> u64 {
    file_len.saturating_add(SECTOR - 1) & !(SECTOR - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SizeRequest::{Absolute, Grow, Shrink};

    fn plan(len: u64, size: crate::SizeRequest, shrink: bool) -> Result<RawPlan, ResizeError> {
        plan_resize(len, &Request { size, shrink, preallocation: Preallocation::Off })
    }

    #[test]
    fn odd_lengths_count_from_the_next_sector() {
        assert_eq!(plan(1001, Grow(1), false).unwrap().file_size_after, 1025);
        assert_eq!(plan(1001, Absolute(1002), false), Err(ResizeError::ShrinkWithoutFlag));
        let same = plan(1001, Absolute(1024), false).unwrap();
        assert_eq!((same.action, same.file_size_after), (ResizeAction::NoOp, 1024));
        assert_eq!(plan(1001, Shrink(24), true).unwrap().file_size_after, 1000);
    }

    #[test]
    fn preallocation_covers_the_new_bytes() {
        let request = |preallocation| Request { size: Absolute(4096), shrink: false, preallocation };
        assert_eq!(plan_resize(1000, &request(Preallocation::Full)).unwrap().preallocate, Some((1000, 3096)));
        assert_eq!(
            plan_resize(1000, &request(Preallocation::Metadata)),
            Err(ResizeError::RawPreallocationMetadata)
        );
    }
}
