//! Growing. [`super`] says why a crash does no harm.

use super::commit::{Batch, MOST_SECTORS, Session};
use super::{Guids, Parts, Plan, entry_of};
use crate::{IoError, Patch, Preallocation, ReadAt, Target};
use instar_formats::bytes::{index, is_zero, put_le64};
use instar_formats::vhdx::log::SECTOR_LEN;
use instar_formats::vhdx::{Entry, Image, REGION_TABLE_LEN, REGION_TABLES, Region, State, move_bat, up_mib};

/// Where everything will be. Offsets and lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Entries of the BAT that are kept as they are.
    kept: u64,
    /// The first entry that gets a block, and where the block is; the others follow it.
    mapped: Option<(u64, u64)>,
    /// Blocks after the resize.
    blocks: u64,
    block_size: u64,
    /// The BAT, if it moves.
    moved: Option<Region>,
    /// How long the file will be.
    file_len: u64,
}

impl Layout {
    /// The space of the blocks that are new.
    pub fn new_blocks(&self) -> Option<(u64, u64)> {
        let (first, base) = self.mapped?;
        let len = self.blocks.saturating_sub(first).saturating_mul(self.block_size);
        (len > 0).then_some((base, len))
    }
}

/// Decides where everything will be.
///
/// # Errors
/// The device's.
pub fn layout<R: ReadAt>(disk: &mut R, plan: &Plan) -> Result<Layout, IoError> {
    let (image, geometry) = (&plan.image, plan.image.geometry());
    let (old_blocks, blocks) = (image.blocks(), geometry.blocks(plan.new_virtual_size));
    let mut first = None;
    if plan.is_full() || plan.preallocation != Preallocation::Off {
        first = Some(old_blocks);
        // The last block belongs to the new area in part.
        let shared = !plan.old_virtual_size.is_multiple_of(geometry.block_size);
        if let Some(last) = old_blocks.checked_sub(1).filter(|_| shared)
            && entry_of(disk, image, last)?.state() != State::Present
        {
            first = Some(last);
        }
    }
    let end = plan.end();
    let need = geometry.region_len(plan.new_virtual_size);
    // How many sectors of the BAT change if it stays.
    let from = first.map_or(old_blocks, |first| first);
    let changed = match first {
        Some(_) => blocks.saturating_sub(from).saturating_mul(8).div_ceil(SECTOR_LEN).saturating_add(2),
        None => 1,
    };
    let stays = need <= image.bat.len && changed < MOST_SECTORS as u64;
    let moved = (!stays).then_some(Region { offset: end, len: need });
    let base = moved.map_or(end, |region| region.end());
    let mut layout = Layout {
        kept: geometry.entries(plan.old_virtual_size),
        mapped: first.map(|first| (first, base)),
        blocks,
        block_size: geometry.block_size,
        moved,
        file_len: base,
    };
    if let Some((base, len)) = layout.new_blocks() {
        layout.file_len = base.saturating_add(len);
    } else if image.metadata.fixed {
        // As long as one that was created at this size.
        let more = plan.new_virtual_size.saturating_sub(plan.old_virtual_size);
        layout.file_len = up_mib(base.saturating_add(more));
    }
    Ok(layout)
}

/// Carries it out.
///
/// # Errors
/// The device's.
pub fn run<T: Target>(
    target: &mut T,
    plan: &Plan,
    guids: &Guids,
    parts: &mut Parts<'_>,
) -> Result<u64, IoError> {
    let layout = layout(target, plan)?;
    let image = &plan.image;
    let mut session = Session::begin(target, image, guids)?;
    clear_tail(target, plan, plan.old_virtual_size)?;
    if let Some(region) = layout.moved {
        write_bat(target, image, &layout, (region, plan.file_len), parts)?;
    }
    super::replay::extend(target, plan.file_len, layout.file_len)?;
    let mut batch = Batch::new(parts.batch);
    match layout.moved {
        Some(region) => switch_tables(target, &mut batch, region, parts.window)?,
        None => extend_bat(target, image, &layout, &mut batch)?,
    }
    batch.put(target, image.metadata.disk_size_at, &plan.new_virtual_size.to_le_bytes())?;
    session.commit(target, &mut batch, layout.file_len)?;
    Ok(layout.file_len)
}

