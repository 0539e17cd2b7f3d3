//! Creating a sparse extent: a new file that nobody has before it is whole, so that its order is none. Both
//! directories and all tables are there from the beginning.

use super::tables::{PIECE, addressable, byte};
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{put, put_le32};
use instar_formats::vmdk::footer::{END_OF_STREAM, FOOTER, GRAIN_DIRECTORY, GRAIN_TABLE, put_marker};
use instar_formats::vmdk::header::{HEADER_LEN, directory_sectors, flags};
use instar_formats::vmdk::{Layout, SparseHeader};

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
        let tables = (layout.tables, Layout::TABLE_SECTORS);
        fill(image, (directory, layout.first_table(directory)), tables, buf)?;
    }
    image.apply(Patch::Barrier)?;
    Ok(byte(layout.overhead))
}

/// Writes a directory of `tables` tables, of which the first is at `table` and each is `step` behind another.
fn fill<T: Target>(
    image: &mut T,
    (directory, mut table): (u64, u64),
    (tables, step): (u64, u64),
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
            (table, missing) = (table.saturating_add(step), missing.saturating_sub(1));
        }
        image.apply(Patch::Write { offset: at, data: piece })?;
        (at, left) = (at.saturating_add(len), left.saturating_sub(len.max(1)));
    }
    Ok(())
}

/// Where the markers of a stream begin, in sectors: behind header and descriptor.
const STREAM: u64 = 128;

/// The same of a stream-optimized extent, in the form that the specification gives it: a marker in front of every
/// table and of the directory, a footer, and the mark of its end. All tables are there, and the header tells the
/// directory's place too, so that QEMU can write grains behind all of it.
///
/// # Errors
/// As [`run`].
pub fn run_stream<T: Target>(
    image: &mut T,
    capacity: u64,
    more_flags: u32,
    descriptor: &[u8],
    scratch: &mut [u8],
) -> Result<u64, PlanError> {
    let layout = Layout::new(capacity);
    let (tables, per) = (layout.tables, Layout::TABLE_SECTORS.saturating_add(1));
    let directory = STREAM.saturating_add(tables.saturating_mul(per)).saturating_add(1);
    let footer = directory.saturating_add(directory_sectors(tables)).saturating_add(1);
    let end = footer.saturating_add(2);
    addressable(end)?;
    let flags = flags::NEWLINES | flags::COMPRESSED | flags::MARKERS | more_flags;
    let header = SparseHeader { redundant: 0, directory, overhead: STREAM, ..layout.header(flags) };
    let head = scratch.get_mut(..HEADER_LEN.saturating_add(descriptor.len())).unwrap_or_default();
    head.fill(0);
    header.encode(head);
    put(head, HEADER_LEN, descriptor);
    image.apply(Patch::Write { offset: 0, data: head })?;
    for n in 0..tables {
        let at = STREAM.saturating_add(n.saturating_mul(per));
        marker(image, at, GRAIN_TABLE, Layout::TABLE_SECTORS)?;
    }
    marker(image, directory.saturating_sub(1), GRAIN_DIRECTORY, directory_sectors(tables))?;
    let buf = scratch.get_mut(..PIECE).unwrap_or_default();
    fill(image, (directory, STREAM.saturating_add(1)), (tables, per), buf)?;
    marker(image, footer.saturating_sub(1), FOOTER, 1)?;
    let mut sector = [0; HEADER_LEN];
    header.encode(&mut sector);
    image.apply(Patch::Write { offset: byte(footer), data: &sector })?;
    marker(image, footer.saturating_add(1), END_OF_STREAM, 0)?;
    image.apply(Patch::Barrier)?;
    Ok(byte(end))
}

fn marker<T: Target>(image: &mut T, at: u64, kind: u32, sectors: u64) -> Result<(), PlanError> {
    let mut sector = [0; HEADER_LEN];
    put_marker(&mut sector, kind, sectors);
    Ok(image.apply(Patch::Write { offset: byte(at), data: &sector })?)
}
