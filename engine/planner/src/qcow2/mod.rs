//! qcow2: what a resize changes, and why a crash at any moment leaves a good image.
//!
//! The header's size, L1 and refcount-table fields lie in the first 512-byte sector, which a disk
//! writes whole or not at all. That sector is the commit word; one write changes every field that
//! changes ([`commit`]).
//!
//! **Grow** ([`grow`]), between barriers:
//! 1. the new L1 table, and clusters and L2 tables for the new area (`fill`), in clusters that are free,
//!    and the counts of these clusters (`reserve`): as long as nothing names them, they are leaks;
//! 2. entries of tables that there are: all are beyond the end of the disk, and what a crash leaves there
//!    the next resize releases; but the entry of the cluster that the old end lies in may get a copy,
//!    which reads the same up to the end;
//! 3. the header sector;
//! 4. the refcounts of the old L1 table go down: until then it is a leak.
//!
//! **Shrink** ([`shrink`]):
//! 1. the header sector: the disk has its new size, and what lies beyond is out of reach;
//! 2. for each batch of tables: first the entries that name them are cleared, then, behind a barrier,
//!    the refcounts of what they named go down and the space is given back: in between it is leaked;
//! 3. what holds the end of the file and can be moved is moved (`settle`);
//! 4. refcount blocks that became empty, and any that end the file, leave the refcount table, then
//!    lose their own refcount;
//! 5. the file is cut after its last cluster in use.
//!
//! What an internal snapshot has, too, is never changed: an L2 table or a last cluster that must change
//! is copied first (`cow`), before step 1, and so is a last cluster that is compressed. Snapshots' own tables
//! are left alone; what the disk lets go of and a snapshot still has loses one reference (`release`).
//!
//! Persistent bitmaps get the disk's new size with it (`bitmaps`).
//!
//! A shrink that a crash cut short leaves clusters beyond the end of the disk allocated. The next
//! resize of any kind finds and releases them before it does anything else, so that a new area
//! reads as zeros whatever happened before.

mod alloc;
mod batch;
mod bitmaps;
pub mod commit;
mod cow;
pub mod create;
mod fill;
mod gate;
pub mod grow;
mod leftover;
mod refcounts;
mod release;
mod reserve;
mod scratch;
mod settle;
pub mod shrink;
pub mod snapshots;
mod table;
mod trim;
mod verify;

use crate::longer::Longer;
use crate::{PlanError, Request, ResizeAction, ResizeError, Surroundings, Target};
use bitmaps::BitmapsPlan;
use core::ops::Range;
use fill::Goal;
use grow::GrowPlan;
use instar_formats::bytes::index;
use instar_formats::io::ReadAt;
use instar_formats::qcow2::Header;
use instar_formats::qcow2::header::SECTOR;
use leftover::Leftover;
use reserve::Reservation;
use scratch::Scratch;

/// A resize whose every refusal is decided. Sizes in bytes.
#[derive(Debug, Clone, Copy)]
pub struct ResizePlan {
    /// Larger, smaller or the same.
    pub action: ResizeAction,
    /// Virtual size before.
    pub old_virtual_size: u64,
    /// Virtual size after.
    pub new_virtual_size: u64,
    header: Header,
    goal: Goal,
    file_len: u64,
    grow: Option<GrowPlan>,
    leftover: Leftover,
    bitmaps: BitmapsPlan,
    /// Where copies of what a snapshot has, too, go, and behind them what is new of bitmaps.
    copies: Reservation,
}

/// Plans the resize of the image whose header is `header`. Nothing is written.
///
/// # Errors
/// [`PlanError`]: the request was refused, the image makes no sense, or the device failed.
pub fn plan_resize<R: ReadAt>(
    image: &mut R,
    header: &Header,
    request: &Request,
    around: &mut Surroundings<'_>,
    scratch: &mut [u8],
) -> Result<ResizePlan, PlanError> {
    gate::before_request(header)?;
    let old = header.virtual_size();
    let new = request.resolve(old)?;
    if new & (SECTOR - 1) != 0 {
        return Err(ResizeError::NotMultipleOf512.into());
    }
    gate::features(image, header, around)?;
    let goal = Goal::new(header, new, request.preallocation, around);
    plan(image, header, &goal, around, scratch)
}

