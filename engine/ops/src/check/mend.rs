//! Resizing an image that was not closed properly: its refcounts may be stale, and are repaired first.

use super::longer::Longer;
use super::repair::{self, Done};
use super::snapshots;
use crate::open::{Opened, open};
use crate::{
    CheckFinding, Companions, Disk, Format, OpError, ReadAt, Refusal, Repair, ResizeOutcome, ResizeRequest,
    resize_with,
};
use instar_formats::qcow2::{Extensions, Incompatible};

/// As [`resize_with`], of an image that may have its dirty bit set, or a log to be replayed. It is repaired first, as QEMU
/// does when it opens one for writing, and stays repaired if the resize is refused then. What is found
/// goes to `findings`.
///
/// # Errors
/// As [`resize_with`], and [`Refusal::DirtyBeyondRepair`].
pub fn resize_mended<D: Disk>(
    disk: &mut D,
    companions: &mut Companions<'_, '_>,
    request: &ResizeRequest,
    scratch: &mut [u8],
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<ResizeOutcome, OpError> {
    let file_size_before = disk.len();
    let mut disk = Longer::new(disk);
    mend(&mut disk, request.format, companions.unlocked, scratch, findings)?;
    let outcome = resize_with(&mut disk, companions, request, scratch)?;
    Ok(ResizeOutcome { file_size_before, ..outcome })
}

/// Repairs the image if it is dirty and not marked corrupt, which keeps everybody from writing to it.
fn mend<D: Disk>(
    disk: &mut Longer<'_, D>,
    format: Option<Format>,
    unlocked: bool,
    scratch: &mut [u8],
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<(), OpError> {
    let image = open(disk, format)?;
    image.check_unlocked(unlocked)?;
    let header = match image {
        Opened::Qcow2(h) if h.has(Incompatible::DIRTY) && !h.has(Incompatible::CORRUPT) => h,
        Opened::Vhdx => {
            if let Some(len) = crate::vhdx::replay(disk, findings)? {
                disk.reach(len);
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    // What would keep the image from being opened is said before a byte of it changes.
    header.check_files()?;
    let mut extensions = Extensions::new(&header);
    while extensions.next(disk)?.is_some() {}
    snapshots::refuse_unreadable(disk, &header, scratch)?;
    findings(CheckFinding::Unclean);
    let Done { report, mut header, shown } = match repair::once(disk, header, Repair::All, scratch, findings)
    {
        Err(OpError::Refused(Refusal::CheckFailed)) => return Err(Refusal::DirtyBeyondRepair.into()),
        done => done?,
    };
    // Entries that cannot be right are for whoever meets them; refcounts that are wrong are not.
    if report.check_errors != 0 || shown.too_low != 0 || shown.overflow || shown.unwalked {
        return Err(Refusal::DirtyBeyondRepair.into());
    }
    Ok(repair::clear_bits(disk, &mut header, Incompatible::DIRTY)?)
}
