//! Creating a sparse extent: a new file that nobody has before it is whole, so that its order is none. Both
//! directories and all tables are there from the beginning.

use super::tables::{PIECE, addressable, byte};
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{put, put_le32};
use instar_formats::vmdk::Layout;
use instar_formats::vmdk::header::{HEADER_LEN, directory_sectors, flags};

/// Lays out an extent on an empty target, with `descriptor` in it unless that is empty, and returns the length in
/// bytes that its file must be given. `flags` are those of the header.
///
/// # Errors
/// [`PlanError`]: it is larger than its entries can tell, or the device failed.
pub fn run<T: Target>(
    image: &mut T,
    capacity: u64,
    flags: u32,
    descriptor: &[u8],
    scratch: &mut [u8],
) -> Result<u64, PlanError> {
    let layout = Layout::new(capacity);
    addressable(layout.overhead)?;
    let head = scratch.get_mut(..HEADER_LEN.saturating_add(descriptor.len())).unwrap_or_default();
    head.fill(0);
    layout.header(flags).encode(head);
    put(head, HEADER_LEN, descriptor);
    image.apply(Patch::Write { offset: 0, data: head })?;
    let buf = scratch.get_mut(..PIECE).unwrap_or_default();
    let homes = [Some(layout.directory), (flags & flags::REDUNDANT != 0).then_some(layout.redundant)];
    for directory in homes.into_iter().flatten() {
        fill(image, (directory, layout.first_table(directory)), layout.tables, buf)?;
    }
    image.apply(Patch::Barrier)?;
    Ok(byte(layout.overhead))
}

/// Writes a directory of `tables` tables, of which the first is at `table` and each follows another.
fn fill<T: Target>(
    image: &mut T,
    (directory, mut table): (u64, u64),
    tables: u64,
    buf: &mut [u8],
) -> Result<(), PlanError> {
    let (mut at, mut left) = (byte(directory), byte(directory_sectors(tables)));
    let mut missing = tables;
    while left > 0 {
        let len = left.min(buf.len() as u64);
        let piece = buf.get_mut(..instar_formats::bytes::index(len)).unwrap_or_default();
        piece.fill(0);
        for n in (0..piece.len()).step_by(4).take(instar_formats::bytes::index(missing)) {
            put_le32(piece, n, u32::try_from(table).unwrap_or(0));
            (table, missing) = (table.saturating_add(Layout::TABLE_SECTORS), missing.saturating_sub(1));
        }
        image.apply(Patch::Write { offset: at, data: piece })?;
        (at, left) = (at.saturating_add(len), left.saturating_sub(len.max(1)));
    }
    Ok(())
}
