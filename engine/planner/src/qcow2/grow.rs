//! Growing: a larger L1 table where the old one is too small, and what fills the new area.
//!
//! Everything new lies in one run of reserved clusters: the L1 table, data clusters, L2 tables. The end of the file is
//! that of a whole cluster then, unless there is nothing but an L1 table.

use super::bitmaps::BitmapsPlan;
use super::commit;
use super::fill::{self, Fill, Goal};
use super::leftover::{Unshare, l1_of};
use super::refcounts::{Run, table_of, update};
use super::reserve::Reservation;
use super::scratch::Scratch;
use super::table::{Table, TableWindow, copy_table};
use crate::{Patch, PlanError, ResizeError, Surroundings, Target};
use core::ops::Range;
use instar_formats::io::ReadAt;
use instar_formats::qcow2::entry::OFFSET_MASK;
use instar_formats::qcow2::geometry::MAX_L1_ENTRIES;
use instar_formats::qcow2::{Geometry, Header};

/// Bytes of the largest L2 entry.
const ENTRY: usize = 16;

/// Where everything new goes.
#[derive(Debug, Clone, Copy)]
pub struct GrowPlan {
    goal: Goal,
    fill: Option<Fill>,
    /// Entries of a new L1 table; none if the old one stays.
    l1_entries: Option<u64>,
    place: Reservation,
    parts: Parts,
}

/// What the reserved clusters are for, in this order.
#[derive(Debug, Clone, Copy)]
struct Parts {
    l1: Run,
    data: Run,
    tables: Run,
}

impl Parts {
    fn new(first: u64, l1: u64, data: u64, tables: u64) -> Self {
        let l1 = Run { first, count: l1 };
        let data = Run { first: l1.end(), count: data };
        Self { l1, data, tables: Run { first: data.end(), count: tables } }
    }
}

/// Plans the growth that `goal` describes.
pub fn plan<R: ReadAt>(
    image: &mut R,
    header: &Header,
    goal: &Goal,
    scratch: &mut Scratch<'_>,
) -> Result<GrowPlan, PlanError> {
    let g = header.geometry;
    let entries = g.l1_entries(goal.new);
    if entries > MAX_L1_ENTRIES {
        return Err(ResizeError::L1TooLarge.into());
    }
    let l1_entries = (entries > header.l1_entries).then_some(entries);
    let fill = fill::plan(image, header, goal, scratch)?;
    let (data, tables) = fill.as_ref().map_or((0, 0), |fill| (fill.data_clusters(), fill.tables()));
    let l1 = l1_entries.map_or(0, |entries| g.clusters(entries.saturating_mul(8)));
    let need = data.saturating_add(tables).saturating_add(l1);
    let place = Reservation::plan(image, header, need, scratch)?;
    if g.offset(place.clusters().end()) > OFFSET_MASK {
        return Err(ResizeError::FileTooLarge.into());
    }
    let parts = Parts::new(place.clusters().first, l1, data, tables);
    Ok(GrowPlan { goal: *goal, fill, l1_entries, place, parts })
}

impl GrowPlan {
    /// What of the old tables is written to.
    pub fn unshare(&self) -> Unshare {
        self.fill.as_ref().map(Fill::unshare).unwrap_or_default()
    }

    /// What is read of the backing file, in bytes of the disk.
    pub fn reads_behind(&self, g: Geometry) -> Range<u64> {
        self.fill.as_ref().map_or(0..0, |fill| fill.reads(g))
    }

    /// Carries the growth out and returns the length of the file in bytes; `header` follows. If the device fails before
    /// the header is written, what was taken is let go again as far as that is still possible.
    pub fn run<T: Target>(
        &self,
        image: &mut T,
        header: &mut Header,
        around: &mut Surroundings<'_>,
        (file_len, bitmaps): (u64, &BitmapsPlan),
        s: &mut Scratch<'_>,
    ) -> Result<u64, PlanError> {
        let g = header.geometry;
        let mut new = *header;
        fill::clear_data_file(around, g, &self.goal)?;
        let reserved = self.prepare(image, header, around, s);
        if let Err(failed) = reserved.and_then(|()| self.place.run(image, &mut new, s)) {
            let _ = self.discard(image, g);
            return Err(failed);
        }
        self.name(image, &new, s)?;
        bitmaps.guard(image, &new, s)?;
        let old = l1_of(header);
        new.size_field = self.goal.new;
        if let Some(table) = self.new_l1(g) {
            (new.l1_offset, new.l1_entries) = (table.offset, table.entries);
        }
        commit::fields(image, &new)?;
        if self.l1_entries.is_some() {
            release(image, &new, old, s)?;
        }
        *header = new;
        Ok(self.end(g).max(file_len))
    }

