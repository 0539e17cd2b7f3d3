//! Images of one file: a sparse extent with the descriptor in it.

use super::{EMBEDDED_AT, Vmdk, descriptor, is_compressed};
use crate::resize::OnDisk;
use crate::{Disk, Format, OpError, ResizeAction, ResizeOutcome};
use instar_formats::vmdk::edit::{Edit, rewrite};
use instar_formats::vmdk::{Descriptor, EMBEDDED_LEN, NO_PARENT, SECTOR, SPLIT_SECTORS, SparseHeader};
use instar_planner::vmdk::{grow, mend, shrink, text};
use instar_planner::{Request, ResizeError};

/// Resizes it.
pub(super) fn resize(
    disk: &mut dyn Disk,
    header: &SparseHeader,
    request: &Request,
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let (text_buf, rest) = scratch.split_at_mut_checked(EMBEDDED_LEN).unwrap_or_default();
    let (new_buf, scratch) = rest.split_at_mut_checked(EMBEDDED_LEN).unwrap_or_default();
    let said = descriptor(disk, Vmdk::Sparse(*header), text_buf)?;
    if said.parent_cid()? != NO_PARENT {
        return Err(ResizeError::VmdkParent.into());
    }
    if is_compressed(header) {
        return Err(ResizeError::VmdkStream.into());
    }
    let old = header.capacity.saturating_mul(SECTOR);
    let new = sectors(request.resolve(old)?);
    let action = ResizeAction::between(header.capacity, new);
    // What a resize that was cut short has left to do.
    let done = action == ResizeAction::NoOp && said_size(&said)? == header.capacity;
    let new_text: &[u8] = if done { said.text() } else { said_anew(&said, header, new, new_buf)? };
    let old_text = said.text().len();
    let len = disk.len();
    let disk = &mut OnDisk(disk);
    let (new_header, file_size_after) = match action {
        ResizeAction::NoOp => {
            text::replace(disk, EMBEDDED_AT, old_text, new_text)?;
            (*header, len)
        }
        ResizeAction::Grow => {
            let plan = grow::plan(disk, header, new, request.preallocation, scratch)?;
            let len = plan.run(disk, scratch)?;
            text::replace(disk, EMBEDDED_AT, old_text, new_text)?;
            (*plan.header(), len)
        }
        ResizeAction::Shrink => {
            let plan = shrink::plan(disk, header, new, scratch)?;
            text::replace(disk, EMBEDDED_AT, old_text, new_text)?;
            plan.commit(disk)?;
            (*plan.header(), plan.settle(disk, scratch)?)
        }
    };
    mend(disk, (&new_header, header.tables(), file_size_after), scratch)?;
    Ok(ResizeOutcome {
        format: Format::Vmdk,
        action,
        old_virtual_size: old,
        new_virtual_size: new.saturating_mul(SECTOR),
        file_size_before: len,
        file_size_after,
        preallocate: None,
        data_file_size_after: None,
        extents_after: None,
    })
}

/// A size in sectors, rounded up as for a new image.
pub(super) const fn sectors(bytes: u64) -> u64 {
    bytes.div_ceil(SECTOR)
}

/// How many sectors the descriptor says that the extent has.
fn said_size(text: &Descriptor<'_>) -> Result<u64, OpError> {
    let mut extents = text.extents();
    match (extents.next(), extents.next()) {
        (Some(extent), None) => Ok(extent?.sectors),
        _ => Err(ResizeError::VmdkExtents.into()),
    }
}

/// The text for another size.
fn said_anew<'b>(
    old: &Descriptor<'_>,
    header: &SparseHeader,
    sectors: u64,
    buf: &'b mut [u8],
) -> Result<&'b [u8], OpError> {
    said_size(old)?;
    let edit = Edit { kept: 1, last: sectors, added: 0, added_last: 0, split: SPLIT_SECTORS, total: sectors };
    let room = header.descriptor_len.saturating_mul(SECTOR).min(buf.len() as u64);
    let room = if header.descriptor == EMBEDDED_AT / SECTOR { room } else { 0 };
    let buf = buf.get_mut(..usize::try_from(room).unwrap_or(0)).unwrap_or_default();
    rewrite(old, &edit, buf).ok_or(ResizeError::VmdkDescriptor.into())
}
