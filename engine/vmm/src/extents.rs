//! Images whose disk is in other files, each with a window of its own behind the image's.

use crate::error::VmmError;
use crate::files::Files;
use crate::image::{Image, file_len};
use crate::kvm::{Finished, Kvm};
use crate::limit;
use instar_ops::{
    CheckFinding, CheckReport, CheckRequest, CreateRequest, ImageInfo, InfoItem, InfoRequest, ResizeOutcome,
};
use std::fs::File;

fn length(file: &File) -> Result<u64, VmmError> {
    file_len(file).map_err(|source| VmmError::Host { what: "asking for an extent's length", source })
}

/// The image, and its extents to be read only.
pub(crate) fn read_only<'a>(image: Image<'a>, extents: &[&'a File]) -> Result<Files<'a>, VmmError> {
    let mut files = Files::only(image);
    for file in extents {
        let len = length(file)?;
        files.push(Image::new(file, len, limit::read(len), true));
    }
    Ok(files)
}

/// The image, and its extents to be written as far as `limit` lets one of their length be.
pub(crate) fn writable<'a>(
    image: Image<'a>,
    extents: &[&'a File],
    limit: impl Fn(u64) -> u64,
) -> Result<Files<'a>, VmmError> {
    let mut files = Files::only(image);
    push_writable(&mut files, extents, limit)?;
    Ok(files)
}

/// Adds extents to the files of a job.
pub(crate) fn push_writable<'a>(
    files: &mut Files<'a>,
    extents: &[&'a File],
    limit: impl Fn(u64) -> u64,
) -> Result<(), VmmError> {
    for file in extents {
        let len = length(file)?;
        let mut extent = Image::new(file, len, limit(len), false);
        extent.is_extent = true;
        files.push(extent);
    }
    Ok(())
}

/// The same for images of one file.
impl Kvm {
    /// As [`Kvm::info_with`].
    ///
    /// # Errors
    /// As there.
    pub fn info(
        &self,
        image: &File,
        request: &InfoRequest,
    ) -> Result<Finished<(ImageInfo, Vec<InfoItem>)>, VmmError> {
        self.info_with(image, &[], request)
    }

    /// As [`Kvm::check_with`].
    ///
    /// # Errors
    /// As there.
    pub fn check(
        &self,
        image: &File,
        request: &CheckRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Result<Finished<CheckReport>, VmmError> {
        self.check_with(image, &[], request, findings)
    }

    /// As [`Kvm::create_with`].
    ///
    /// # Errors
    /// As there.
    pub fn create(&self, image: &File, request: &CreateRequest) -> Result<Finished<ResizeOutcome>, VmmError> {
        self.create_with(image, &[], request)
    }
}
