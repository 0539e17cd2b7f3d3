//! Resizing VHD images: fixed ones (`fixed`), dynamic ones larger (`grow`) and smaller (`shrink`). Each
//! module says why a crash between any two writes leaves a good image.
//!
//! What they share: a dynamic disk has two footers, and readers believe either. Both have the old size or
//! both the new one, but for the moment between two writes; then the one in front, which QEMU goes by, is
//! ahead. So that there is a footer at the end of the file at all times, a file that grows does so by one
//! write of one sector: a footer at its new end, before anything else is put in front of that.

pub mod create;
mod fixed;
mod grow;
mod mend;
mod overlap;
mod shrink;
mod table;

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests;

use crate::{IoError, Patch, PlanError, Preallocation, Request, ResizeAction, ResizeError, Target};
use instar_formats::bytes::index;
use instar_formats::vhd::{FOOTER_LEN, Footer, Geometry, Header, Image, MAX_SIZE, SECTOR, disk_type};

pub use mend::{Mended, mend, unmended};
pub use overlap::{Overlaps, overlaps};
pub use table::{Cursor, Survey, each_entry, place, survey};

/// Whose images have a table of their own behind the block allocation table, which no header names.
const XEN: [u8; 4] = *b"tap\0";

/// What the resize of a VHD image comes to. Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Larger, smaller or the same.
    pub action: ResizeAction,
    /// Before.
    pub old_virtual_size: u64,
    /// After: what was asked for, or a little more where the size is that of a geometry.
    pub new_virtual_size: u64,
    /// Length of the file after.
    pub file_size_after: u64,
    /// The byte range of the file that the host is to allocate.
    pub preallocate: Option<(u64, u64)>,
    work: Work,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is no heap to box the larger one on")]
enum Work {
    /// Nothing.
    Nothing,
    /// What an interrupted resize has left undone; structures end at this byte.
    Mend(Image, u64),
    Fixed(fixed::Plan),
    Grow(grow::Plan),
    Shrink(shrink::Plan),
}

/// Plans the resize of `image`, which `target` holds. `scratch` is what [`Plan::run`] will have.
///
/// # Errors
/// [`PlanError`]: the refusal, what is wrong with the image, or the device's.
pub fn plan_resize<T: Target>(
    target: &mut T,
    image: &Image,
    request: &Request,
    scratch: &mut [u8],
) -> Result<Plan, PlanError> {
    let footer = &image.footer;
    let old = footer.virtual_size();
    let asked = request.resolve(old)?;
    refuse(footer)?;
    let action = ResizeAction::between(old, asked);
    let mut plan = Plan {
        action,
        old_virtual_size: old,
        new_virtual_size: old,
        file_size_after: image.file_len,
        preallocate: None,
        work: Work::Nothing,
    };
    let new = resized(footer, asked)?;
    // No geometry fits in between: the size stays.
    let stays = action == ResizeAction::NoOp || action == ResizeAction::Shrink && new.virtual_size() >= old;
    if stays {
        plan.action = ResizeAction::NoOp;
    } else {
        plan.new_virtual_size = new.virtual_size();
    }
    let Some(header) = &image.header else {
        let fixed = match stays {
            false => fixed::plan(image, new, request.preallocation)?,
            true => match fixed::unfinished(image) {
                Some(fixed) => fixed,
                None => return Ok(plan),
            },
        };
        plan.file_size_after = fixed.file_end();
        plan.preallocate = fixed.preallocate();
        return Ok(Plan { work: Work::Fixed(fixed), ..plan });
    };
    let found = survey(target, header, footer.header_offset(), scratch)?;
    found.check_end(image)?;
    if let Some((block, sector)) = found.over_metadata {
        let error = instar_formats::ImageError::VhdBlockOverMetadata { block, sector: u64::from(sector) };
        return Err(error.into());
    }
    if stays {
        let mends = unmended(image, found.end) != Mended::default();
        let work = if mends { Work::Mend(*image, found.end) } else { Work::Nothing };
        if mends && image.trailer(found.end).is_none() {
            plan.file_size_after = image.file_end().saturating_add(FOOTER_LEN);
        }
        return Ok(Plan { work, ..plan });
    }
    if !header.table_offset().is_multiple_of(SECTOR) && action == ResizeAction::Shrink
        || !footer.header_offset().is_multiple_of(SECTOR)
    {
        return Err(ResizeError::VhdUnaligned.into());
    }
    if action == ResizeAction::Grow {
        let grow = grow::plan(target, (image, header), new, &found, (request.preallocation, scratch))?;
        plan.file_size_after = grow.file_end();
        return Ok(Plan { work: Work::Grow(grow), ..plan });
    }
    let shrink = shrink::plan(target, (image, header), new, &found, scratch)?;
    plan.file_size_after = shrink.file_end();
    Ok(Plan { work: Work::Shrink(shrink), ..plan })
}

