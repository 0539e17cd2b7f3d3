//! Growing a QED image: its disk is as long as the header says, and what no table names reads as zeros.
//!
//! # After a crash
//! The new size, the cleared autoclear bits and the cleared need-check bit are one write of one sector:
//! it is there or it is not. Before that, and behind a barrier, an image that asks to be checked loses the
//! entries that name no place in the file. Each is an entry of its own that a guest could not have read
//! through; any part of them may be gone while the image still asks to be checked. Nothing else changes.
//!
//! A repair without a resize does the same, and clears the need-check bit in a write of its own.
//!
//! Where two entries name one cluster, which of them is right nobody knows: such an image is only grown.
//! It keeps its entries and goes on asking to be checked.

mod walk;

use crate::{IoError, Patch, Preallocation, Request, ResizeAction, ResizeError, Target};
use instar_formats::bytes::put_le64;
use instar_formats::qed::{Header, at, features};

pub use walk::{Counts, fits, walk};

/// Where the part of the header that may change begins, and its length in bytes: features to size.
const CHANGING: (usize, usize) = (at::FEATURES, at::IMAGE_SIZE + 8 - at::FEATURES);

/// What the resize of a QED image comes to. Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Larger or the same.
    pub action: ResizeAction,
    /// Before.
    pub old_virtual_size: u64,
    /// After.
    pub new_virtual_size: u64,
    header: Header,
}

/// Plans the resize of the image with this header, in front of a disk of `backing` bytes if it has one
/// behind it. `scratch` is what [`Plan::run`] will have.
///
/// # Errors
/// [`ResizeError`] names the refusal; `qemu-img` decides in this order.
pub fn plan_resize(
    header: &Header,
    request: &Request,
    backing: Option<u64>,
    scratch: &[u8],
) -> Result<Plan, ResizeError> {
    let old = header.image_size;
    let new = request.resolve(old)?;
    let action = ResizeAction::between(old, new);
    if action == ResizeAction::Grow && backing.is_some_and(|size| size > old) {
        return Err(ResizeError::QedBackingLonger);
    }
    match request.preallocation {
        Preallocation::Off => {}
        Preallocation::Metadata => return Err(ResizeError::QedPreallocationMetadata),
        Preallocation::Falloc => return Err(ResizeError::QedPreallocationFalloc),
        Preallocation::Full => return Err(ResizeError::QedPreallocationFull),
    }
    if !header.is_size(new) {
        return Err(ResizeError::QedSize);
    }
    if action == ResizeAction::Shrink {
        return Err(ResizeError::QedShrink);
    }
    let checks = action == ResizeAction::Grow && header.has(features::NEED_CHECK);
    if checks && !fits(header, scratch) {
        return Err(ResizeError::QedTooLargeToCheck);
    }
    Ok(Plan { action, old_virtual_size: old, new_virtual_size: new, header: *header })
}

impl Plan {
    /// Carries it out. The file stays as long as it is.
    ///
    /// # Errors
    /// The device's.
    pub fn run<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        if self.action != ResizeAction::Grow {
            return Ok(());
        }
        let mut features = self.header.features;
        if self.header.has(features::NEED_CHECK) && mend(image, &self.header, scratch)?.is_well() {
            features &= !features::NEED_CHECK;
        }
        let mut words = [0; CHANGING.1];
        for (field, value) in [
            (at::FEATURES, features),
            (at::COMPATIBLE, self.header.compatible),
            (at::AUTOCLEAR, 0),
            (at::L1_OFFSET, self.header.l1_offset),
            (at::IMAGE_SIZE, self.new_virtual_size),
        ] {
            put_le64(&mut words, field.saturating_sub(CHANGING.0), value);
        }
        image.apply(Patch::Write { offset: CHANGING.0 as u64, data: &words })?;
        image.apply(Patch::Barrier)
    }
}

/// Repairs the image with this header: clears every entry that names no place in the file, if that makes
/// all well, and the need-check bit if all is well then. Returns what was found before.
///
/// # Errors
/// The device's.
pub fn repair<T: Target>(image: &mut T, header: &Header, scratch: &mut [u8]) -> Result<Counts, IoError> {
    let found = mend(image, header, scratch)?;
    if found.is_well() && header.has(features::NEED_CHECK) {
        let data = &(header.features & !features::NEED_CHECK).to_le_bytes();
        image.apply(Patch::Write { offset: at::FEATURES as u64, data })?;
        image.apply(Patch::Barrier)?;
    }
    Ok(found)
}

/// The first part of [`repair`], durably done.
fn mend<T: Target>(image: &mut T, header: &Header, scratch: &mut [u8]) -> Result<Counts, IoError> {
    let found = walk(image, header, scratch, &mut |_, _, _| Ok(()))?;
    if found.is_well() && found.invalid != 0 {
        walk(image, header, scratch, &mut |image, offset, data| image.apply(Patch::Write { offset, data }))?;
        image.apply(Patch::Barrier)?;
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
