//! Releasing what lies beyond the end of the disk.

use super::leftover::{Leftover, Straddling, l1_of, load_l2};
use super::refcounts::Run;
use super::release::Release;
use super::scratch::Scratch;
use super::table::{TableWindow, clear};
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{be64, index, put_be64};
use instar_formats::qcow2::Header;
use instar_formats::qcow2::entry::OFFSET_MASK;

/// Zeroes the stale tail of the last cluster, clears every table entry beyond the end, and releases
/// what those entries named. What a snapshot has, too, is replaced by its copy in `copies` first. Ends
/// with a barrier if it did anything.
pub fn release<T: Target>(
    image: &mut T,
    header: &Header,
    leftover: &Leftover,
    copies: Run,
    s: &mut Scratch<'_>,
) -> Result<(), PlanError> {
    if let Some((offset, len)) = leftover.tail {
        image.apply(Patch::ZeroFill { offset, len, unmap: false })?;
    }
    if let Some(cow) = leftover.cow {
        cow.switch(image, header, copies)?;
    }
    let mut release = Release::new(header, s.table, s.block, s.batch, s.touched);
    if let Some(straddling) = leftover.straddling {
        let copied = leftover.cow.is_some_and(|cow| cow.table);
        release.straddling(image, straddling, copied, s.l2)?;
    }
    if let Some(cow) = leftover.cow {
        cow.originals(header).try_for_each(|cluster| release.cluster(image, cluster))?;
    }
    if leftover.l1_in_use {
        release.tables(image, leftover.first_l1, s.l1, s.tables, s.l2)?;
    }
    release.flush(image)?;
    if leftover.tail.is_some() || leftover.has_clusters() {
        image.apply(Patch::Barrier)?;
    }
    Ok(())
}

impl Release<'_, '_> {
    /// Clears the straddling table's entries beyond the end, unless a copy without them has taken its
    /// place, then lets their clusters go.
    fn straddling<T: Target>(
        &mut self,
        image: &mut T,
        at: Straddling,
        copied: bool,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        let size = self.header.geometry.l2_entry_size();
        let table = load_l2(image, self.header, at.table, buf)?;
        let beyond = table.get(index(at.first.saturating_mul(size))..).unwrap_or_default();
        if !copied {
            let offset = at.table.saturating_add(at.first.saturating_mul(size));
            clear(image, offset, beyond.len() as u64)?;
            image.apply(Patch::Barrier)?;
        }
        self.entries(image, beyond)
    }

    /// Clears the L1 entries from `first` on, as many at a time as `list` holds, then lets the tables
    /// go that they named, and what those name.
    fn tables<T: Target>(
        &mut self,
        image: &mut T,
        first: u64,
        window: &mut [u8],
        list: &mut [u8],
        l2: &mut [u8],
    ) -> Result<(), PlanError> {
        let table = l1_of(self.header);
        let mut l1 = TableWindow::new(table, window);
        let mut next = first;
        loop {
            let (start, mut held) = (next, 0_usize);
            while let (true, Some((slot, value))) = (held < list.len(), l1.next_used(image, next)?) {
                put_be64(list, held, value & OFFSET_MASK);
                held = held.saturating_add(8);
                next = slot.saturating_add(1);
            }
            if held == 0 {
                return Ok(());
            }
            clear(image, table.at(start), next.saturating_sub(start).saturating_mul(8))?;
            image.apply(Patch::Barrier)?;
            for at in (0..held).step_by(8) {
                self.table(image, be64(list, at), l2)?;
            }
        }
    }

    /// Lets an L2 table's clusters go, and the table itself once all of it has been read.
    fn table<T: Target>(&mut self, image: &mut T, table: u64, buf: &mut [u8]) -> Result<(), PlanError> {
        let entries = load_l2(image, self.header, table, buf)?;
        self.entries(image, entries)?;
        self.cluster(image, self.header.geometry.cluster(table))
    }
}
