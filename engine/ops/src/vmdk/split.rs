//! Images whose disk is in other files: a descriptor, and flat or sparse extents.

use super::info::usable;
use super::sparse::sectors;
use super::{Vmdk, descriptor, header, is_compressed};
use crate::resize::OnDisk;
use crate::{
    Disk, ExtentsAfter, Format, MAX_EXTENTS, OpError, Preallocation, Refusal, ResizeAction, ResizeOutcome,
};
use instar_formats::ImageError;
use instar_formats::vmdk::edit::{self, Edit, rewrite};
use instar_formats::vmdk::header::flags;
use instar_formats::vmdk::{Descriptor, Extent, NO_PARENT, SECTOR, SECTOR_LEN, TEXT_LEN};
use instar_planner::vmdk::{Grow, Shrink, create, grow, mend, shrink, text};
use instar_planner::{Request, ResizeError};

/// Bytes of zeros that are written at a time.
const ZEROS: usize = 1 << 20;

/// What is known of the disk.
struct Layout {
    /// Sectors of each extent, as far as there are extents.
    sizes: [u64; MAX_EXTENTS],
    count: usize,
}

impl Layout {
    fn sizes(&self) -> impl Iterator<Item = u64> {
        self.sizes.iter().copied().take(self.count)
    }
}

/// Resizes the image, whose descriptor is on `disk`.
///
/// # Errors
/// [`Refusal::ExtentsClosed`] and [`Refusal::ExtentsWanted`] among others.
pub(super) fn resize(
    disk: &mut dyn Disk,
    extents: &mut [&mut dyn Disk],
    request: &Request,
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let (buf, rest) = scratch.split_at_mut_checked(TEXT_LEN).unwrap_or_default();
    let (new_buf, scratch) = rest.split_at_mut_checked(TEXT_LEN).unwrap_or_default();
    let said = descriptor(disk, Vmdk::Text, buf)?;
    let kind = said.create_type()?;
    if said.parent_cid()? != NO_PARENT {
        return Err(ResizeError::VmdkParent.into());
    }
    let layout = survey(&said, extents)?;
    let old = layout.sizes().fold(0, u64::saturating_add);
    let new = sectors(request.resolve(old.saturating_mul(SECTOR))?);
    let edit = edit::plan(layout.sizes(), kind.is_split(), new).ok_or(ResizeError::VmdkExtents)?;
    let anew = rewrite(&said, &edit, new_buf).ok_or(ResizeError::VmdkDescriptor)?;
    let action = ResizeAction::between(old, new);
    let (len, changed) = (disk.len(), anew != said.text());
    let mut outcome = ResizeOutcome {
        format: Format::Vmdk,
        action,
        old_virtual_size: old.saturating_mul(SECTOR),
        new_virtual_size: new.saturating_mul(SECTOR),
        file_size_before: len,
        file_size_after: len,
        preallocate: None,
        data_file_size_after: None,
        extents_after: None,
    };
    let (said_len, last) = (said.text().len(), last_of(&said, edit.kept)?);
    match action {
        ResizeAction::NoOp => {
            mended(extents, &last, scratch)?;
            if last.sectors == edit.last {
                return Ok(outcome);
            }
        }
        ResizeAction::Grow => {
            wanted(extents, &layout, &edit)?;
            let job = Growth { edit: &edit, last: &last, mode: request.preallocation };
            job.run(extents, &layout, scratch)?;
        }
        ResizeAction::Shrink => {
            outcome.extents_after = Some(cut(extents, (&edit, &last, &layout), changed, scratch)?);
        }
    }
    text::replace(&mut OnDisk(disk), 0, said_len, anew)?;
    if changed {
        let keep = if action == ResizeAction::Shrink { 0 } else { len };
        outcome.file_size_after = keep.max(anew.len() as u64);
    }
    Ok(outcome)
}

/// Does what an interrupted shrink has left to do in the last extent.
fn mended(extents: &mut [&mut dyn Disk], line: &Extent<'_>, scratch: &mut [u8]) -> Result<(), OpError> {
    let Some(file) = extents.last_mut().filter(|_| !line.kind.is_flat()) else { return Ok(()) };
    let (header, len) = (header(&mut **file)?, file.len());
    Ok(mend(&mut OnDisk(&mut **file), (&header, header.tables(), len), scratch)?)
}

