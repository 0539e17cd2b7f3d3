//! The operations on QED images.

use crate::chain::Chain;
use crate::resize::OnDisk;
use crate::{
    CheckReport, Companions, Disk, Format, ImageInfo, Name, OpError, ReadAt, Refusal, Repair, ResizeAction,
    ResizeOutcome,
};
use instar_formats::io::IoError;
use instar_formats::qed::{Header, features};
use instar_planner::{Backing, Request, qed};

/// What the backing file of an image is said to be that says only that it must not be probed.
const NOT_PROBED: &[u8] = b"raw";

/// Describes the image with this header. As for `qemu-img`, one that asks to be checked is not dirty.
pub(crate) fn info<R: ReadAt>(disk: &mut R, header: &Header) -> Result<ImageInfo, IoError> {
    let raw = header.backing_len > 0 && header.has(features::NO_PROBE);
    Ok(ImageInfo {
        format: Format::Qed,
        virtual_size: header.image_size,
        cluster_size: Some(header.cluster_size),
        dirty: false,
        encrypted: false,
        backing_file: crate::info::name(disk, header.backing_offset, header.backing_len)?,
        backing_format: Name::from_slice(if raw { NOT_PROBED } else { &[] }).unwrap_or_default(),
        luks: None,
        qcow2: None,
        vmdk: None,
    })
}

/// Checks it, and repairs what can be repaired if anything is to be: QED makes no difference between the
/// ways. Like `qemu-img`, it counts what it finds and tells no more of it.
///
/// A file with more clusters than `scratch` has bits cannot be checked.
pub(crate) fn check<D: Disk>(
    disk: &mut D,
    header: &Header,
    what: Repair,
    scratch: &mut [u8],
) -> Result<CheckReport, IoError> {
    let mut disk = OnDisk(disk);
    let mut fixed = 0;
    if what != Repair::Nothing {
        fixed = qed::repair(&mut disk, header, scratch)?.invalid;
    }
    let counts = qed::walk(&mut disk, header, scratch, &mut |_, _, _| Ok(()))?;
    let total = header.image_size.div_ceil(header.cluster_size.max(1));
    Ok(CheckReport {
        format: Format::Qed,
        check_errors: u64::from(!counts.complete),
        corruptions: counts.invalid.saturating_add(counts.shared),
        leaks: counts.leaks,
        corruptions_fixed: fixed.saturating_sub(counts.invalid),
        allocated_clusters: counts.allocated,
        fragmented_clusters: counts.fragmented,
        ..CheckReport::new(total)
    })
}

/// Resizes it.
pub(crate) fn resize<D: Disk>(
    disk: &mut D,
    companions: &mut Companions<'_, '_>,
    (header, request): (&Header, &Request),
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let overlay = header.backing_len > 0;
    if overlay && companions.backing.is_empty() && !companions.detached {
        return Err(Refusal::BackingClosed.into());
    }
    let behind = match companions.backing {
        [] => None,
        ref mut layers => Some(Chain::open(layers, scratch)?.virtual_size()),
    };
    let plan = qed::plan_resize(header, request, behind, scratch)?;
    if companions.detached && overlay && plan.action == ResizeAction::Grow {
        return Err(Refusal::GrowDetached.into());
    }
    plan.run(&mut OnDisk(disk), scratch)?;
    Ok(ResizeOutcome {
        format: Format::Qed,
        action: plan.action,
        old_virtual_size: plan.old_virtual_size,
        new_virtual_size: plan.new_virtual_size,
        file_size_before: disk.len(),
        file_size_after: disk.len(),
        preallocate: None,
        data_file_size_after: None,
        extents_after: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MemDisk, fresh_qed};
    use crate::{CheckRequest, InfoRequest, Layer, ResizeRequest, SCRATCH_LEN, SizeRequest};
    use instar_formats::qed::at;

    extern crate std;

    fn described(disk: &mut MemDisk) -> ImageInfo {
        crate::info(disk, &InfoRequest::default(), &mut std::vec![0; SCRATCH_LEN], &mut |_| {}).unwrap()
    }

    #[test]
    fn what_there_is_to_say() {
        let info = described(&mut fresh_qed(b"base"));
        assert_eq!(
            (info.format, info.virtual_size, info.cluster_size),
            (Format::Qed, 4 << 20, Some(1 << 16))
        );
        assert_eq!(
            (info.backing_file.as_slice(), info.backing_format.as_slice()),
            (&b"base"[..], &b"raw"[..])
        );
        let mut probed = fresh_qed(b"base");
        probed.put(at::FEATURES, &[1]);
        assert!(described(&mut probed).backing_format.is_empty());
        assert!(described(&mut fresh_qed(b"")).backing_file.is_empty());
    }

    #[test]
    fn an_empty_image_is_clean() {
        let mut scratch = std::vec![0; SCRATCH_LEN];
        let report =
            crate::check(&mut fresh_qed(b""), &CheckRequest::default(), &mut scratch, &mut |_| {}).unwrap();
        assert_eq!(
            (report.format, report.total_clusters, report.corruptions, report.leaks),
            (Format::Qed, 64, 0, 0)
        );
    }

    #[test]
    fn a_longer_backing_file_keeps_an_image_from_growing() {
        let grown = |base: usize| {
            let (mut disk, mut below) = (fresh_qed(b"base"), MemDisk::new(base));
            let mut layers = [Layer { file: &mut below, data_file: None, format: Format::Raw }];
            let mut companions = Companions { backing: &mut layers, ..Companions::default() };
            let request = ResizeRequest {
                format: None,
                size: SizeRequest::Grow(1 << 20),
                shrink: false,
                preallocation: crate::Preallocation::Off,
                identity: Default::default(),
            };
            let mut scratch = std::vec![0; SCRATCH_LEN];
            let alone = crate::resize(&mut disk, &request, &mut scratch);
            assert_eq!(alone, Err(Refusal::BackingClosed.into()));
            let done = crate::resize_with(&mut disk, &mut companions, &request, &mut scratch);
            done.map(|outcome| (outcome.new_virtual_size, described(&mut disk).virtual_size))
        };
        assert_eq!(grown(4 << 20), Ok((5 << 20, 5 << 20)));
        assert_eq!(grown((4 << 20) + 1), Err(crate::ResizeError::QedBackingLonger.into()));
    }
}
