//! Growing a dynamic disk: a longer table, then the new size.
//!
//! The table is extended where it is, if nothing lies in the way; else it is written anew where the footer at
//! the end was, and its old place is given up: that is at most 4 MiB, and no data need be moved.
//!
//! # After a crash
//! 1. The footer gets its new place at the end of the file, still with the old size. From then on nothing
//!    that a reader knows lies between the last block and that place.
//! 2. New blocks, if any are asked for, are written there: bitmaps, and zeros where the disk's last block
//!    goes beyond its old end. Nobody looks there yet.
//! 3. The new entries, or all of the table at its new place, are written. The old size needs none of them, but
//!    for the block with the old end, whose zeros are durable by then.
//! 4. The header is one write of one sector: the table is longer than the disk is then, which is harmless. It
//!    precedes the size: with a table that is too short QEMU opens nothing.
//! 5. The footer in front, then the one at the end.
//!
//! If one of the first three fails, say for want of space, a footer is put where it was, and the file can be cut behind it.
//!
//! There is a barrier after each step. Every step can be done again; a resize of what a crash has left, to the
//! same size or another one, does what was left undone.

use super::table::{Survey, each_entry, place};
use super::{XEN, fill, has_space, write_footer, write_header, zero};
use crate::{IoError, Patch, PlanError, Preallocation, ResizeError, Target};
use instar_formats::ImageError;
use instar_formats::bytes::{be32, index, put_be32};
use instar_formats::qcow2::walk::Buffered;
use instar_formats::vhd::{ENTRY_LEN, FOOTER_LEN, Footer, Header, Image, SECTOR, UNUSED, table_len};

/// What to do. Places and lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    old: Footer,
    new: Footer,
    old_header: Header,
    header: Header,
    /// Where the footer at the end is now, if there is one, and where it will be.
    trailer: Option<u64>,
    new_trailer: u64,
    /// Blocks before and after.
    blocks: (u64, u64),
    /// The entry of the block that the old end is in; [`UNUSED`] also if it is at the start of one.
    edge: u32,
    new_blocks: NewBlocks,
    mode: Preallocation,
}

/// Blocks that get a place: from the number `first` on, from this byte of the file on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NewBlocks {
    first: u64,
    count: u64,
    at: u64,
}

/// Plans it.
pub fn plan<T: Target>(
    target: &mut T,
    (image, header): (&Image, &Header),
    new: Footer,
    found: &Survey,
    (mode, scratch): (Preallocation, &mut [u8]),
) -> Result<Plan, PlanError> {
    let (old_size, new_size) = (image.virtual_size(), new.virtual_size());
    let counts = (header.blocks(old_size), header.blocks(new_size));
    let entries = u32::try_from(counts.1).map_err(|_| ResizeError::VhdTooLarge)?;
    let edge = edge(target, header, old_size, scratch)?;
    stands_alone(target, header, (edge, counts.0), scratch)?;
    let trailer = image.trailer(found.end);
    let free = trailer.unwrap_or(image.file_end());
    let len = table_len(counts.1);
    let (table, end) = match room(image, header, found) >= len {
        true => (header.table_offset(), free.max(header.table_offset().saturating_add(len))),
        false => (free, free.saturating_add(len)),
    };
    let mut new_blocks = NewBlocks { first: counts.0, count: 0, at: end };
    if mode != Preallocation::Off {
        if header.locate(old_size).1 != 0 && edge == UNUSED {
            new_blocks.first = counts.0.saturating_sub(1);
        }
        new_blocks.count = counts.1.saturating_sub(new_blocks.first);
    }
    let new_trailer = new_blocks.place(header, new_blocks.count);
    if new_trailer / SECTOR >= u64::from(UNUSED) {
        return Err(ResizeError::VhdFileTooLarge.into());
    }
    let (old, old_header, header) = (image.footer, *header, header.with_table(table, entries));
    Ok(Plan { old, new, old_header, header, trailer, new_trailer, blocks: counts, edge, new_blocks, mode })
}

/// The entry of the block that the byte `size` is within; [`UNUSED`] if it begins one.
fn edge<T: Target>(target: &mut T, header: &Header, size: u64, scratch: &mut [u8]) -> Result<u32, IoError> {
    let (block, within) = header.locate(size);
    if within == 0 {
        return Ok(UNUSED);
    }
    let at = header.table_offset().saturating_add(block.saturating_mul(ENTRY_LEN));
    let entry = scratch.get_mut(..4).unwrap_or_default();
    target.read_at(at, entry)?;
    Ok(be32(entry, 0))
}

/// That no other block lies on the one that the old end is in, whose rest is cleared.
fn stands_alone<T: Target>(
    target: &mut T,
    header: &Header,
    (edge, blocks): (u32, u64),
    scratch: &mut [u8],
) -> Result<(), PlanError> {
    let (start, mut near) = (place(edge), 0_u64);
    if edge != UNUSED {
        let mut visit = |_, entry| {
            let close = place(entry).abs_diff(start) < header.stride();
            near = near.saturating_add(u64::from(entry != UNUSED && close));
        };
        each_entry(target, &mut Buffered::new(scratch), header.table_offset(), 0..blocks, &mut visit)?;
    }
    // The first one near is itself.
    if near > 1 { Err(ImageError::VhdBlocksOverlap { sector: edge.into() }.into()) } else { Ok(()) }
}

