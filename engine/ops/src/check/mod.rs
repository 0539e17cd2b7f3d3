//! Checking an image: counting every reference to every host cluster, and comparing the counts with
//! the refcounts that the image claims.
//!
//! Memory is constant. The counts of as many clusters as fit are kept at a time; a larger file
//! takes several passes over its metadata, each for a part of its clusters, skipping the parts that
//! nothing mentions. The first pass also judges every entry and counts the guest's clusters.
//!
//! What a hostile image can make of this is bounded: by [`MAX_PASSES`], by the file's clusters for the
//! L2 tables of an L1 table, by the format's own limits for everything else. What then remains
//! unread is counted in [`CheckReport::check_errors`].

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod extras;
mod mapping;
mod refcounts;
mod tally;
mod window;

use crate::open::{Opened, open};
use crate::*;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{Header, header, refcount};
use mapping::L1;
use refcounts::Claims;
use tally::{Place, Tally};
use window::Window;

/// Most passes over the metadata. With 64 KiB clusters each covers at least 96 GiB in use.
const MAX_PASSES: u32 = 4096;
/// Bytes of a refcount table, snapshot table or bitmap directory read at a time.
const LIST: usize = 64 << 10;
/// Bytes of a refcount block, an L1 table or a bitmap table read at a time.
const TABLE: usize = 512 << 10;
/// Bytes of an L2 table read at a time.
const L2: usize = 1 << 20;

/// What is at hand of the image, one piece per kind of table.
pub(crate) struct Buffers<'b> {
    l1: Buffered<'b>,
    l2: Buffered<'b>,
    claims: Claims<'b>,
    list: Buffered<'b>,
}

/// Checks the metadata of the image on `disk`. Findings go to `findings` as they come, up to 100,000.
///
/// As with `qemu-img check`, dirty and corrupt bits keep nothing from being checked, and references
/// to an external data file are not counted.
///
/// # Errors
/// [`OpError`]: the image is not what it should be, or the device failed.
pub fn check<D: ReadAt>(
    disk: &mut D,
    request: &CheckRequest,
    scratch: &mut [u8],
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<CheckReport, OpError> {
    let header = match open(disk, request.format)? {
        Opened::Raw => return Err(Refusal::NoChecks.into()),
        Opened::Qcow2(header) => header,
    };
    let (mut buffers, rest) = Buffers::carve(scratch);
    let counted = header.geometry.clusters(disk.len()).saturating_add(1);
    let window = Window::new(rest, counted, refcount::max(header.geometry.refcount_order()));
    let mut tally = Tally::new(header, disk.len(), window, findings);
    run(disk, &mut buffers, &mut tally)?;
    Ok(tally.report)
}

fn run<D: ReadAt>(disk: &mut D, buffers: &mut Buffers<'_>, tally: &mut Tally<'_>) -> Result<(), OpError> {
    let mut first = 0;
    for _ in 0..MAX_PASSES {
        tally.window.reset(first);
        pass(disk, buffers, tally)?;
        match tally.window.next() {
            Some(next) => first = next,
            None => return Ok(()),
        }
        tally.first_pass = false;
    }
    tally.incomplete(1);
    Ok(())
}

fn pass<D: ReadAt>(disk: &mut D, buffers: &mut Buffers<'_>, tally: &mut Tally<'_>) -> Result<(), OpError> {
    refcounts::load(disk, buffers, tally)?;
    let size = tally.geometry().cluster_size();
    tally.refer(0, size, Place { table: Table::L1, offset: 0, value: 0 });
    mapping::count(disk, buffers, tally, active_l1(&tally.header))?;
    extras::snapshots(disk, buffers, tally)?;
    extras::crypto(disk, tally)?;
    extras::bitmaps(disk, buffers, tally)?;
    refcounts::count(disk, buffers, tally)?;
    refcounts::compare(tally);
    Ok(())
}

const fn active_l1(header: &Header) -> L1 {
    let named_by = Place { table: Table::L1, offset: header::at::L1_OFFSET as u64, value: header.l1_offset };
    L1 { offset: header.l1_offset, entries: header.l1_entries, active: true, named_by }
}

impl<'b> Buffers<'b> {
    /// Takes the pieces from the front of `scratch` and returns the rest. Too short a scratch gives
    /// empty pieces, and a check that finds nothing to read.
    fn carve(scratch: &'b mut [u8]) -> (Self, &'b mut [u8]) {
        let mut rest = scratch;
        let mut take = |len: usize| {
            let (piece, after) = core::mem::take(&mut rest).split_at_mut_checked(len).unwrap_or_default();
            rest = after;
            Buffered::new(piece)
        };
        let (l1, l2, table, block, list) = (take(TABLE), take(L2), take(LIST), take(TABLE), take(LIST));
        (Self { l1, l2, claims: Claims { table, block }, list }, rest)
    }
}

#[cfg(test)]
mod tests;
