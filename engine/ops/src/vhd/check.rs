//! Checking a VHD image, which `qemu-img` does not do at all.
//!
//! Everything is looked at that a reader may go by: both footers and the header with their checksums, the
//! size of the table, the place of every block, and the bitmaps where they could keep data from being seen.

use super::{leftover, open_damaged};
use crate::resize::OnDisk;
use crate::{CheckFinding, CheckReport, Damage, Disk, Format, OpError, ReadAt, Repair};
use instar_formats::bytes::is_zero;
use instar_formats::io::IoError;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::vhd::{Footer, Header, Image, SECTOR, UNUSED, disk_type};
use instar_planner::vhd::{Overlaps, Survey, each_entry, mend, overlaps, survey, unmended};

/// Most findings that are told. All are counted.
const MAX_FINDINGS: u64 = 100_000;
/// Most blocks whose bitmaps are looked at: four times as many as 2040 GiB have where blocks are 2 MiB.
const MAX_BITMAPS: u64 = 1 << 22;
/// Bytes of the table read at a time.
const PIECE: usize = 256 << 10;

/// Findings, counted and told.
struct Teller<'f> {
    report: CheckReport,
    findings: &'f mut dyn FnMut(CheckFinding),
    repairs: bool,
}

impl Teller<'_> {
    fn find(&mut self, what: Damage, fixed: bool) {
        let report = &mut self.report;
        let count = match (what.is_leak(), fixed) {
            (false, false) => &mut report.corruptions,
            (false, true) => &mut report.corruptions_fixed,
            (true, false) => &mut report.leaks,
            (true, true) => &mut report.leaks_fixed,
        };
        *count = count.saturating_add(1);
        if *count <= MAX_FINDINGS {
            (self.findings)(CheckFinding::Damage { what, fixed });
        }
    }

    /// Tells of what a repair has repaired, if there is one.
    fn find_if(&mut self, is_wrong: bool, what: Damage) {
        if is_wrong {
            self.find(what, self.repairs);
        }
    }
}