/// Bytes that the table may have where it is.
fn room(image: &Image, header: &Header, found: &Survey) -> u64 {
    let table = header.table_offset();
    if image.footer.creator() == XEN {
        return header.table_end().saturating_sub(table);
    }
    // A table that does not begin a sector is moved to where it does.
    if table.is_multiple_of(SECTOR) { found.behind_table.saturating_sub(table) } else { 0 }
}

impl NewBlocks {
    /// Where the block that is `number` blocks behind the first one is.
    fn place(&self, header: &Header, number: u64) -> u64 {
        self.at.saturating_add(number.saturating_mul(header.stride()))
    }
}

impl Plan {
    /// Length of the file after, in bytes.
    pub const fn file_end(&self) -> u64 {
        self.new_trailer.saturating_add(FOOTER_LEN)
    }

    /// Carries it out.
    pub fn run<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        self.prepare(image, scratch).inspect_err(|_| self.give_up(image))?;
        write_header(image, self.old.header_offset(), &self.header)?;
        write_footer(image, 0, &self.new)?;
        write_footer(image, self.new_trailer, &self.new)
    }

    /// Does all that nobody sees yet.
    fn prepare<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        if self.trailer != Some(self.new_trailer) {
            write_footer(image, self.new_trailer, &self.old)?;
        }
        self.clear_edge(image)?;
        self.write_blocks(image, scratch)?;
        image.apply(Patch::Barrier)?;
        self.write_table(image, scratch)?;
        image.apply(Patch::Barrier)
    }

    /// Puts a footer where it was before, so that the file can be cut behind that.
    fn give_up<T: Target>(&self, image: &mut T) {
        if let Some(trailer) = self.trailer.filter(|at| *at != self.new_trailer) {
            // There is one at the end of the file, whether this can be done or not.
            let _ = write_footer(image, trailer, &self.old);
        }
    }

    /// Zeroes what the block with the old end holds behind it: a shrink or another tool may have left it.
    fn clear_edge<T: Target>(&self, image: &mut T) -> Result<(), IoError> {
        if self.edge == UNUSED {
            return Ok(());
        }
        let (start, header) = (place(self.edge), &self.header);
        let (_, within) = header.locate(self.old.virtual_size());
        let from = start.saturating_add(header.bitmap_len()).saturating_add(within);
        zero(image, from, start.saturating_add(header.stride()), false)
    }

    /// Writes the new blocks: every sector is there, and zeros.
    fn write_blocks<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        let (header, new) = (&self.header, self.new_blocks);
        let (start, end) = (new.at, new.place(header, new.count));
        if has_space(self.mode) {
            zero(image, start, end, false)?;
        }
        if self.mode == Preallocation::Full {
            fill(image, (start, end.saturating_sub(start)), 0, scratch)?;
        }
        for number in 0..new.count {
            fill(image, (new.place(header, number), header.bitmap_len()), 0xff, scratch)?;
        }
        Ok(())
    }

    /// Writes the entries that are new; all of them if the table has moved.
    fn write_table<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        let (from, to) = (self.old_header.table_offset(), self.header.table_offset());
        let kept = self.blocks.0.min(self.new_blocks.first);
        let entries = table_len(self.blocks.1).checked_div(ENTRY_LEN).unwrap_or(0);
        let mut number = if from == to { kept } else { 0 };
        while number < entries {
            let count = (scratch.len() as u64 / ENTRY_LEN).min(entries.saturating_sub(number)).max(1);
            let piece = scratch.get_mut(..index(count.saturating_mul(ENTRY_LEN))).unwrap_or_default();
            let old = index(kept.saturating_sub(number).min(count).saturating_mul(ENTRY_LEN));
            let (old, rest) = piece.split_at_mut_checked(old).unwrap_or_default();
            let skip = number.saturating_mul(ENTRY_LEN);
            if !old.is_empty() {
                image.read_at(from.saturating_add(skip), old)?;
            }
            for (slot, number) in rest.as_chunks_mut::<4>().0.iter_mut().zip(number.max(kept)..) {
                put_be32(slot, 0, self.entry(number));
            }
            image.apply(Patch::Write { offset: to.saturating_add(skip), data: piece })?;
            number = number.saturating_add(count);
        }
        Ok(())
    }

    /// The entry of a block that had none.
    fn entry(&self, number: u64) -> u32 {
        let new = &self.new_blocks;
        match number.checked_sub(new.first).filter(|behind| *behind < new.count) {
            Some(behind) => u32::try_from(new.place(&self.header, behind) / SECTOR).unwrap_or(UNUSED),
            None => UNUSED,
        }
    }
}