impl Plan {
    /// Carries it out. The file is to be [`Plan::file_size_after`] bytes long then.
    ///
    /// # Errors
    /// The device's.
    pub fn run<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        match &self.work {
            Work::Nothing => Ok(()),
            Work::Mend(opened, used) => mend(image, opened, *used).map(|_| ()),
            Work::Fixed(plan) => plan.run(image),
            Work::Grow(plan) => plan.run(image, scratch),
            Work::Shrink(plan) => plan.run(image, scratch),
        }
    }
}

fn refuse(footer: &Footer) -> Result<(), ResizeError> {
    match footer.disk_type() {
        disk_type::FIXED | disk_type::DYNAMIC => {}
        disk_type::DIFFERENCING => return Err(ResizeError::VhdDifferencing),
        kind => return Err(ResizeError::VhdDiskType { kind: u64::from(kind) }),
    }
    if footer.has_saved_state() { Err(ResizeError::VhdSavedState) } else { Ok(()) }
}

/// The geometry and the size in bytes of a disk of at least `size` bytes. With `exact` the geometry says
/// nothing, and the size is that of whole sectors.
fn total_for(size: u64, exact: bool) -> Result<(Geometry, u64), ResizeError> {
    let total = size.div_ceil(SECTOR);
    let (geometry, total) = if exact { (Geometry::MAX, total) } else { Geometry::at_least(total) };
    let bytes = total.saturating_mul(SECTOR);
    if bytes > MAX_SIZE { Err(ResizeError::VhdTooLarge) } else { Ok((geometry, bytes)) }
}

/// The footer of the same disk with at least `size` bytes, by its creator's rule. A creator that counts in
/// bytes keeps a geometry that says nothing, and has its other ones follow.
fn resized(footer: &Footer, size: u64) -> Result<Footer, ResizeError> {
    let by_geometry = footer.counts_geometry();
    let (geometry, total) = total_for(size, !by_geometry)?;
    let follows = !by_geometry && footer.geometry() != Geometry::MAX;
    let geometry = if follows { Geometry::of(total / SECTOR) } else { geometry };
    Ok(footer.with_size(total, geometry))
}

/// Writes the sector of `header` that changes.
fn write_header<T: Target>(image: &mut T, at: u64, header: &Header) -> Result<(), IoError> {
    let (first, _) = header.bytes().split_at(index(SECTOR));
    image.apply(Patch::Write { offset: at, data: first })?;
    image.apply(Patch::Barrier)
}

/// Writes a footer.
fn write_footer<T: Target>(image: &mut T, at: u64, footer: &Footer) -> Result<(), IoError> {
    image.apply(Patch::Write { offset: at, data: footer.bytes() })?;
    image.apply(Patch::Barrier)
}

/// Fills a byte range, offset and length, with one value.
fn fill<T: Target>(
    image: &mut T,
    (offset, len): (u64, u64),
    value: u8,
    scratch: &mut [u8],
) -> Result<(), IoError> {
    let piece = index(len).min(scratch.len());
    let buf = scratch.get_mut(..piece).unwrap_or_default();
    buf.fill(value);
    let (mut at, end) = (offset, offset.saturating_add(len));
    while at < end {
        let now = index(end.saturating_sub(at)).min(buf.len().max(1));
        image.apply(Patch::Write { offset: at, data: buf.get(..now).unwrap_or_default() })?;
        at = at.saturating_add(now as u64);
    }
    Ok(())
}

/// Zeros in a byte range, from one offset to another.
fn zero<T: Target>(image: &mut T, start: u64, end: u64, unmap: bool) -> Result<(), IoError> {
    match end.saturating_sub(start) {
        0 => Ok(()),
        len => image.apply(Patch::ZeroFill { offset: start, len, unmap }),
    }
}

/// Whether space is asked for.
const fn has_space(mode: Preallocation) -> bool {
    matches!(mode, Preallocation::Falloc | Preallocation::Full)
}
