//! Checking: what `qemu-img check` looks at, and everything else that can be told from the file.

use super::open;
use crate::resize::OnDisk;
use crate::{CheckFinding, CheckReport, Damage, Disk, Format, OpError, Repair};
use instar_formats::vhdx::{Image, both_headers, current};
use instar_planner::vhdx::{Log, Parts, Wrong, copy_table, repair_headers, same_tables, survey};

/// Most findings that are told. All are counted.
const MAX_FINDINGS: u64 = 100_000;

/// Findings, counted and told.
struct Teller<'f> {
    report: CheckReport,
    findings: &'f mut dyn FnMut(CheckFinding),
}

impl Teller<'_> {
    fn find(&mut self, what: Damage, fixed: bool) {
        let count = if fixed { &mut self.report.corruptions_fixed } else { &mut self.report.corruptions };
        *count = count.saturating_add(1);
        if *count <= MAX_FINDINGS {
            (self.findings)(CheckFinding::Damage { what, fixed });
        }
    }
}

/// Checks the image, and repairs what is to be repaired: it replays the log, and makes headers and region tables
/// copies of each other again.
///
/// # Errors
/// As for QEMU, an image whose log is to be replayed is not opened unless it is to be repaired.
pub(crate) fn check<D: Disk>(
    disk: &mut D,
    what: Repair,
    scratch: &mut [u8],
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<CheckReport, OpError> {
    let repairs = what != Repair::Nothing;
    let replayed = if repairs { super::replay(disk, &mut |_| {})? } else { None };
    let file_len = replayed.unwrap_or(disk.len());
    let (image, log) = open(disk)?;
    let report = CheckReport { format: Format::Vhdx, ..CheckReport::new(0) };
    let mut teller = Teller { report, findings };
    teller.report.corruptions_fixed = u64::from(replayed.is_some());
    if log == Log::Lost {
        teller.find(Damage::VhdxLogLost, false);
    }
    let mut parts = Parts::carve(scratch)?;
    headers(disk, repairs, &mut teller)?;
    if !same_tables(disk, &mut parts)? {
        if repairs {
            copy_table(&mut OnDisk(disk), &mut parts)?;
        }
        teller.find(Damage::VhdxRegionTables, repairs);
    }
    places(&image, file_len, &mut teller);
    let found = survey(disk, &image, file_len, &mut parts, &mut |number, entry, wrong| {
        teller.find(damage(number, entry.offset(), wrong), false);
    })?;
    teller.report.image_end_offset =
        image.regions().map(|region| region.end()).fold(found.end, core::cmp::Ord::max);
    Ok(teller.report)
}

/// That both headers are valid. One that is not is a copy of the other after the repair.
fn headers<D: Disk>(disk: &mut D, repairs: bool, teller: &mut Teller<'_>) -> Result<(), OpError> {
    let headers = both_headers(disk)?;
    if headers.iter().all(Option::is_some) {
        return Ok(());
    }
    let (header, slot) = current(&headers)?;
    if repairs {
        repair_headers(&mut OnDisk(disk), &header, slot)?;
    }
    teller.find(Damage::VhdxHeader { number: if slot == 0 { 2 } else { 1 } }, repairs);
    Ok(())
}

/// That log and regions are whole MiB, and in the file; and that the disk is whole sectors.
fn places(image: &Image, file_len: u64, teller: &mut Teller<'_>) {
    for region in image.regions() {
        if !region.is_aligned() || region.end() > file_len {
            teller.find(Damage::VhdxRegion { offset: region.offset, len: region.len }, false);
        }
    }
    let metadata = &image.metadata;
    if !metadata.disk_size.is_multiple_of(metadata.logical_sector) {
        teller.find(Damage::VhdxDiskSize { bytes: metadata.disk_size }, false);
    }
    if !matches!(metadata.physical_sector, 512 | 4096) {
        teller.find(Damage::VhdxPhysicalSector { bytes: metadata.physical_sector }, false);
    }
}

const fn damage(entry: u64, offset: u64, wrong: Wrong) -> Damage {
    match wrong {
        Wrong::State => Damage::VhdxState { entry },
        Wrong::Reserved => Damage::VhdxReserved { entry },
        Wrong::PastEnd => Damage::VhdxPastEnd { entry, offset },
        Wrong::OverRegion(_) => Damage::VhdxOverRegion { entry, offset },
        Wrong::OverBlock => Damage::VhdxOverBlock { entry, offset },
    }
}