    /// Writes what the new clusters are to hold.
    fn prepare<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        around: &mut Surroundings<'_>,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        let (g, parts) = (header.geometry, &self.parts);
        if let Some(fill) = &self.fill {
            let last = parts.tables.count == 0;
            fill.write_data(image, g, around, parts.data, last, s.copy)?;
            fill.write_tables(image, g, parts.tables.first, parts.data.first, s.copy)?;
        }
        if let Some(l1) = self.new_l1(g) {
            copy_table(image, self.kept_l1(header), l1, s.copy)?;
            if let Some(fill) = &self.fill {
                fill.name_tables(image, g, l1, parts.tables.first, s.copy)?;
            }
        }
        Ok(())
    }

    /// Writes the entries that go to tables that there are. All of them are beyond the end of the disk,
    /// but that of the cluster that the old end lies in, which keeps its content.
    fn name<T: Target>(&self, image: &mut T, header: &Header, s: &mut Scratch<'_>) -> Result<(), PlanError> {
        let (g, l1) = (header.geometry, l1_of(header));
        let Some(fill) = &self.fill else { return Ok(()) };
        let old_l1 = self.l1_entries.is_none() && self.parts.tables.count > 0;
        if !old_l1 && !fill.writes_straddling() {
            return Ok(());
        }
        let mut before = [0; ENTRY];
        fill.edge_entry(image, g, &mut before)?;
        let mut write = || {
            fill.name_in_l2(image, g, self.parts.data.first, s.copy)?;
            if old_l1 {
                fill.name_tables(image, g, l1, self.parts.tables.first, s.copy)?;
            }
            Ok(image.apply(Patch::Barrier)?)
        };
        if let Err(failed) = write() {
            let _ = self.undo(image, header, old_l1, &before, s);
            return Err(failed);
        }
        Ok(())
    }

    /// Takes back the entries, then lets the clusters go.
    fn undo<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        old_l1: bool,
        before: &[u8; ENTRY],
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        let g = header.geometry;
        if let Some(fill) = &self.fill {
            fill.unname(image, g, old_l1.then(|| l1_of(header)), before)?;
        }
        self.place.undo(image, header, s)?;
        self.discard(image, g)
    }

    fn discard<T: Target>(&self, image: &mut T, g: Geometry) -> Result<(), PlanError> {
        match &self.fill {
            Some(fill) => fill.discard(image, g, self.parts.data),
            None => Ok(()),
        }
    }

    /// What of the old L1 table a new one takes over. The entries of new L2 tables come behind that, and are empty there.
    fn kept_l1(&self, header: &Header) -> Table {
        let old = l1_of(header);
        let first = self.fill.as_ref().map_or(old.entries, Fill::first_table);
        Table { entries: old.entries.min(first), ..old }
    }

    fn new_l1(&self, g: Geometry) -> Option<Table> {
        self.l1_entries.map(|entries| Table { offset: g.offset(self.parts.l1.first), entries })
    }

    /// The byte after the last one written.
    fn end(&self, g: Geometry) -> u64 {
        let data = self.fill.as_ref().map_or(0, |fill| fill.data_end(g, self.parts.data));
        let tables = if self.parts.tables.count == 0 { 0 } else { g.offset(self.parts.tables.end()) };
        let l1 = self.new_l1(g).map_or(0, |table| table.at(table.entries));
        data.max(tables).max(l1).max(self.place.refcounts_end(g))
    }
}

/// Lets go of the old L1 table, which nothing names any more.
fn release<T: Target>(
    image: &mut T,
    header: &Header,
    old: Table,
    s: &mut Scratch<'_>,
) -> Result<(), PlanError> {
    let g = header.geometry;
    let run = Run { first: g.cluster(old.offset), count: g.clusters(old.entries.saturating_mul(8)) };
    let mut window = TableWindow::new(table_of(header), s.table);
    update(image, header, &mut window, s.block, run, |count| count.saturating_sub(1))?;
    Ok(image.apply(Patch::Barrier)?)
}
