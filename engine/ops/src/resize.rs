//! Resizing.

use crate::chain::{Chain, Unpacker};
use crate::companions::Companions;
use crate::open::{Opened, open};
use crate::{Disk, Format, OpError, Refusal, ResizeOutcome, ResizeRequest};
use instar_formats::io::{IoError, ReadAt};
use instar_formats::qcow2::header::AUTOCLEAR_RAW;
use instar_formats::qcow2::{Header, Incompatible};
use instar_planner::{
    Backing, Patch, PlanError, Request, ResizeAction, Surroundings, Target, Unpack, qcow2, raw,
};

/// Resizes the image on `disk`, which has no other files; one that has is refused. Every refusal is
/// decided before the first write.
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
    companions: &mut Companions<'_, '_>,
    request: &ResizeRequest,
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let wanted = Request { size: request.size, shrink: request.shrink, preallocation: request.preallocation };
    let image = open(disk, request.format)?;
    image.check_unlocked(companions.unlocked)?;
    match image {
        Opened::Raw => resize_raw(disk, &wanted),
        Opened::Luks(header) => crate::luks::resize(&header, disk.len(), &wanted),
        Opened::Vmdk(kind) => crate::vmdk::resize(&mut *disk, companions, (kind, &wanted), scratch),
        Opened::Qed(header) => crate::qed::resize(disk, companions, (&header, &wanted), scratch),
        Opened::Vhd(image) => crate::vhd::resize(disk, (&image, &wanted), scratch),
        Opened::Vhdx => crate::vhdx::resize(disk, (&wanted, &request.identity), scratch),
        Opened::Qcow2(header) => {
            header.check_files()?;
            companions.complete(&header, &wanted)?;
            resize_qcow2(disk, companions, (&header, &wanted), scratch)
        }
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
        data_file_size_after: None,
        extents_after: None,
    })
}

impl Companions<'_, '_> {
    /// Refuses an image with files that nobody has opened: whoever holds them decides about that.
    /// Without its backing file an image does not grow: what the new area would have to hide is not
    /// known.
    fn complete(&self, header: &Header, request: &Request) -> Result<(), Refusal> {
        let overlay = header.backing_offset != 0 && header.backing_len > 0;
        if overlay && self.backing.is_empty() && !self.detached {
            return Err(Refusal::BackingClosed);
        }
        let old = header.virtual_size();
        if overlay && self.detached && request.resolve(old).is_ok_and(|new| new > old) {
            return Err(Refusal::GrowDetached);
        }
        if header.has(Incompatible::DATA_FILE) && self.data_file.is_none() {
            return Err(Refusal::DataFileClosed);
        }
        Ok(())
    }
}

fn resize_qcow2<D: Disk>(
    disk: &mut D,
    companions: &mut Companions<'_, '_>,
    (header, request): (&Header, &Request),
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let (own, rest) = scratch.split_at_mut_checked(instar_planner::SCRATCH_LEN).unwrap_or_default();
    // Who unpacks compressed clusters has the memory for it: the chain, if there is one.
    let (mut chain, mut unpacker) = match companions.backing {
        [] => (None, Some(Unpacker::new(rest))),
        ref mut layers => (Some(Chain::open(layers, rest)?), None),
    };
    if let Some(chain) = &chain {
        keyless(header, request, chain.virtual_size())?;
    }
    let mut data_file = companions.data_file.as_deref_mut().map(OnDisk);
    let done = {
        let mut around = Surroundings {
            backing: chain.as_mut().map(|chain| chain as &mut dyn Backing),
            data_file: data_file.as_mut().map(|file| file as &mut dyn Target),
            unpacker: unpacker.as_mut().map(|unpacker| unpacker as &mut dyn Unpack),
        };
        run(disk, (header, request), &mut around, own)
    };
    done.map_err(|error| match &chain {
        Some(chain) => chain.blame(error),
        None => error.into(),
    })
}

/// Refuses a grow of an encrypted overlay that would need its key: what a longer backing file (of
/// `behind` bytes) has in the last cluster would be copied, and version 2 has no clusters that are zeros.
fn keyless(header: &Header, request: &Request, behind: u64) -> Result<(), Refusal> {
    let (old, g) = (header.virtual_size(), header.geometry);
    let grows = request.resolve(old).is_ok_and(|new| new > old) && behind > old;
    let whole = header.version >= 3 && g.in_cluster(old) == 0;
    if header.crypt_method != 0 && grows && !whole { Err(Refusal::EncryptedFill) } else { Ok(()) }
}

fn run<D: Disk>(
    disk: &mut D,
    (header, request): (&Header, &Request),
    around: &mut Surroundings<'_>,
    scratch: &mut [u8],
) -> Result<ResizeOutcome, PlanError> {
    let plan = qcow2::plan_resize(disk, header, request, around, scratch)?;
    let behind = plan.reads_behind();
    if let Some(backing) = around.backing.as_mut().filter(|_| !behind.is_empty()) {
        backing.admit(behind)?;
    }
    let beside = around.data_file.is_some();
    let kept = plan.action == ResizeAction::NoOp && header.autoclear & AUTOCLEAR_RAW != 0;
    let file_size_after = plan.run(&mut OnDisk(disk), around, scratch)?;
    Ok(ResizeOutcome {
        format: Format::Qcow2,
        action: plan.action,
        old_virtual_size: plan.old_virtual_size,
        new_virtual_size: plan.new_virtual_size,
        file_size_before: disk.len(),
        file_size_after,
        preallocate: None,
        // As long as the disk, whatever it was before. A raw one is the disk, and keeps its length with it.
        data_file_size_after: (beside && !kept).then_some(plan.new_virtual_size),
        extents_after: None,
    })
}

/// A disk that a plan runs on.
pub(crate) struct OnDisk<'d, D: ?Sized>(pub &'d mut D);

impl<D: Disk + ?Sized> ReadAt for OnDisk<'_, D> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.0.read_at(offset, buf)
    }
}

impl<D: Disk + ?Sized> Target for OnDisk<'_, D> {
    fn apply(&mut self, patch: Patch<'_>) -> Result<(), IoError> {
        match patch {
            Patch::Write { offset, data } => self.0.write_at(offset, data),
            Patch::ZeroFill { offset, len, unmap } => self.0.zero_at(offset, len, unmap),
            Patch::Barrier => self.0.flush(),
        }
    }
}

#[cfg(test)]
mod tests;
