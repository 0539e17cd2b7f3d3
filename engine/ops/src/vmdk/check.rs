//! Checking a VMDK image, far beyond what `qemu-img` looks at.

use super::info::usable;
use super::{Vmdk, descriptor, header, is_compressed};
use crate::{CheckFinding, CheckReport, Damage, Disk, Format, OpError, Refusal, Repair};
use instar_formats::ImageError;
use instar_formats::vmdk::{Descriptor, EMBEDDED_LEN, Extent, SECTOR, SparseHeader, TEXT_LEN};
use instar_planner::PlanError;
use instar_planner::vmdk::walk::{Finding, whole};

/// Checks the image on `disk`, whose file is a `kind`. There is nothing to repair: what is wrong could be so in
/// more than one way.
///
/// # Errors
/// A repair was asked for; the image makes no sense; the device's.
pub(crate) fn check(
    disk: &mut dyn Disk,
    extents: &mut [&mut dyn Disk],
    (kind, what): (Vmdk, Repair),
    scratch: &mut [u8],
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<CheckReport, OpError> {
    if what != Repair::Nothing {
        return Err(Refusal::NoChecks.into());
    }
    let mut report = CheckReport { format: Format::Vmdk, ..CheckReport::new(0) };
    let mut see = |what| {
        report.corruptions = report.corruptions.saturating_add(1);
        // As many as anybody reads.
        if report.corruptions <= MOST {
            findings(CheckFinding::Damage { what, fixed: false });
        }
    };
    let (mut complete, mut end) = (true, 0);
    match kind {
        Vmdk::Sparse(header) => {
            let (text, scratch) = scratch.split_at_mut_checked(EMBEDDED_LEN).unwrap_or_default();
            said(&descriptor(disk, kind, text)?, &header, &mut see)?;
            let found = extent(disk, &header, scratch, &mut see)?;
            (complete, end) = (found.complete, found.end);
        }
        Vmdk::Text => {
            let (text, scratch) = scratch.split_at_mut_checked(TEXT_LEN).unwrap_or_default();
            let text = descriptor(disk, kind, text)?;
            let mut files = extents.iter_mut();
            for (line, n) in text.extents().zip(0..) {
                let file = files.next().ok_or(Refusal::ExtentsClosed)?;
                complete &= part(&mut **file, (&usable(line?)?, n), scratch, &mut see)?;
            }
        }
    }
    report.check_errors = u64::from(!complete);
    report.image_end_offset = end;
    Ok(report)
}

/// Most findings that are told one by one.
const MOST: u64 = 100_000;

/// Checks an extent with a file of its own. Whether all of it could be.
fn part(
    file: &mut dyn Disk,
    (line, number): (&Extent<'_>, u64),
    scratch: &mut [u8],
    see: &mut dyn FnMut(Damage),
) -> Result<bool, OpError> {
    if line.kind.is_flat() {
        let bytes = line.offset.saturating_add(line.sectors).saturating_mul(SECTOR);
        if file.len() < bytes {
            see(Damage::VmdkFlatShort { extent: number, bytes });
        }
        return Ok(true);
    }
    let header = header(file)?;
    if header.capacity != line.sectors {
        see(Damage::VmdkDescriptorSize { said: line.sectors, has: header.capacity });
    }
    Ok(extent(file, &header, scratch, see)?.complete)
}

/// Compares an extent with the descriptor in it.
fn said(text: &Descriptor<'_>, header: &SparseHeader, see: &mut dyn FnMut(Damage)) -> Result<(), ImageError> {
    let mut total = 0_u64;
    for extent in text.extents() {
        total = total.saturating_add(extent?.sectors);
    }
    if total != header.capacity {
        see(Damage::VmdkDescriptorSize { said: total, has: header.capacity });
    }
    Ok(())
}

/// How far a sparse extent was checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Whether all of it could be.
    complete: bool,
    /// Where it ends in its file, in bytes; 0 if that is not known.
    end: u64,
}

/// Checks a sparse extent.
pub(super) fn extent(
    disk: &mut dyn Disk,
    header: &SparseHeader,
    scratch: &mut [u8],
    see: &mut dyn FnMut(Damage),
) -> Result<Seen, OpError> {
    const UNKNOWN: Seen = Seen { complete: true, end: 0 };
    if header.unclean {
        see(Damage::VmdkUnclean);
    }
    let walk = match whole(header, disk.len()) {
        Ok(walk) => walk,
        Err(ImageError::VmdkDirectoryOffset { sector }) => {
            see(Damage::VmdkDirectory { sector });
            return Ok(UNKNOWN);
        }
        Err(ImageError::VmdkOverlap { sector }) => {
            see(Damage::VmdkOverlap { sector });
            return Ok(UNKNOWN);
        }
        Err(other) => return Err(other.into()),
    };
    let ran = walk.run::<_, PlanError>(disk, scratch, &mut |finding| see(damage(finding)));
    match ran {
        // A compressed grain is as long as its own head says.
        Ok(_) if is_compressed(header) => Ok(UNKNOWN),
        Ok((counts, _)) => {
            let end = counts.metadata_end.max(counts.grain_end).saturating_mul(SECTOR);
            Ok(Seen { complete: counts.complete, end })
        }
        Err(PlanError::Image(ImageError::VmdkOverlap { sector })) => {
            see(Damage::VmdkOverlap { sector });
            Ok(UNKNOWN)
        }
        Err(other) => Err(other.into()),
    }
}

const fn damage(finding: Finding) -> Damage {
    match finding {
        Finding::NoTable { redundant: false, index } => Damage::VmdkNoTable { index },
        Finding::NoTable { redundant: true, index } => Damage::VmdkNoRedundantTable { index },
        Finding::Table { redundant: false, index, sector } => Damage::VmdkTable { index, sector },
        Finding::Table { redundant: true, index, sector } => Damage::VmdkRedundantTable { index, sector },
        Finding::Grain { grain, sector } => Damage::VmdkGrain { grain, sector },
        Finding::Shared { grain, sector } => Damage::VmdkShared { grain, sector },
        Finding::Differs { grain, sector } => Damage::VmdkDiffers { grain, sector },
    }
}
