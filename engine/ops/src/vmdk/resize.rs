//! Resizing a VMDK image.

use super::{Vmdk, sparse, split};
use crate::{Companions, Disk, OpError, ResizeOutcome};
use instar_planner::Request;

/// Resizes the image on `disk`, whose file is a `kind`.
pub(crate) fn resize(
    disk: &mut dyn Disk,
    companions: &mut Companions<'_, '_>,
    (kind, request): (Vmdk, &Request),
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    match kind {
        Vmdk::Sparse(header) => sparse::resize(disk, &header, request, scratch),
        Vmdk::Text => split::resize(disk, companions.extents, request, scratch),
    }
}
