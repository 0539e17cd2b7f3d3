//! Shrinking a dynamic disk: the new size, then fewer entries, then the blocks together.
//!
//! Of the places of all blocks, those that are kept get the lowest ones: each kept block that lies behind
//! those is copied to the place of one that is given up. All blocks are equally long, so that every place
//! fits, and neither the places nor the blocks to move need be remembered: two walks over the table, one for
//! each, meet them in the same order every time.
//!
//! # After a crash
//! 1. The footer in front, then the one at the end, if there is one, have the new size: what is behind it is gone, and nothing
//!    else has changed.
//! 2. What lies behind the last place that stays, and is no more needed, is zeroed: QEMU puts new blocks
//!    there without clearing them.
//! 3. The header loses its surplus entries, by one write of one sector.
//! 4. Blocks are copied to places that nothing names any more. Their old places are not touched.
//! 5. Their entries follow; of each block both copies are the same.
//! 6. A table that lies behind what is left is written again in front of the blocks, or behind them, where
//!    nothing is; then the header names that place, by one write of one sector.
//! 7. Only when these are durable are the old places zeroed, the surplus entries cleared, and the footer
//!    written behind what is left. The file may be cut there, or not.
//!
//! There is a barrier after each step. A crash between 5 and 7 leaves space behind the last block that is not
//! zero, which a check finds.

use super::overlap::{Overlaps, overlaps};
use super::table::{Cursor, Survey, each_entry, place};
use super::{XEN, fill, write_footer, write_header, zero};
use crate::{IoError, Patch, PlanError, ResizeError, Target};
use instar_formats::ImageError;
use instar_formats::bytes::{index, is_zero, put, round_up};
use instar_formats::qcow2::walk::Buffered;
use instar_formats::vhd::{
    ENTRY_LEN, FOOTER_LEN, Footer, HEADER_LEN, Header, Image, SECTOR, UNUSED, table_len,
};

/// Bytes of the table that a walk reads at a time.
const PIECE: usize = 64 << 10;
/// Places that agree in their upper half, and those within such a group.
const GROUP: usize = 1 << 16;

/// What to do. Places and lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    new: Footer,
    header_at: u64,
    header: Header,
    /// Where the footer at the end is now, if there is one, and where it will be.
    trailer: Option<u64>,
    new_trailer: u64,
    /// Where everything else ends: in the middle of a sector, perhaps, in a file without a footer there.
    end: u64,
    /// Blocks that stay, and entries that there are now.
    kept: u64,
    entries: u64,
    /// The sector from which on no block will lie.
    limit: u64,
    /// The header that names the table where it is in the end, if that is somewhere else.
    moved: Option<Header>,
}

/// Plans it.
pub fn plan<T: Target>(
    target: &mut T,
    (image, header): (&Image, &Header),
    new: Footer,
    found: &Survey,
    scratch: &mut [u8],
) -> Result<Plan, PlanError> {
    let (kept, entries) = (header.blocks(new.virtual_size()), u64::from(header.entries()));
    // Entries beyond the disk mean nothing, and may say anything.
    let all = header.blocks(image.virtual_size()).min(entries);
    match overlaps(target, header, (all, image.file_len), scratch)? {
        Overlaps::None => {}
        Overlaps::At(sector) => return Err(ImageError::VhdBlocksOverlap { sector }.into()),
        Overlaps::Unknown => return Err(ResizeError::VhdTooManyBlocks.into()),
    }
    let places = Places { table: header.table_offset(), all };
    let stay = places.count(target, kept, scratch)?;
    let last = match stay.checked_sub(1) {
        Some(rank) => Some(places.ranked(target, rank, scratch)?),
        None => None,
    };
    let limit = last.map_or(0, |sector| u64::from(sector).saturating_add(1));
    let header_at = image.footer.header_offset();
    let header_end = round_up(header_at.saturating_add(HEADER_LEN), SECTOR);
    let first = match last {
        Some(_) => place(places.ranked(target, 0, scratch)?),
        None => u64::MAX,
    };
    let blocks_end = last.map_or(0, |sector| place(sector).saturating_add(header.stride()));
    let lower = lower_table(image, header, kept, (header_end, first, blocks_end));
    let table = lower.unwrap_or(header.table_offset());
    let table_end = table.saturating_add(table_len(kept));
    let used = round_up(header_end.max(table_end).max(blocks_end), SECTOR);
    let trailer = image.trailer(found.end);
    let shorter = header.with_table(header.table_offset(), u32::try_from(kept).unwrap_or(u32::MAX));
    Ok(Plan {
        new,
        header_at,
        header: shorter,
        trailer,
        new_trailer: used,
        end: trailer.unwrap_or(image.file_len),
        kept,
        entries: all,
        limit,
        moved: lower.map(|table| shorter.with_table(table, shorter.entries())),
    })
}