/// Checks the image. A repair does what an interrupted resize has left undone, writes a footer again that is
/// damaged where the other one is not, and zeroes what is left behind the last block.
///
/// # Errors
/// What keeps QEMU from opening the image, but for a damaged footer in front.
pub(crate) fn check<D: Disk>(
    disk: &mut D,
    what: Repair,
    scratch: &mut [u8],
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<CheckReport, OpError> {
    let (image, head_damaged) = open_damaged(disk)?;
    let report = CheckReport {
        format: Format::Vhd,
        image_end_offset: image.file_end(),
        ..CheckReport::new(image.header.map_or(0, |header| header.blocks(image.virtual_size())))
    };
    let mut teller = Teller { report, findings, repairs: what == Repair::All };
    let Some(header) = &image.header else {
        check_fixed(disk, &image, &mut teller)?;
        return Ok(teller.report);
    };
    let found = survey(disk, header, image.footer.header_offset(), scratch)?;
    teller.report.allocated_clusters = found.allocated;
    teller.report.fragmented_clusters = found.fragmented;
    let apart = check_blocks(disk, (&image, header), &found, &mut teller, scratch)?;
    let blocks_fit = apart && found.check_end(&image).is_ok() && found.over_metadata.is_none();
    if footer_behind(disk, &image, found.end)? {
        teller.report.image_end_offset = found.end.saturating_add(SECTOR);
    }
    // Where blocks lie over each other or over metadata, nothing is written, and bitmaps may be anything.
    teller.repairs &= blocks_fit;
    check_structures(disk, &image, (head_damaged, &found), &mut teller)?;
    if blocks_fit && image.footer.disk_type() == disk_type::DYNAMIC {
        check_bitmaps(disk, &image, header, &mut teller, scratch)?;
        // A table that has lost its spare entries ends earlier.
        let found = match teller.repairs {
            true => survey(disk, &mended(&image, header), image.footer.header_offset(), scratch)?,
            false => found,
        };
        let zeroes = what != Repair::Nothing;
        if let Some(offset) = leftover::find(disk, &image, found.end, zeroes, scratch)? {
            teller.find(Damage::VhdLeftover { offset }, zeroes);
        }
    }
    Ok(teller.report)
}

/// The header as a repair leaves it.
fn mended(image: &Image, header: &Header) -> Header {
    let needed = u32::try_from(header.blocks(image.virtual_size())).unwrap_or(u32::MAX);
    header.with_table(header.table_offset(), needed)
}

/// Whether a footer like both others stands right behind the last structure, at the byte `end`: then a file that is
/// longer can be cut there.
fn footer_behind<R: ReadAt>(disk: &mut R, image: &Image, end: u64) -> Result<bool, IoError> {
    if image.tail != image.footer || image.trailer(end).is_none() {
        return Ok(false);
    }
    let mut sector = [0; Footer::LEN];
    disk.read_at(end, &mut sector)?;
    Ok(Footer::from(sector) == image.footer)
}

fn check_fixed<D: Disk>(disk: &mut D, image: &Image, teller: &mut Teller<'_>) -> Result<(), IoError> {
    let room = image.file_len.saturating_sub(SECTOR);
    let size = image.footer.current_size();
    if image.tail != image.footer {
        teller.find(Damage::VhdNoTrailer, false);
    } else if size != room {
        let mends = teller.repairs && unmended(image, image.virtual_size()).length;
        if mends {
            mend(&mut OnDisk(disk), image, image.virtual_size())?;
        }
        teller.find(Damage::VhdFixedLength { size, room }, mends);
    }
    Ok(())
}

/// Footers and header.
fn check_structures<D: Disk>(
    disk: &mut D,
    image: &Image,
    (head_damaged, found): (bool, &Survey),
    teller: &mut Teller<'_>,
) -> Result<(), IoError> {
    let Some(header) = &image.header else { return Ok(()) };
    if head_damaged && teller.repairs {
        disk.write_at(0, image.footer.bytes())?;
        disk.flush()?;
    }
    teller.find_if(head_damaged, Damage::VhdHeadDamaged);
    let needed = header.blocks(image.virtual_size());
    let entries = u64::from(header.entries());
    teller.find_if(!header.is_sealed(), Damage::VhdHeaderChecksum);
    teller.find_if(entries != needed, Damage::VhdEntries { entries, needed });
    // A block beyond the end of the file says nothing of what is there.
    let used = if found.check_end(image).is_ok() { found.end } else { 0 };
    let kind = image.footer.disk_type();
    if !matches!(kind, disk_type::DYNAMIC | disk_type::DIFFERENCING) {
        teller.find(Damage::VhdDiskType { kind: u64::from(kind) }, false);
    }
    let no_trailer = image.trailer(used).is_none();
    teller.find_if(no_trailer, Damage::VhdNoTrailer);
    if !no_trailer && image.tail != image.footer {
        let sealed = image.tail.is_sealed();
        teller.find_if(!sealed, Damage::VhdTrailerChecksum);
        teller.find_if(sealed, Damage::VhdFootersDiffer);
    }
    if teller.repairs {
        mend(&mut OnDisk(disk), image, found.end)?;
        let end = image.file_end().saturating_add(if no_trailer { SECTOR } else { 0 });
        teller.report.image_end_offset = end;
    }
    Ok(())
}

/// Where the blocks lie. Returns whether none lies over another one.
fn check_blocks<R: ReadAt>(
    disk: &mut R,
    (image, header): (&Image, &Header),
    found: &Survey,
    teller: &mut Teller<'_>,
    scratch: &mut [u8],
) -> Result<bool, IoError> {
    if found.check_end(image).is_err() {
        let piece = scratch.get_mut(..PIECE).unwrap_or_default();
        let all = 0..u64::from(header.entries());
        each_entry(disk, &mut Buffered::new(piece), header.table_offset(), all, &mut |block, entry| {
            let start = u64::from(entry).saturating_mul(SECTOR);
            if entry != UNUSED && start.saturating_add(header.stride()) > image.file_end() {
                teller.find(Damage::VhdPastEnd { block, sector: u64::from(entry) }, false);
            }
        })?;
    }
    if let Some((block, sector)) = found.over_metadata {
        teller.find(Damage::VhdOverMetadata { block, sector: u64::from(sector) }, false);
    }
    let entries = header.blocks(image.virtual_size()).min(u64::from(header.entries()));
    let overlaps = overlaps(disk, header, (entries, image.file_len), scratch)?;
    match overlaps {
        Overlaps::None => {}
        Overlaps::At(sector) => teller.find(Damage::VhdOverlap { sector }, false),
        Overlaps::Unknown => teller.report.check_errors = teller.report.check_errors.saturating_add(1),
    }
    Ok(overlaps == Overlaps::None)
}

/// Sectors with data that their block's bitmap says are not there: readers disagree about them. Not more than
/// [`MAX_BITMAPS`] blocks are looked at.
fn check_bitmaps<R: ReadAt>(
    disk: &mut R,
    image: &Image,
    header: &Header,
    teller: &mut Teller<'_>,
    scratch: &mut [u8],
) -> Result<(), IoError> {
    let (piece, rest) = scratch.split_at_mut_checked(PIECE).unwrap_or_default();
    let mut cursor = instar_planner::vhd::Cursor::new(
        piece,
        header.table_offset(),
        0..header.blocks(image.virtual_size()),
    );
    let mut looked_at = 0_u64;
    while let Some((block, entry)) = cursor.next(disk, |_| true)? {
        looked_at = looked_at.saturating_add(1);
        if looked_at > MAX_BITMAPS {
            return Ok(());
        }
        let mut hidden = Hidden { header, start: u64::from(entry).saturating_mul(SECTOR) };
        let used = image.virtual_size().saturating_sub(block.saturating_mul(u64::from(header.block_size())));
        let sectors = used.min(u64::from(header.block_size())) / SECTOR;
        if hidden.has_data(disk, sectors, rest)? {
            teller.find(Damage::VhdBitmap { block }, false);
        }
    }
    Ok(())
}

/// A block, whose bitmap may hide some of its sectors.
struct Hidden<'h> {
    header: &'h Header,
    start: u64,
}

