//! The operations on VHDX images.

mod check;
mod create;

use crate::resize::OnDisk;
use crate::{
    CheckFinding, Damage, Disk, Format, Identity, ImageError, ImageInfo, Name, OpError, ReadAt, ResizeOutcome,
};
use instar_formats::vhdx::Image;
use instar_planner::Request;
use instar_planner::vhdx::{Guids, Log, Replay, log, plan_resize};

pub(crate) use check::check;
pub(crate) use create::create;

const _: () = assert!(instar_planner::vhdx::SCRATCH_LEN <= crate::SCRATCH_LEN);

/// Opens the image, whose log must have nothing to be replayed. As for QEMU, a log without a valid entry has
/// nothing, whatever the header says.
fn open<R: ReadAt>(disk: &mut R) -> Result<(Image, Log), OpError> {
    match log(disk)? {
        Log::Dirty(_) => Err(ImageError::VhdxLogDirty.into()),
        log => Ok((Image::open(disk).map_err(instar_planner::PlanError::from)?, log)),
    }
}

/// Describes the image.
pub(crate) fn info<R: ReadAt>(disk: &mut R) -> Result<ImageInfo, OpError> {
    let (image, _) = open(disk)?;
    Ok(ImageInfo {
        format: Format::Vhdx,
        virtual_size: image.virtual_size(),
        cluster_size: Some(image.metadata.block_size),
        dirty: false,
        encrypted: false,
        backing_file: Name::new(),
        backing_format: Name::new(),
        luks: None,
        qcow2: None,
        vmdk: None,
    })
}

/// Replays the log, if there is something to be replayed, and says so. Returns how long the file is then.
pub(crate) fn replay<D: Disk>(
    disk: &mut D,
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<Option<u64>, OpError> {
    match log(disk)? {
        Log::Dirty(replay) => {
            replay.check(disk)?;
            findings(CheckFinding::Damage { what: Damage::VhdxLog, fixed: true });
            run_replay(disk, &replay).map(Some)
        }
        Log::Empty | Log::Lost => Ok(None),
    }
}

fn run_replay<D: Disk>(disk: &mut D, replay: &Replay) -> Result<u64, OpError> {
    Ok(replay.run(&mut OnDisk(disk))?)
}

/// Resizes it; its log is empty.
pub(crate) fn resize<D: Disk>(
    disk: &mut D,
    (request, identity): (&Request, &Identity),
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let (image, log) = open(disk)?;
    if log == Log::Lost {
        return Err(ImageError::VhdxLogLost.into());
    }
    let len = disk.len();
    let plan = plan_resize(disk, (&image, len), request, scratch)?;
    let guids = Guids::random(&identity.random);
    let file_size_after = plan.run(&mut OnDisk(disk), &guids, scratch)?;
    Ok(ResizeOutcome {
        format: Format::Vhdx,
        action: plan.action,
        old_virtual_size: plan.old_virtual_size,
        new_virtual_size: plan.new_virtual_size,
        file_size_before: len,
        file_size_after,
        preallocate: plan.preallocate,
        data_file_size_after: None,
        extents_after: None,
    })
}
