//! The operations on VHD images.

mod check;
mod leftover;

use crate::resize::OnDisk;
use crate::{
    CreateRequest, Disk, Format, ImageError, ImageInfo, Name, OpError, Preallocation, ReadAt, Refusal,
    ResizeError, ResizeOutcome,
};
use instar_formats::vhd::{Footer, Image, Opening, disk_type};
use instar_planner::{Request, vhd};

pub(crate) use check::check;

/// What a parent's format is called.
const PARENT_FORMAT: &[u8] = b"vpc";
/// Bytes that a character of a name takes at most.
const UTF8_LEN: usize = 4;

/// The first and the last 512 bytes of a file: what a footer could be.
fn ends<R: ReadAt>(disk: &mut R) -> Result<([u8; 512], [u8; 512]), OpError> {
    let (mut head, mut tail) = ([0; 512], [0; 512]);
    disk.read_at(0, &mut head)?;
    if let Some(at) = disk.len().checked_sub(tail.len() as u64) {
        disk.read_at(at, &mut tail)?;
    }
    Ok((head, tail))
}

/// Opens the image: what its footer and its header say.
pub(crate) fn open<R: ReadAt>(disk: &mut R) -> Result<Image, OpError> {
    let (head, tail) = ends(disk)?;
    open_by(disk, &head, &tail)
}

/// The same, with these bytes for those at the start.
fn open_by<R: ReadAt>(disk: &mut R, head: &[u8; 512], tail: &[u8; 512]) -> Result<Image, OpError> {
    let (len, footer_at_end) = (disk.len(), Footer::from(*tail));
    match Opening::find(head, tail, len)? {
        Opening::Fixed(footer) => Ok(Image::fixed(footer, footer_at_end, len)),
        Opening::Dynamic(footer) => {
            let mut header = [0; 1024];
            disk.read_at(footer.header_offset(), &mut header)?;
            Ok(Image::dynamic(footer, footer_at_end, &header, len)?)
        }
    }
}

/// Describes it. Like QEMU, it wants all blocks to lie in the file.
pub(crate) fn info<R: ReadAt>(disk: &mut R, image: &Image, scratch: &mut [u8]) -> Result<ImageInfo, OpError> {
    let differencing = image.footer.disk_type() == disk_type::DIFFERENCING;
    let (mut backing_file, mut backing_format) = (Name::new(), Name::new());
    if let Some(header) = &image.header {
        vhd::survey(disk, header, image.footer.header_offset(), scratch)?.check_end(image)?;
        for letter in header.parent_name().filter(|_| differencing) {
            let bytes = letter.encode_utf8(&mut [0; UTF8_LEN]).len();
            let mut buf = [0; UTF8_LEN];
            letter.encode_utf8(&mut buf);
            // What does not fit is cut off, as every name here.
            let _ = backing_file.extend_from_slice(buf.get(..bytes).unwrap_or_default());
        }
        if !backing_file.is_empty() {
            backing_format = Name::from_slice(PARENT_FORMAT).unwrap_or_default();
        }
    }
    Ok(ImageInfo {
        format: Format::Vhd,
        virtual_size: image.virtual_size(),
        cluster_size: image.header.map(|header| u64::from(header.block_size())),
        dirty: false,
        encrypted: false,
        backing_file,
        backing_format,
        luks: None,
        qcow2: None,
        vmdk: None,
    })
}

/// Resizes it.
pub(crate) fn resize<D: Disk>(
    disk: &mut D,
    (image, request): (&Image, &Request),
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let own = scratch.get_mut(..instar_planner::SCRATCH_LEN).unwrap_or_default();
    let plan = vhd::plan_resize(&mut OnDisk(disk), image, request, own)?;
    plan.run(&mut OnDisk(disk), own)?;
    Ok(ResizeOutcome {
        format: Format::Vhd,
        action: plan.action,
        old_virtual_size: plan.old_virtual_size,
        new_virtual_size: plan.new_virtual_size,
        file_size_before: disk.len(),
        file_size_after: plan.file_size_after,
        preallocate: plan.preallocate,
        data_file_size_after: None,
        extents_after: None,
    })
}

/// Lays out a new image of at least `size` bytes. Returns its virtual size, and how long the file shall be.
pub(crate) fn create<D: Disk>(
    disk: &mut D,
    (request, size): (&CreateRequest, u64),
    scratch: &mut [u8],
) -> Result<(u64, u64), OpError> {
    let (options, identity) = (&request.vhd, &request.identity);
    let planned = vhd::create::New::plan(size, options.fixed, options.force_size, identity);
    let new = planned.map_err(|_| Refusal::CreateVhdSize)?;
    if request.qcow2.preallocation == Preallocation::Metadata {
        return Err(ResizeError::RawPreallocationMetadata.into());
    }
    Ok((new.virtual_size(), new.run(&mut OnDisk(disk), scratch)?))
}

/// Opens an image whose footer in front may be damaged: the one at the end will do. Says whether it is.
fn open_damaged<R: ReadAt>(disk: &mut R) -> Result<(Image, bool), OpError> {
    let (head, tail) = ends(disk)?;
    match open_by(disk, &head, &tail) {
        Err(OpError::Image(e @ (ImageError::VhdNone | ImageError::VhdChecksum))) => {
            let footer = Footer::from(tail);
            if !footer.is_footer() || !footer.is_sealed() || footer.is_fixed() {
                return Err(e.into());
            }
            Ok((open_by(disk, &tail, &tail)?, true))
        }
        other => Ok((other?, false)),
    }
}

#[cfg(test)]
mod tests;
