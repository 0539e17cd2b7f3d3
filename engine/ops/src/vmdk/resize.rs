//! Resizing a VMDK image.

use super::{Vmdk, sparse};
use crate::{Companions, Disk, OpError, Refusal, ResizeOutcome};
use instar_planner::Request;

/// Resizes the image on `disk`, whose file is a `kind`.
pub(crate) fn resize<D: Disk>(
    disk: &mut D,
    _companions: &mut Companions<'_, '_>,
    (kind, request): (Vmdk, &Request),
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    match kind {
        Vmdk::Sparse(header) => sparse::resize(disk, &header, request, scratch),
        Vmdk::Text => Err(Refusal::Vmdk.into()),
    }
}