/// A place for the table that lies before the one it has: between the header and the first block, or behind the
/// last one.
fn lower_table(
    image: &Image,
    header: &Header,
    entries: u64,
    (header_end, first, blocks_end): (u64, u64, u64),
) -> Option<u64> {
    let len = table_len(entries);
    let in_front = header_end.saturating_add(len) <= first;
    let table = if in_front { header_end } else { header_end.max(blocks_end) };
    let is_lower = table.saturating_add(len) <= header.table_offset();
    (is_lower && image.footer.creator() != XEN).then_some(table)
}

/// The places of all blocks of a disk.
struct Places {
    table: u64,
    all: u64,
}

impl Places {
    /// How many of the first `entries` entries have a place.
    fn count<T: Target>(&self, image: &mut T, entries: u64, buf: &mut [u8]) -> Result<u64, IoError> {
        let mut count = 0_u64;
        each_entry(image, &mut Buffered::new(buf), self.table, 0..entries, &mut |_, entry| {
            count = count.saturating_add(u64::from(entry != UNUSED));
        })?;
        Ok(count)
    }

    /// The place, in sectors, that `rank` others lie before.
    fn ranked<T: Target>(&self, image: &mut T, rank: u64, scratch: &mut [u8]) -> Result<u32, IoError> {
        let (upper, before) = self.group(image, rank, scratch, &|entry| Some(entry >> 16))?;
        let within = rank.saturating_sub(before);
        let lower = |entry: u32| (entry >> 16 == upper).then_some(entry & 0xffff);
        let (lower, _) = self.group(image, within, scratch, &lower)?;
        Ok(upper << 16 | lower)
    }

    /// The group that the entry with `rank` others before it is in, and how many are in those before.
    fn group<T: Target>(
        &self,
        image: &mut T,
        rank: u64,
        scratch: &mut [u8],
        group_of: &dyn Fn(u32) -> Option<u32>,
    ) -> Result<(u32, u64), IoError> {
        let (piece, counts) = scratch.split_at_mut_checked(PIECE).unwrap_or_default();
        let (counts, _) = counts.as_chunks_mut::<4>();
        let counts = counts.get_mut(..GROUP).unwrap_or_default();
        counts.fill([0; 4]);
        each_entry(image, &mut Buffered::new(piece), self.table, 0..self.all, &mut |_, entry| {
            let group = if entry == UNUSED { None } else { group_of(entry) };
            let count = group.and_then(|group| counts.get_mut(index(u64::from(group))));
            if let Some(count) = count {
                *count = u32::from_ne_bytes(*count).saturating_add(1).to_ne_bytes();
            }
        })?;
        let mut before = 0_u64;
        for (count, group) in counts.iter().zip(0..) {
            let after = before.saturating_add(u64::from(u32::from_ne_bytes(*count)));
            if after > rank {
                return Ok((group, before));
            }
            before = after;
        }
        Ok((0, 0))
    }
}

/// Parts of the scratch buffer.
struct Buffers<'s> {
    free: &'s mut [u8],
    table: &'s mut [u8],
    data: &'s mut [u8],
}

impl<'s> Buffers<'s> {
    fn carve(scratch: &'s mut [u8]) -> Self {
        let (free, rest) = scratch.split_at_mut_checked(PIECE).unwrap_or_default();
        let (table, data) = rest.split_at_mut_checked(PIECE).unwrap_or_default();
        Self { free, table, data }
    }
}

impl Plan {
    /// Length of the file after, in bytes.
    pub const fn file_end(&self) -> u64 {
        self.new_trailer.saturating_add(FOOTER_LEN)
    }

