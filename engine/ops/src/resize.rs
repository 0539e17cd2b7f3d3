//! Resizing.

use crate::open::{Opened, open};
use crate::{Disk, Format, OpError, ResizeOutcome, ResizeRequest};
use instar_formats::io::{IoError, ReadAt};
use instar_formats::qcow2::Header;
use instar_planner::{Patch, Request, Surroundings, Target, qcow2, raw};

/// The other files of the image that is resized, opened by whoever decided that they may be.
#[derive(Default)]
pub struct Companions<'a> {
    /// The external data file.
    pub data_file: Option<&'a mut dyn Disk>,
    /// The chain of backing files, the overlay's own backing first.
    pub backing: &'a mut [Layer<'a>],
}

/// One file of a backing chain, to be read only.
pub struct Layer<'a> {
    /// The file.
    pub file: &'a mut dyn ReadAt,
    /// Its external data file, if it has one.
    pub data_file: Option<&'a mut dyn ReadAt>,
    /// What it is.
    pub format: Format,
}

/// Resizes the image on `disk`, which has no other files. Every refusal is decided before the first
/// write.
///
/// # Errors
/// [`OpError`]: the image is not what it should be, the request cannot be met, or the device failed.
pub fn resize<D: Disk>(
    disk: &mut D,
    request: &ResizeRequest,
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    resize_with(disk, &mut Companions::default(), request, scratch)
}

/// As [`resize`], of an image with other files.
///
/// # Errors
/// As [`resize`].
pub fn resize_with<D: Disk>(
    disk: &mut D,
    _companions: &mut Companions<'_>,
    request: &ResizeRequest,
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let wanted = Request { size: request.size, shrink: request.shrink, preallocation: request.preallocation };
    match open(disk, request.format)? {
        Opened::Raw => resize_raw(disk, &wanted),
        Opened::Qcow2(header) => resize_qcow2(disk, &header, &wanted, scratch),
    }
}

fn resize_raw<D: Disk>(disk: &mut D, request: &Request) -> Result<ResizeOutcome, OpError> {
    let plan = raw::plan_resize(disk.len(), request)?;
    Ok(ResizeOutcome {
        format: Format::Raw,
        action: plan.action,
        old_virtual_size: plan.old_virtual_size,
        new_virtual_size: plan.new_virtual_size,
        file_size_before: disk.len(),
        file_size_after: plan.file_size_after,
        preallocate: plan.preallocate,
    })
}

fn resize_qcow2<D: Disk>(
    disk: &mut D,
    header: &Header,
    request: &Request,
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let mut around = Surroundings::default();
    let plan = qcow2::plan_resize(disk, header, request, &mut around, scratch)?;
    let file_size_after = plan.run(&mut OnDisk(disk), &mut around, scratch)?;
    Ok(ResizeOutcome {
        format: Format::Qcow2,
        action: plan.action,
        old_virtual_size: plan.old_virtual_size,
        new_virtual_size: plan.new_virtual_size,
        file_size_before: disk.len(),
        file_size_after,
        preallocate: None,
    })
}

/// A disk that a plan runs on.
pub(crate) struct OnDisk<'d, D>(pub &'d mut D);

impl<D: Disk> ReadAt for OnDisk<'_, D> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.0.read_at(offset, buf)
    }
}

impl<D: Disk> Target for OnDisk<'_, D> {
    fn apply(&mut self, patch: Patch<'_>) -> Result<(), IoError> {
        match patch {
            Patch::Write { offset, data } => self.0.write_at(offset, data),
            Patch::ZeroFill { offset, len, unmap } => self.0.zero_at(offset, len, unmap),
            Patch::Barrier => self.0.flush(),
        }
    }
}
