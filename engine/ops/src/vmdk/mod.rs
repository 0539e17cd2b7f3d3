//! The operations on VMDK images.

mod check;
mod create;
mod info;
mod resize;
mod sparse;
mod split;
#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "tests")]
mod tests;

pub(crate) use check::check;
pub(crate) use create::create;
pub use create::{new_extent_name, new_extents, next_extent_name};
pub(crate) use info::info;
pub(crate) use resize::resize;

use crate::{OpError, ReadAt};
use instar_formats::ImageError;
use instar_formats::io::IoError;
use instar_formats::vmdk::footer::FOOTER_LEN;
use instar_formats::vmdk::header::{GD_AT_END, HEADER_LEN, MAGIC};
use instar_formats::vmdk::{Descriptor, EMBEDDED_LEN, SparseHeader, TEXT_LEN, footer};

/// The descriptor of an extent is in its second sector, whatever its header says: QEMU looks nowhere else.
const EMBEDDED_AT: u64 = HEADER_LEN as u64;

/// What the file of a VMDK image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vmdk {
    /// A sparse extent with the descriptor in it.
    Sparse(SparseHeader),
    /// A descriptor, whose extents have files of their own.
    Text,
}

/// Opens the image on `disk`, and says what its file is.
///
/// # Errors
/// The header makes no sense, there is no descriptor, or the device's.
pub(crate) fn open<R: ReadAt + ?Sized>(disk: &mut R) -> Result<Vmdk, OpError> {
    let mut head = [0; HEADER_LEN];
    disk.read_at(0, &mut head)?;
    if !head.starts_with(MAGIC) {
        return if head.starts_with(b"COWD") { Err(ImageError::VmdkType.into()) } else { Ok(Vmdk::Text) };
    }
    let header = header(disk)?;
    if header.capacity == 0 {
        return Err(ImageError::VmdkType.into());
    }
    Ok(Vmdk::Sparse(header))
}

/// The header of the sparse extent on `disk`, which may be at its end.
///
/// # Errors
/// It makes no sense; the device's.
pub(crate) fn header<R: ReadAt + ?Sized>(disk: &mut R) -> Result<SparseHeader, OpError> {
    let mut head = [0; HEADER_LEN];
    disk.read_at(0, &mut head)?;
    if !head.starts_with(MAGIC) {
        return Err(ImageError::VmdkNotSparse.into());
    }
    let header = SparseHeader::parse(&head, disk.len())?;
    if header.directory != GD_AT_END {
        return Ok(header);
    }
    let at = disk.len().checked_sub(FOOTER_LEN as u64).ok_or(ImageError::VmdkFooter)?;
    let mut tail = [0; FOOTER_LEN];
    disk.read_at(at, &mut tail)?;
    Ok(footer::parse(&tail, disk.len())?)
}

/// The descriptor of the image on `disk`, in `buf`, which has room for [`TEXT_LEN`] bytes.
///
/// # Errors
/// It does not identify the disk; the device's.
pub(crate) fn descriptor<'b, R: ReadAt + ?Sized>(
    disk: &mut R,
    kind: Vmdk,
    buf: &'b mut [u8],
) -> Result<Descriptor<'b>, OpError> {
    let text = match kind {
        Vmdk::Sparse(_) => embedded(disk, buf)?,
        Vmdk::Text => {
            let len = usize::try_from(disk.len()).unwrap_or(usize::MAX).min(TEXT_LEN).min(buf.len());
            let text = buf.get_mut(..len).unwrap_or_default();
            disk.read_at(0, text)?;
            &*text
        }
    };
    let descriptor = Descriptor::new(text);
    if kind == Vmdk::Text {
        descriptor.create_type()?;
    }
    descriptor.cid()?;
    descriptor.parent_cid()?;
    Ok(descriptor)
}

fn embedded<'b, R: ReadAt + ?Sized>(disk: &mut R, buf: &'b mut [u8]) -> Result<&'b [u8], IoError> {
    let text = buf.get_mut(..EMBEDDED_LEN).unwrap_or_default();
    disk.read_at(EMBEDDED_AT, text)?;
    Ok(text)
}

/// Whether the grains of an extent are compressed.
pub(crate) const fn is_compressed(header: &SparseHeader) -> bool {
    header.is_compressed()
}
