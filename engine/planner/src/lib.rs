//! Create and resize planners: what to write, in which order.
//!
//! A planner is a pure function of the bytes it reads and the request. It works in two steps, so
//! that nothing is written before every refusal is decided: `plan` reads what it needs and decides
//! every size and offset; `run` hands the changes, as [`Patch`]es in commit order, to a [`Target`].
//! Memory is the caller's scratch buffer and constant: no image needs more than [`SCRATCH_LEN`].
//!
//! Patches between two [`Patch::Barrier`]s may reach the disk in any order, and any of them may be
//! torn at sector boundaries. Each planner's module says why every such state is a good image.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod error;
mod longer;
pub mod luks;
pub mod qcow2;
pub mod qed;
pub mod raw;
mod surroundings;
pub mod vhd;
pub mod vhdx;
pub mod vmdk;

pub use error::{PlanError, ResizeError};
pub use instar_formats::io::{IoError, ReadAt};
pub use surroundings::{Backing, Compressed, Surroundings, Unpack};

/// What a planner's scratch buffer must hold at least, in bytes.
pub const SCRATCH_LEN: usize = 8 << 20;

/// The largest file or disk that QEMU's block layer accepts, in bytes: 2^63 - 2^30.
pub const MAX_BYTES: u64 = (1 << 63) - (1 << 30);

/// One change of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patch<'a> {
    /// These bytes at this offset.
    Write {
        /// Byte offset in the file.
        offset: u64,
        /// What to write.
        data: &'a [u8],
    },
    /// Zeros in this range.
    ZeroFill {
        /// Byte offset in the file.
        offset: u64,
        /// Length in bytes.
        len: u64,
        /// Whether the space may be given back to the host.
        unmap: bool,
    },
    /// Everything before is durable before anything after it.
    Barrier,
}

/// An image that a plan runs on. Reads see the patches applied so far.
pub trait Target: ReadAt {
    /// Applies one patch.
    ///
    /// # Errors
    /// The device's.
    fn apply(&mut self, patch: Patch<'_>) -> Result<(), IoError>;
}

/// A new size as asked, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeRequest {
    /// This size.
    Absolute(u64),
    /// So much more.
    Grow(u64),
    /// So much less.
    Shrink(u64),
}

/// What shall be allocated for the new area of a grown image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preallocation {
    /// Nothing.
    #[default]
    Off,
    /// The format's own metadata.
    Metadata,
    /// Host space, unwritten.
    Falloc,
    /// Host space, written with zeros.
    Full,
}

/// What makes a new image unlike every other one: a planner has neither entropy nor a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Random bytes.
    pub random: [u8; 64],
    /// Seconds since 1970.
    pub unix_time: u64,
}

impl Default for Identity {
    /// That of an image which need not be told from others.
    fn default() -> Self {
        Self { random: [0; 64], unix_time: 0 }
    }
}

/// What to resize to, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The new size.
    pub size: SizeRequest,
    /// Whether data beyond the new end may be thrown away.
    pub shrink: bool,
    /// What to allocate for a new area.
    pub preallocation: Preallocation,
}

/// What a resize comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResizeAction {
    /// The disk becomes larger.
    Grow,
    /// The disk becomes smaller.
    Shrink,
    /// The disk has that size already.
    NoOp,
}

impl ResizeAction {
    /// From `old` to `new` bytes.
    #[must_use]
    pub const fn between(old: u64, new: u64) -> Self {
        if new > old {
            Self::Grow
        } else if new < old {
            Self::Shrink
        } else {
            Self::NoOp
        }
    }
}

impl Request {
    /// The new size of a disk of `old` bytes, with the refusals that every format shares, in the
    /// order in which `qemu-img` decides them.
    ///
    /// # Errors
    /// [`ResizeError`]: the size is not positive or too large, or a flag does not go with it.
    pub fn resolve(&self, old: u64) -> Result<u64, ResizeError> {
        let new = match self.size {
            SizeRequest::Absolute(size) => Some(size),
            SizeRequest::Grow(more) => old.checked_add(more),
            SizeRequest::Shrink(less) => old.checked_sub(less),
        };
        let positive = |size: &u64| *size > 0 && i64::try_from(*size).is_ok();
        let new = new.filter(positive).ok_or(ResizeError::NewSizeNotPositive)?;
        if new <= old && self.preallocation != Preallocation::Off {
            return Err(ResizeError::PreallocationNotGrowing);
        }
        if new < old && !self.shrink {
            return Err(ResizeError::ShrinkWithoutFlag);
        }
        if new > MAX_BYTES {
            return Err(ResizeError::BeyondMaximum { offset: new, maximum: MAX_BYTES });
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(size: SizeRequest, shrink: bool, preallocation: Preallocation) -> Result<u64, ResizeError> {
        Request { size, shrink, preallocation }.resolve(1 << 20)
    }

    #[test]
    fn sizes_resolve_like_qemu_img() {
        use Preallocation::{Falloc, Off};
        use SizeRequest::{Absolute, Grow, Shrink};
        assert_eq!(resolve(Absolute(5), true, Off), Ok(5));
        assert_eq!(resolve(Grow(1), false, Off), Ok((1 << 20) + 1));
        assert_eq!(resolve(Shrink(1), true, Off), Ok((1 << 20) - 1));
        assert_eq!(resolve(Shrink(1 << 20), true, Off), Err(ResizeError::NewSizeNotPositive));
        assert_eq!(resolve(Shrink(u64::MAX), true, Off), Err(ResizeError::NewSizeNotPositive));
        assert_eq!(resolve(Absolute(0), false, Off), Err(ResizeError::NewSizeNotPositive));
        assert_eq!(resolve(Absolute(1 << 63), false, Off), Err(ResizeError::NewSizeNotPositive));
        assert_eq!(resolve(Grow(u64::MAX), false, Off), Err(ResizeError::NewSizeNotPositive));
        assert_eq!(resolve(Absolute(5), false, Falloc), Err(ResizeError::PreallocationNotGrowing));
        assert_eq!(resolve(Absolute(5), false, Off), Err(ResizeError::ShrinkWithoutFlag));
        assert_eq!(resolve(Grow(0), false, Off), Ok(1 << 20));
        assert_eq!(resolve(Absolute(MAX_BYTES), false, Off), Ok(MAX_BYTES));
        assert_eq!(
            resolve(Absolute(MAX_BYTES + 1), false, Off),
            Err(ResizeError::BeyondMaximum { offset: MAX_BYTES + 1, maximum: MAX_BYTES })
        );
    }
}
