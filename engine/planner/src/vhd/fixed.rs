//! Resizing a fixed disk: its data and the footer behind them.
//!
//! # After a crash
//! A file that grows first gets the footer of the old size at its new end, by one write: the disk is what it
//! was, in a file that is longer than it need be. What is behind the old end is zeroed then, the old footer
//! among it, where nobody looks. The new size is one write of one sector, the last one.
//!
//! A file that shrinks first gets the new size, by one write to the footer it has. Then the footer is
//! written behind the new end, over data that is given up; whether the file is cut there or not, there is a
//! footer of the new size at its end. The same resize again does what is left of either.

use super::{has_space, write_footer, zero};
use crate::{IoError, Patch, Preallocation, ResizeError, Target};
use instar_formats::ImageError;
use instar_formats::vhd::{FOOTER_LEN, Footer, Image, SECTOR};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    old: Footer,
    new: Footer,
    /// Where the footer is, and where it will be.
    trailer: u64,
    new_trailer: u64,
    mode: Preallocation,
}

/// Plans it.
///
/// # Errors
/// No footer at the end of the file, or nothing to preallocate.
pub fn plan(image: &Image, new: Footer, mode: Preallocation) -> Result<Plan, crate::PlanError> {
    if mode == Preallocation::Metadata {
        return Err(ResizeError::RawPreallocationMetadata.into());
    }
    let trailer = image.trailer(image.virtual_size()).filter(|_| image.tail.fits_fixed(image.file_len));
    let trailer = trailer.ok_or(ImageError::VhdNone)?;
    let size = new.virtual_size();
    let shrinks = size < image.virtual_size();
    // Virtual PC leaves room between a disk and its footer: a small grow fits there.
    let new_trailer = if shrinks { size } else { size.max(trailer) };
    Ok(Plan { old: image.footer, new, trailer, new_trailer, mode })
}

/// What is left to do where the size stays: a file that is longer than the disk is cut, with the footer at its end.
#[must_use]
pub fn unfinished(image: &Image) -> Option<Plan> {
    let (size, current) = (image.virtual_size(), image.footer.current_size());
    let trailer = image.trailer(size).filter(|_| image.tail.fits_fixed(image.file_len))?;
    let new_trailer = size.max(current).checked_next_multiple_of(SECTOR)?;
    let (old, new) = (image.footer, image.footer);
    (new_trailer < trailer).then_some(Plan { old, new, trailer, new_trailer, mode: Preallocation::Off })
}

impl Plan {
    /// Length of the file after, in bytes.
    pub const fn file_end(&self) -> u64 {
        self.new_trailer.saturating_add(FOOTER_LEN)
    }

    /// The byte range that is to have space.
    pub fn preallocate(&self) -> Option<(u64, u64)> {
        let (old, new) = (self.old.virtual_size(), self.new.virtual_size());
        (has_space(self.mode) && new > old).then_some((old, new.saturating_sub(old)))
    }

    /// Carries it out.
    pub fn run<T: Target>(&self, image: &mut T) -> Result<(), IoError> {
        let (old, new) = (self.old.virtual_size(), self.new.virtual_size());
        if new < old {
            write_footer(image, self.trailer, &self.new)?;
            if self.new_trailer == self.trailer {
                return Ok(());
            }
            return write_footer(image, self.new_trailer, &self.new);
        }
        if self.new_trailer > self.trailer {
            write_footer(image, self.new_trailer, &self.old)?;
        }
        // The new end may lie within the footer that was there.
        let stale = self.trailer.saturating_add(FOOTER_LEN).min(self.new_trailer);
        zero(image, old, stale, false)?;
        image.apply(Patch::Barrier)?;
        write_footer(image, self.new_trailer, &self.new)
    }
}

const _: () = assert!(FOOTER_LEN == SECTOR);