/// Clears what the last block of a disk of `size` bytes has behind the end of the disk, as far as the file reaches.
///
/// # Errors
/// The device's.
pub fn clear_tail<T: Target>(target: &mut T, plan: &Plan, size: u64) -> Result<(), IoError> {
    let image = &plan.image;
    let block_size = image.metadata.block_size;
    let used = size.checked_rem(block_size).unwrap_or(0);
    let Some(last) = image.geometry().blocks(size).checked_sub(1).filter(|_| used > 0) else {
        return Ok(());
    };
    let entry = entry_of(target, image, last)?;
    if entry.state() != State::Present {
        return Ok(());
    }
    let offset = entry.offset().saturating_add(used);
    let end = entry.offset().saturating_add(block_size).min(plan.file_len);
    let len = end.saturating_sub(offset);
    if len == 0 {
        return Ok(());
    }
    target.apply(Patch::ZeroFill { offset, len, unmap: !image.metadata.fixed })
}

impl Layout {
    /// What entry `number` becomes.
    fn entry(&self, image: &Image, number: u64, old: Entry) -> Entry {
        match (image.geometry().block_of(number), self.mapped) {
            (None, _) => Entry(0),
            (Some(block), Some((first, base))) if block >= first && block < self.blocks => {
                let within = block.saturating_sub(first).saturating_mul(self.block_size);
                Entry::present(base.saturating_add(within))
            }
            _ if number < self.kept => old,
            _ => Entry(0),
        }
    }

    /// The entries that change, from the first to behind the last that is not zero.
    fn changed(&self, image: &Image) -> (u64, u64) {
        let geometry = image.geometry();
        match self.mapped {
            Some((first, _)) if first < self.blocks => {
                let last = geometry.entry_of(self.blocks.saturating_sub(1));
                (geometry.entry_of(first).min(self.kept), last.saturating_add(1))
            }
            _ => (self.kept, self.kept),
        }
    }
}

/// Sets the entries behind the old ones, where they are: those with a block, and zeros up to the end of the region.
fn extend_bat<T: Target>(
    target: &mut T,
    image: &Image,
    layout: &Layout,
    batch: &mut Batch<'_>,
) -> Result<(), IoError> {
    let (first, mut number) = layout.changed(image);
    for number in first..number {
        let mut old = [0; 8];
        target.read_at(image.entry_at(number), &mut old)?;
        let new = layout.entry(image, number, Entry(u64::from_le_bytes(old)));
        batch.put(target, image.entry_at(number), &new.0.to_le_bytes())?;
    }
    clear_from(target, image, batch, &mut number)
}

/// Clears the BAT from entry `number` up to the end of its region.
///
/// # Errors
/// The device's.
pub fn clear_from<T: Target>(
    target: &mut T,
    image: &Image,
    batch: &mut Batch<'_>,
    number: &mut u64,
) -> Result<(), IoError> {
    let end = image.bat.end();
    while image.entry_at(*number) < end && !image.entry_at(*number).is_multiple_of(SECTOR_LEN) {
        batch.put(target, image.entry_at(*number), &[0; 8])?;
        *number = number.saturating_add(1);
    }
    let from = image.entry_at(*number);
    batch.zero(from, end.saturating_sub(from));
    Ok(())
}

/// Writes the new BAT, behind the end of the file, of which there are zeros.
fn write_bat<T: Target>(
    target: &mut T,
    image: &Image,
    layout: &Layout,
    (region, file_len): (Region, u64),
    parts: &mut Parts<'_>,
) -> Result<(), IoError> {
    let (_, end) = layout.changed(image);
    let (mut number, end) = (0, end.max(layout.kept));
    let most = parts.inner.len() as u64 / 8;
    while number < end {
        let count = end.saturating_sub(number).min(most).max(1);
        let piece = parts.inner.get_mut(..index(count.saturating_mul(8))).unwrap_or_default();
        target.read_at(image.entry_at(number), piece)?;
        for (i, bytes) in piece.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let old = Entry(u64::from_le_bytes(*bytes));
            let new = layout.entry(image, number.saturating_add(i as u64), old);
            put_le64(bytes, 0, new.0);
        }
        let offset = region.offset.saturating_add(number.saturating_mul(8));
        if offset < file_len || !is_zero(piece) {
            target.apply(Patch::Write { offset, data: piece })?;
        }
        number = number.saturating_add(count);
    }
    Ok(())
}

/// Lets both region tables, which are the same, name the BAT at another place. `window` takes one of them.
///
/// # Errors
/// The device's.
pub fn switch_tables<T: Target>(
    target: &mut T,
    batch: &mut Batch<'_>,
    region: Region,
    window: &mut [u8],
) -> Result<(), IoError> {
    let table = window.get_mut(..index(REGION_TABLE_LEN)).unwrap_or_default();
    let [first, _] = REGION_TABLES;
    target.read_at(first, table)?;
    move_bat(table, region);
    for offset in REGION_TABLES {
        // Checksum and entry are in the first sector.
        batch.put(target, offset, table.get(..index(SECTOR_LEN)).unwrap_or_default())?;
    }
    Ok(())
}
