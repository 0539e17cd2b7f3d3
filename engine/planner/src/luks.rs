//! LUKS files: the disk is the file's end, behind the header and its key material, so a resize is one
//! change of the file's length, and crash-safe as far as the file system makes a truncation so. Nothing
//! of the header changes, and no key is needed.
//!
//! A new area holds zeros, which read as noise once they are decrypted. As with `qemu-img`.

use crate::{MAX_BYTES, PlanError, Preallocation, Request, ResizeAction, ResizeError};
use instar_formats::luks::{Header, SECTOR};

/// What the resize of a LUKS file comes to. All sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LuksPlan {
    /// Larger, smaller or the same.
    pub action: ResizeAction,
    /// What follows the header, rounded up to a sector.
    pub old_virtual_size: u64,
    /// The new virtual size, rounded up to a sector.
    pub new_virtual_size: u64,
    /// What the file's length must become: the header and the size as asked, with no rounding.
    pub file_size_after: u64,
    /// The range `(offset, len)` to allocate.
    pub preallocate: Option<(u64, u64)>,
}

/// Plans the resize of a LUKS file of `file_len` bytes.
///
/// # Errors
/// [`PlanError`]: the request was refused, or the file ends before its disk begins.
pub fn plan_resize(header: &Header, file_len: u64, request: &Request) -> Result<LuksPlan, PlanError> {
    let old = header.virtual_size(file_len)?;
    let new = request.resolve(old)?;
    let file_size_after = new.saturating_add(header.payload_offset);
    let preallocate = match request.preallocation {
        Preallocation::Off => None,
        Preallocation::Metadata => return Err(ResizeError::RawPreallocationMetadata.into()),
        Preallocation::Falloc | Preallocation::Full => {
            Some((file_len, file_size_after.saturating_sub(file_len)))
        }
    };
    if file_size_after > MAX_BYTES {
        return Err(ResizeError::BeyondMaximum { offset: file_size_after, maximum: MAX_BYTES }.into());
    }
    Ok(LuksPlan {
        action: ResizeAction::between(old, new),
        old_virtual_size: old,
        new_virtual_size: new.checked_next_multiple_of(SECTOR).unwrap_or(new),
        file_size_after,
        preallocate,
    })
}
