//! Growing: a larger L1 table where the old one is too small.

use super::bitmaps::BitmapsPlan;
use super::commit;
use super::refcounts::{Run, table_of, update};
use super::reserve::Reservation;
use super::scratch::Scratch;
use super::table::{Table, TableWindow, copy_table};
use crate::{Patch, PlanError, ResizeError, Target};
use instar_formats::io::ReadAt;
use instar_formats::qcow2::geometry::MAX_L1_ENTRIES;
use instar_formats::qcow2::{Geometry, Header};

/// Where everything new goes.
#[derive(Debug, Clone, Copy)]
pub struct GrowPlan {
    new_size: u64,
    l1: Option<NewL1>,
}

/// A new L1 table.
#[derive(Debug, Clone, Copy)]
struct NewL1 {
    entries: u64,
    place: Reservation,
}

/// Plans the growth to `new_size` bytes.
pub fn plan<R: ReadAt>(
    image: &mut R,
    header: &Header,
    new_size: u64,
    scratch: &mut Scratch<'_>,
) -> Result<GrowPlan, PlanError> {
    let g = header.geometry;
    let entries = g.l1_entries(new_size);
    if entries > MAX_L1_ENTRIES {
        return Err(ResizeError::L1TooLarge.into());
    }
    if entries <= header.l1_entries {
        return Ok(GrowPlan { new_size, l1: None });
    }
    let place = Reservation::plan(image, header, g.clusters(entries.saturating_mul(8)), scratch)?;
    Ok(GrowPlan { new_size, l1: Some(NewL1 { entries, place }) })
}

impl GrowPlan {
    /// Carries the growth out and returns the length of the file in bytes.
    pub fn run<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        file_len: u64,
        bitmaps: &BitmapsPlan,
        scratch: &mut Scratch<'_>,
    ) -> Result<u64, PlanError> {
        let mut new = *header;
        let Some(l1) = &self.l1 else {
            bitmaps.guard(image, header, scratch)?;
            commit::size(image, header, self.new_size)?;
            return Ok(file_len);
        };
        let old = Table { offset: header.l1_offset, entries: header.l1_entries };
        let table = l1.table(header.geometry);
        copy_table(image, old, table, scratch.copy)?;
        l1.place.run(image, &mut new, scratch)?;
        bitmaps.guard(image, &new, scratch)?;
        (new.size_field, new.l1_offset, new.l1_entries) = (self.new_size, table.offset, table.entries);
        commit::fields(image, &new)?;
        release(image, &new, old, scratch)?;
        Ok(l1.end(header.geometry).max(file_len))
    }
}

impl NewL1 {
    const fn table(&self, g: Geometry) -> Table {
        Table { offset: g.offset(self.place.clusters().first), entries: self.entries }
    }

    /// The byte after the last one written.
    fn end(&self, g: Geometry) -> u64 {
        self.table(g).at(self.entries).max(self.place.refcounts_end(g))
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