/// How large every extent is.
fn survey(said: &Descriptor<'_>, extents: &mut [&mut dyn Disk]) -> Result<Layout, OpError> {
    let mut layout = Layout { sizes: [0; MAX_EXTENTS], count: 0 };
    for line in said.extents() {
        let line = usable(line?)?;
        let most = ResizeError::VmdkTooManyExtents { most: MAX_EXTENTS as u64 };
        let size = layout.sizes.get_mut(layout.count).ok_or(most)?;
        let file = extents.get_mut(layout.count).ok_or(Refusal::ExtentsClosed)?;
        *size = if line.kind.is_flat() { line.sectors } else { sparse_size(&mut **file)? };
        layout.count = layout.count.saturating_add(1);
    }
    if layout.count == 0 { Err(ImageError::VmdkNoExtents.into()) } else { Ok(layout) }
}

fn sparse_size(file: &mut dyn Disk) -> Result<u64, OpError> {
    let header = header(file)?;
    if is_compressed(&header) {
        return Err(ImageError::VmdkSplitStream.into());
    }
    Ok(header.capacity)
}

/// The last extent that stays.
fn last_of<'t>(said: &Descriptor<'t>, kept: u64) -> Result<Extent<'t>, OpError> {
    let last = usize::try_from(kept.saturating_sub(1)).unwrap_or(usize::MAX);
    Ok(usable(said.extents().nth(last).ok_or(ImageError::VmdkNoExtents)??)?)
}

/// Whether there are files for further extents, and none to spare.
fn wanted(extents: &[&mut dyn Disk], layout: &Layout, edit: &Edit) -> Result<(), OpError> {
    let all = (layout.count as u64).saturating_add(edit.added);
    if all > MAX_EXTENTS as u64 {
        return Err(ResizeError::VmdkTooManyExtents { most: MAX_EXTENTS as u64 }.into());
    }
    match extents.len() as u64 == all {
        true => Ok(()),
        false => Err(Refusal::ExtentsWanted { count: edit.added }.into()),
    }
}

/// How extents grow.
struct Growth<'g> {
    edit: &'g Edit,
    last: &'g Extent<'g>,
    mode: Preallocation,
}

impl Growth<'_> {
    /// The last extent first, then the new ones. All is durable when it ends.
    fn run(&self, extents: &mut [&mut dyn Disk], layout: &Layout, scratch: &mut [u8]) -> Result<(), OpError> {
        let flat = self.last.kind.is_flat();
        if flat && self.mode == Preallocation::Metadata {
            return Err(ResizeError::VmdkPreallocationMetadata.into());
        }
        let (old, new) = extents.split_at_mut_checked(layout.count).unwrap_or_default();
        let Some(file) = old.last_mut() else { return Err(ImageError::VmdkNoExtents.into()) };
        let was = layout.sizes().last().unwrap_or(0);
        if flat {
            let at = |sectors: u64| self.last.offset.saturating_add(sectors).saturating_mul(SECTOR);
            self.flat(&mut **file, (at(was), at(self.edit.last)), scratch)?;
        } else if let Some((plan, tables)) = self.sparse(&mut **file, was, scratch)? {
            let file = &mut OnDisk(&mut **file);
            let len = plan.run(file, scratch)?;
            mend(file, (plan.header(), tables, len), scratch)?;
        }
        for (n, file) in (0..).zip(new) {
            let sectors = self.edit.sectors(n);
            if flat {
                self.flat(&mut **file, (0, sectors.saturating_mul(SECTOR)), scratch)?;
            } else {
                new_sparse(&mut **file, sectors, 0, scratch)?;
            }
        }
        Ok(())
    }

    /// How the last extent grows, if it does, and how many tables it has.
    fn sparse(
        &self,
        file: &mut dyn Disk,
        was: u64,
        scratch: &mut [u8],
    ) -> Result<Option<(Grow, u64)>, OpError> {
        if self.edit.last == was {
            return Ok(None);
        }
        let header = header(file)?;
        Ok(Some((grow::plan(file, &header, self.edit.last, self.mode, scratch)?, header.tables())))
    }

    /// Makes the part of a file from byte `from` to `to` a part of the disk, that reads as zeros.
    fn flat(&self, file: &mut dyn Disk, (from, to): (u64, u64), scratch: &mut [u8]) -> Result<(), OpError> {
        let (len, there) = (to.saturating_sub(from), file.len().min(to));
        if len == 0 {
            return Ok(());
        }
        if there > from {
            file.zero_at(from, there.saturating_sub(from), true)?;
        }
        if matches!(self.mode, Preallocation::Falloc | Preallocation::Full) {
            file.zero_at(from, len, false)?;
        }
        if self.mode == Preallocation::Full {
            write_zeros(file, from, to, scratch)?;
        }
        extend(file, to)?;
        Ok(file.flush()?)
    }
}

