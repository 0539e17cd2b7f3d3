//! Creating a VMDK image.

use super::sparse::sectors;
use crate::resize::OnDisk;
use crate::{CreateRequest, Disk, OpError, Refusal, VmdkSubformat};
use instar_formats::vmdk::compose::{Extents, New, compose};
use instar_formats::vmdk::header::flags;
use instar_formats::vmdk::{EMBEDDED_LEN, Kind, NO_PARENT};
use instar_planner::{ResizeError, vmdk};

/// Lays the image out on `disk`, which is empty, and returns the length that its file must be given.
pub(crate) fn create<D: Disk>(
    disk: &mut D,
    _extents: &mut [&mut dyn Disk],
    request: &CreateRequest,
    scratch: &mut [u8],
) -> Result<u64, OpError> {
    let (kind, extents) = match request.vmdk.subformat {
        VmdkSubformat::MonolithicSparse => (Kind::Sparse, Extents::Own),
        _ => return Err(Refusal::CreateFormat.into()),
    };
    let (buf, scratch) = scratch.split_at_mut_checked(EMBEDDED_LEN).unwrap_or_default();
    let text = compose(&described(request, kind, extents), buf).ok_or(ResizeError::VmdkDescriptor)?;
    let mut bits = flags::NEWLINES | flags::REDUNDANT;
    if request.vmdk.zeroed_grain {
        bits |= flags::ZEROED;
    }
    Ok(vmdk::create::run(&mut OnDisk(disk), sectors(request.size), bits, text, scratch)?)
}

fn described(request: &CreateRequest, kind: Kind, extents: Extents) -> New<'_> {
    let options = &request.vmdk;
    let (cid, _) = request
        .identity
        .random
        .split_first_chunk()
        .map_or((0, &[][..]), |(cid, rest)| (u32::from_le_bytes(*cid), rest));
    New {
        // That of no parent is nobody's.
        cid: if cid == NO_PARENT { 0 } else { cid },
        parent_cid: options.parent_cid.unwrap_or(NO_PARENT),
        parent: request.qcow2.links.backing_file.as_bytes(),
        create_type: options.subformat.name().as_bytes(),
        name: options.name.as_bytes(),
        kind,
        extents,
        sectors: sectors(request.size),
        hardware: options.hardware_version(),
        tools: options.tools_version(),
        adapter: options.adapter.name().as_bytes(),
    }
}