impl Hidden<'_> {
    /// Whether one of the first `sectors` sectors is hidden, and has data.
    fn has_data<R: ReadAt>(&mut self, disk: &mut R, sectors: u64, buf: &mut [u8]) -> Result<bool, IoError> {
        let mut bitmap = [0; Footer::LEN];
        let mut done = 0;
        while done < sectors {
            disk.read_at(self.start.saturating_add(done / 8), &mut bitmap)?;
            let bits = (bitmap.len() as u64).saturating_mul(8).min(sectors.saturating_sub(done));
            for (byte, first) in bitmap.iter().zip((0..bits).step_by(8)) {
                let here = bits.saturating_sub(first).min(8);
                let all = 0xff_u8.checked_shl(u32::try_from(8_u64.saturating_sub(here)).unwrap_or(0));
                if byte & all.unwrap_or(0) == all.unwrap_or(0) {
                    continue;
                }
                let at = done.saturating_add(first).saturating_mul(SECTOR);
                if self.any(disk, at, (*byte, here), buf)? {
                    return Ok(true);
                }
            }
            done = done.saturating_add(bits);
        }
        Ok(false)
    }

    /// Looks at up to eight sectors from the byte `at` of the block's data on, those with a clear bit.
    fn any<R: ReadAt>(
        &self,
        disk: &mut R,
        at: u64,
        (bits, count): (u8, u64),
        buf: &mut [u8],
    ) -> Result<bool, IoError> {
        let data = self.start.saturating_add(self.header.bitmap_len()).saturating_add(at);
        let len = usize::try_from(count.saturating_mul(SECTOR)).unwrap_or(0);
        let buf = buf.get_mut(..len).unwrap_or_default();
        disk.read_at(data, buf)?;
        let mut sectors = buf.chunks(Footer::LEN).zip(0_u32..);
        Ok(sectors.any(|(sector, i)| bits & 0x80_u8.wrapping_shr(i) == 0 && !is_zero(sector)))
    }
}