fn write_zeros(file: &mut dyn Disk, mut at: u64, to: u64, scratch: &mut [u8]) -> Result<(), OpError> {
    let zeros = scratch.get_mut(..ZEROS).unwrap_or_default();
    zeros.fill(0);
    while at < to {
        let now = to.saturating_sub(at).min(zeros.len() as u64).max(1);
        let piece = zeros.get(..usize::try_from(now).unwrap_or(0)).unwrap_or_default();
        file.write_at(at, piece)?;
        at = at.saturating_add(now);
    }
    Ok(())
}

/// Makes a file `len` bytes long if it is shorter, by its last sector.
fn extend(file: &mut dyn Disk, len: u64) -> Result<(), OpError> {
    if file.len() < len {
        file.write_at(len.saturating_sub(SECTOR), &[0; SECTOR_LEN])?;
    }
    Ok(())
}

/// Lays a sparse extent out in an empty file, of its full length.
pub(super) fn new_sparse(
    file: &mut dyn Disk,
    sectors: u64,
    more_flags: u32,
    scratch: &mut [u8],
) -> Result<(), OpError> {
    let flags = flags::NEWLINES | flags::REDUNDANT | more_flags;
    let len = create::run(&mut OnDisk(&mut *file), sectors, flags, &[], scratch)?;
    extend(file, len)?;
    Ok(file.flush()?)
}

/// The same of a flat one.
pub(super) fn new_flat(file: &mut dyn Disk, sectors: u64) -> Result<(), OpError> {
    extend(file, sectors.saturating_mul(SECTOR))?;
    Ok(file.flush()?)
}

/// Cuts the last extent that stays, or says what is to be done once the descriptor is in its place.
fn cut(
    extents: &mut [&mut dyn Disk],
    (edit, last, layout): (&Edit, &Extent<'_>, &Layout),
    changed: bool,
    scratch: &mut [u8],
) -> Result<ExtentsAfter, OpError> {
    let n = usize::try_from(edit.kept.saturating_sub(1)).unwrap_or(usize::MAX);
    let kept = u32::try_from(edit.kept).unwrap_or(u32::MAX);
    let file = extents.get_mut(n).ok_or(Refusal::ExtentsClosed)?;
    if last.kind.is_flat() {
        let len = last.offset.saturating_add(edit.last).saturating_mul(SECTOR);
        let last_len = (file.len() > len).then_some(len);
        return Ok(ExtentsAfter { kept, last_len, again: false });
    }
    if layout.sizes().nth(n) == Some(edit.last) {
        return Ok(ExtentsAfter { kept, last_len: None, again: false });
    }
    let header = header(&mut **file)?;
    let plan: Shrink = shrink::plan(&mut **file, &header, edit.last, scratch)?;
    if changed {
        return Ok(ExtentsAfter { kept, last_len: None, again: true });
    }
    let target = &mut OnDisk(&mut **file);
    plan.commit(target)?;
    let len = plan.settle(target, scratch)?;
    mend(target, (plan.header(), header.tables(), len), scratch)?;
    Ok(ExtentsAfter { kept, last_len: Some(len), again: false })
}