fn plan<R: ReadAt>(
    image: &mut R,
    header: &Header,
    goal: &Goal,
    around: &mut Surroundings<'_>,
    scratch: &mut [u8],
) -> Result<ResizePlan, PlanError> {
    let mut scratch = Scratch::split(scratch)?;
    let (old, new, file_len) = (goal.old, goal.new, image.len());
    header.check_against_file(file_len)?;
    let bitmaps = bitmaps::plan(image, header, new, &mut scratch)?;
    let action = ResizeAction::between(old, new);
    let grow = match action {
        ResizeAction::Grow => Some(grow::plan(image, header, goal, &mut scratch)?),
        ResizeAction::Shrink | ResizeAction::NoOp => None,
    };
    let unshare = grow.as_ref().map(GrowPlan::unshare).unwrap_or_default();
    let leftover = leftover::find(image, header, (old.min(new), unshare), around, &mut scratch)?;
    if action == ResizeAction::Shrink || leftover.has_clusters() {
        verify::refcount_table(image, header, scratch.table)?;
    }
    let need = leftover.need().saturating_add(bitmaps.need());
    let copies = Reservation::plan(image, header, need, &mut scratch)?;
    if grow.is_some() && need > 0 {
        // The place for what grows is sought again once the copies have theirs: it must not turn out to be in use then.
        alloc::refuse_uncounted(image, header, &mut scratch)?;
    }
    Ok(ResizePlan {
        action,
        old_virtual_size: old,
        new_virtual_size: new,
        header: *header,
        goal: *goal,
        file_len,
        grow,
        leftover,
        bitmaps,
        copies,
    })
}

impl ResizePlan {
    /// What of the backing file is read to carry the plan out, in bytes of the disk; an empty range if nothing is.
    #[must_use]
    pub fn reads_behind(&self) -> Range<u64> {
        self.grow.as_ref().map_or(0..0, |grow| grow.reads_behind(self.header.geometry))
    }

    /// Carries the plan out and returns the length in bytes that the file must be given in the end.
    ///
    /// # Errors
    /// [`PlanError::Io`] if the device failed: the image is good at its old or its new size.
    pub fn run<T: Target>(
        &self,
        image: &mut T,
        around: &mut Surroundings<'_>,
        scratch: &mut [u8],
    ) -> Result<u64, PlanError> {
        let mut s = Scratch::split(scratch)?;
        let (mut header, g) = (self.header, self.header.geometry);
        let copies = self.copies.clusters();
        let mut len = self.file_len.max(self.copies.refcounts_end(g));
        if copies.count > 0 {
            len = len.max(g.offset(copies.end()));
        }
        let mut image = Longer { image, len };
        self.copy(&mut image, &mut header, around, &mut s)?;
        if self.action == ResizeAction::Shrink || self.size_field_differs() {
            self.bitmaps.guard(&mut image, &header, &mut s)?;
            commit::size(&mut image, &header, self.new_virtual_size)?;
        }
        let blocks = index(header.refcount_table_entries().div_ceil(8)).min(s.touched.len());
        s.touched = core::mem::take(&mut s.touched).get_mut(..blocks).unwrap_or_default();
        s.touched.fill(0);
        shrink::release(&mut image, &header, &self.leftover, copies, &mut s)?;
        if let Some(mut grow) = self.grow {
            self.bitmaps.switch(&mut image, &header, self.first_for_bitmaps(), &mut s)?;
            if copies.count > 0 {
                // The copies have taken free clusters.
                grow = grow::plan(&mut image, &header, &self.goal, &mut s)?;
            }
            let len = grow.run(&mut image, &mut header, around, (len, &self.bitmaps), &mut s)?;
            self.bitmaps.finish(&mut image, &header, &mut s)?;
            return Ok(len);
        }
        self.bitmaps.finish(&mut image, &header, &mut s)?;
        if self.action == ResizeAction::NoOp && !self.leftover.has_clusters() {
            return Ok(len);
        }
        header.size_field = self.new_virtual_size;
        settle::settle(&mut image, &mut header, self.leftover.cow, &mut s)?;
        trim::give_back(&mut image, &header, len, &mut s)
    }

    /// Makes the copies, which nothing names yet.
    fn copy<T: Target>(
        &self,
        image: &mut T,
        header: &mut Header,
        around: &mut Surroundings<'_>,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        if let Some(cow) = self.leftover.cow {
            cow.prepare(image, header, around, self.copies.clusters(), s)?;
        }
        self.bitmaps.prepare(image, header, self.first_for_bitmaps(), s)?;
        self.copies.run(image, header, s)
    }

    /// The first cluster for what is new of bitmaps.
    fn first_for_bitmaps(&self) -> u64 {
        self.copies.clusters().first.saturating_add(self.leftover.need())
    }

    /// A field between two sectors reads as the lower one, and is set right even where the disk
    /// keeps its size.
    const fn size_field_differs(&self) -> bool {
        matches!(self.action, ResizeAction::NoOp) && self.header.size_field != self.new_virtual_size
    }
}
