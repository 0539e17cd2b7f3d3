//! Checking an image: counting every reference to every host cluster, and comparing the counts with
//! the refcounts that the image claims. Repairing it ([`repair`]) by what was counted.
//!
//! Memory is constant. The counts of as many clusters as fit are kept at a time; a larger file
//! takes several passes over its metadata, each for a part of its clusters, skipping the parts that
//! nothing mentions. The first pass also judges every entry and counts the guest's clusters.
//!
//! What a hostile image can make of this is bounded: by [`MAX_PASSES`], by the file's clusters for the
//! L2 tables of an L1 table, by the format's own limits for everything else. What then remains
//! unread is counted in [`CheckReport::check_errors`], and nothing is repaired.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod compare;
mod extras;
mod longer;
mod mapping;
mod mend;
mod patches;
mod rebuild;
mod refcounts;
mod repair;
mod snapshots;
mod tally;
mod window;

pub use mend::resize_mended;

use crate::open::{Opened, open, open_repairable};
use crate::*;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{Header, header, refcount};
use longer::Longer;
use mapping::L1;
use refcounts::Claims;
use tally::{Place, Stage, Tally};
use window::Window;

/// Most passes over the metadata. With 64 KiB clusters each covers at least 96 GiB in use.
const MAX_PASSES: u32 = 4096;
/// Bytes of a refcount table, snapshot table or bitmap directory read at a time.
const LIST: usize = 64 << 10;
/// Bytes of a refcount block, an L1 table or a bitmap table read at a time.
const TABLE: usize = 512 << 10;
/// Bytes of an L2 table read at a time.
const L2: usize = 1 << 20;
/// Bytes of a refcount block changed at a time.
const EDIT: usize = 64 << 10;
/// Clusters that a repair may add to a small image without taking another pass over it.
const ADDED: u64 = 1024;

/// What is at hand of the image, one piece per kind of table.
pub(crate) struct Buffers<'b> {
    l1: Buffered<'b>,
    l2: Buffered<'b>,
    claims: Claims<'b>,
    list: Buffered<'b>,
    edit: &'b mut [u8],
}

/// Checks the metadata of the image on `disk`, and repairs what the request says. Findings go to
/// `findings` as they come, up to 100,000.
///
/// As with `qemu-img check`, dirty and corrupt bits keep nothing from being checked, and references
/// to an external data file are not counted. After a repair the counts are those of a second check. The
/// file may have become longer, by new refcount structures, and never shorter.
///
/// # Errors
/// [`OpError`]: the image is not what it should be, or the device failed. [`Refusal::CheckFailed`]: new
/// refcount structures are needed, and not asked for or not possible.
pub fn check<D: Disk>(
    disk: &mut D,
    request: &CheckRequest,
    scratch: &mut [u8],
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<CheckReport, OpError> {
    check_with(disk, &mut [], request, scratch, findings)
}

/// As [`check`], of an image whose `extents` have files of their own.
///
/// # Errors
/// As [`check`].
pub fn check_with<D: Disk>(
    disk: &mut D,
    extents: &mut [&mut dyn Disk],
    request: &CheckRequest,
    scratch: &mut [u8],
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<CheckReport, OpError> {
    let opened = if request.repair == Repair::All { open_repairable } else { open };
    let image = match opened(disk, request.format) {
        // What can be repaired need not be good.
        Err(OpError::Image(ImageError::VhdNone | ImageError::VhdChecksum)) => {
            return crate::vhd::check(disk, request.repair, scratch, findings);
        }
        opened => opened?,
    };
    image.check_unlocked(request.unlocked)?;
    let header = match image {
        Opened::Raw => return Err(Refusal::NoChecks.into()),
        Opened::Luks(header) => {
            header.virtual_size(disk.len())?;
            return Err(Refusal::NoChecks.into());
        }
        Opened::Qed(header) => return Ok(crate::qed::check(disk, &header, request.repair, scratch)?),
        Opened::Vhd(_) => return crate::vhd::check(disk, request.repair, scratch, findings),
        Opened::Vhdx => return crate::vhdx::check(disk, request.repair, scratch, findings),
        Opened::Vmdk(kind) => return vmdk::check(disk, extents, (kind, request.repair), scratch, findings),
        Opened::Qcow2(header) => header,
    };
    header.check_files()?;
    let mut disk = Longer::new(disk);
    if request.repair != Repair::Nothing {
        return repair::run(&mut disk, header, request.repair, scratch, findings);
    }
    let (mut buffers, mut tally) = prepare(header, (disk.len(), 0), scratch, findings);
    snapshots::examine(&mut disk, &mut buffers, &mut tally, Repair::Nothing)?;
    walk(&mut disk, &mut buffers, &mut tally, Stage::CHECK)?;
    Ok(tally.report)
}

fn prepare<'s>(
    header: Header,
    (file_len, added): (u64, u64),
    scratch: &'s mut [u8],
    findings: &'s mut dyn FnMut(CheckFinding),
) -> (Buffers<'s>, Tally<'s>) {
    let (buffers, rest) = Buffers::carve(scratch);
    // References may reach into the cluster behind the file's last one.
    let counted = header.geometry.clusters(file_len).saturating_add(added).saturating_add(1);
    let window = Window::new(rest, counted, refcount::max(header.geometry.refcount_order()));
    (buffers, Tally::new(header, file_len, window, findings))
}

/// Walks the metadata once for each window of clusters, and does what `stage` says.
fn walk<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    stage: Stage,
) -> Result<(), OpError> {
    if stage.counts {
        tally.shown = tally::Shown::default();
    }
    (tally.stage, tally.first_pass, tally.past_end) = (stage, true, 0);
    each_window(disk, buffers, tally, |disk, buffers, tally| {
        refcounts::load(disk, buffers, tally)?;
        if !stage.counts {
            mapping::count(disk, buffers, tally, active_l1(&tally.header))?;
            return Ok(tally.patches.write(disk)?);
        }
        references(disk, buffers, tally)?;
        if stage.compares {
            compare::compare(tally);
            compare::write(disk, buffers, tally)?;
        }
        Ok(())
    })
}

/// Runs `pass` for each window of clusters that something mentions.
fn each_window<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    mut pass: impl FnMut(&mut Longer<'_, D>, &mut Buffers<'_>, &mut Tally<'_>) -> Result<(), OpError>,
) -> Result<(), OpError> {
    let mut first = 0;
    for _ in 0..MAX_PASSES {
        buffers.forget();
        tally.window.reset(first);
        pass(disk, buffers, tally)?;
        match tally.window.next() {
            Some(next) => first = next,
            None => return Ok(()),
        }
        tally.first_pass = false;
    }
    tally.unwalked();
    Ok(())
}

/// Counts every reference to the clusters of the window.
fn references<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), OpError> {
    let size = tally.geometry().cluster_size();
    tally.refer(0, size, Place { table: Table::L1, offset: 0, value: 0 });
    mapping::count(disk, buffers, tally, active_l1(&tally.header))?;
    extras::snapshots(disk, buffers, tally)?;
    extras::crypto(disk, tally)?;
    extras::bitmaps(disk, buffers, tally)?;
    refcounts::count(disk, buffers, tally)?;
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
        let (edit, rest) = rest.split_at_mut_checked(EDIT).unwrap_or_default();
        (Self { l1, l2, claims: Claims { table, block }, list, edit }, rest)
    }

    /// Forgets what is at hand: the image may have changed.
    const fn forget(&mut self) {
        self.l1.forget();
        self.l2.forget();
        self.claims.table.forget();
        self.claims.block.forget();
        self.list.forget();
    }
}

#[cfg(test)]
mod tests;