    /// Carries it out.
    pub fn run<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        write_footer(image, 0, &self.new)?;
        if let Some(trailer) = self.trailer {
            write_footer(image, trailer, &self.new)?;
        }
        let mut buffers = Buffers::carve(scratch);
        self.discard(image, &mut buffers)?;
        image.apply(Patch::Barrier)?;
        write_header(image, self.header_at, &self.header)?;
        self.copy(image, &mut buffers)?;
        image.apply(Patch::Barrier)?;
        self.follow(image, &mut buffers)?;
        image.apply(Patch::Barrier)?;
        if let Some(moved) = &self.moved {
            self.write_table(image, moved.table_offset(), buffers.data)?;
            write_header(image, self.header_at, moved)?;
        }
        self.settle(image, scratch)
    }

    /// Zeroes what is given up behind the limit, and the last block behind the new end.
    fn discard<T: Target>(&self, image: &mut T, buffers: &mut Buffers<'_>) -> Result<(), IoError> {
        let stride = self.header.stride();
        let mut given_up = Cursor::new(buffers.free, self.header.table_offset(), self.kept..self.entries);
        let mut run: (u64, u64) = (0, 0);
        while let Some((_, entry)) = given_up.next(image, |entry| u64::from(entry) >= self.limit)? {
            let start = place(entry);
            if start != run.1 {
                zero(image, run.0, run.1.min(self.end), true)?;
                run.0 = start;
            }
            run.1 = start.saturating_add(stride);
        }
        // The last sector of the file may be there in part.
        zero(image, run.0, run.1.min(self.end), true)?;
        let (_, within) = self.header.locate(self.new.virtual_size());
        let last = self.kept.saturating_sub(1);
        let mut last = Cursor::new(buffers.free, self.header.table_offset(), last..self.kept);
        if let (Some((_, entry)), true) = (last.next(image, |_| true)?, within != 0) {
            let from = place(entry).saturating_add(self.header.bitmap_len()).saturating_add(within);
            zero(image, from, place(entry).saturating_add(stride), false)?;
        }
        Ok(())
    }

    /// The places below the limit that are given up.
    fn free<'b>(&self, buf: &'b mut [u8]) -> Cursor<'b> {
        Cursor::new(buf, self.header.table_offset(), self.kept..self.entries)
    }

    fn stays(&self, entry: u32) -> bool {
        u64::from(entry) < self.limit
    }

    /// Copies each block that cannot stay where it is to the next place that is free.
    fn copy<T: Target>(&self, image: &mut T, buffers: &mut Buffers<'_>) -> Result<(), IoError> {
        let table = self.header.table_offset();
        let mut free = self.free(buffers.free);
        let mut moved = Cursor::new(buffers.table, table, 0..self.kept);
        while let Some((_, from)) = moved.next(image, |entry| !self.stays(entry))? {
            let Some((_, to)) = free.next(image, |entry| self.stays(entry))? else {
                return Ok(());
            };
            let mut done = 0;
            while done < self.header.stride() {
                let left = index(self.header.stride().saturating_sub(done));
                let most = left.min(buffers.data.len()).max(1);
                let data = buffers.data.get_mut(..most).unwrap_or_default();
                image.read_at(place(from).saturating_add(done), data)?;
                let offset = place(to).saturating_add(done);
                if is_zero(data) {
                    zero(image, offset, offset.saturating_add(most as u64), true)?;
                } else {
                    image.apply(Patch::Write { offset, data })?;
                }
                done = done.saturating_add(most as u64);
            }
        }
        Ok(())
    }

    /// Has the entries of the blocks that were copied follow them.
    fn follow<T: Target>(&self, image: &mut T, buffers: &mut Buffers<'_>) -> Result<(), IoError> {
        let table = self.header.table_offset();
        let mut free = self.free(buffers.free);
        let len = self.kept.saturating_mul(ENTRY_LEN);
        let mut done = 0;
        while done < len {
            let most = index(len.saturating_sub(done)).min(buffers.table.len()).max(1);
            let piece = buffers.table.get_mut(..most).unwrap_or_default();
            let at = table.saturating_add(done);
            image.read_at(at, piece)?;
            let mut changed = false;
            for slot in piece.as_chunks_mut::<4>().0 {
                let entry = u32::from_be_bytes(*slot);
                if entry == UNUSED || self.stays(entry) {
                    continue;
                }
                if let Some((_, to)) = free.next(image, |entry| self.stays(entry))? {
                    put(slot, 0, &to.to_be_bytes());
                    changed = true;
                }
            }
            if changed {
                image.apply(Patch::Write { offset: at, data: piece })?;
            }
            done = done.saturating_add(most as u64);
        }
        Ok(())
    }

    /// Writes the table once more, to the byte `to`.
    fn write_table<T: Target>(&self, image: &mut T, to: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let (from, len) = (self.header.table_offset(), table_len(self.kept));
        let kept = self.kept.saturating_mul(ENTRY_LEN);
        let mut done = 0;
        while done < len {
            let most = index(len.saturating_sub(done)).min(buf.len()).max(1);
            let piece = buf.get_mut(..most).unwrap_or_default();
            image.read_at(from.saturating_add(done), piece)?;
            let own = index(kept.saturating_sub(done));
            piece.iter_mut().skip(own).for_each(|byte| *byte = 0xff);
            image.apply(Patch::Write { offset: to.saturating_add(done), data: piece })?;
            done = done.saturating_add(most as u64);
        }
        image.apply(Patch::Barrier)
    }

    /// Leaves nothing behind the last block but the footer.
    fn settle<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        zero(image, self.new_trailer, self.end, true)?;
        if self.moved.is_none() {
            let kept = self.kept.saturating_mul(ENTRY_LEN);
            let at = self.header.table_offset().saturating_add(kept);
            let surplus = table_len(self.entries).saturating_sub(kept);
            let own = round_up(at, SECTOR).saturating_sub(at).min(surplus);
            fill(image, (at, own), 0xff, scratch)?;
        }
        image.apply(Patch::Barrier)?;
        if self.trailer != Some(self.new_trailer) {
            write_footer(image, self.new_trailer, &self.new)?;
        }
        Ok(())
    }
}
