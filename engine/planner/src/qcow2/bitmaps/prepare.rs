//! Before the header is written: tables for a larger disk.

use super::super::release::Release;
use super::super::scratch::Scratch;
use super::super::table::{Table, clear, copy_table};
use super::change::Change;
use super::{AtEnd, BitmapsPlan, clear_behind, dropped_table, each, end_of};
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::index;
use instar_formats::qcow2::bitmap::at;
use instar_formats::qcow2::{Geometry, Header};

/// Where what is new of one bitmap goes.
#[derive(Debug, Clone, Copy)]
struct Places {
    change: Change,
    /// The table, in its old place or a new one.
    table: Table,
    /// The byte offset of data for a cluster that was all ones.
    ones: Option<u64>,
}

impl BitmapsPlan {
    /// Clears the bits behind the end of a disk that grows, and writes new tables and data to the
    /// clusters from `first` on, which are free. Ends with a barrier if there are bitmaps.
    pub fn prepare<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        first: u64,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        if !self.present || self.new <= self.old {
            return Ok(());
        }
        let g = header.geometry;
        let mut free = first;
        each(image, header, s.l1, |image, entry| {
            let change = Change::of(g, entry, self.old, self.new);
            let end = end_of(image, header, &change)?;
            let places = places(g, change, end, &mut free);
            if let AtEnd::Data(offset) = end {
                clear_behind(image, g, offset, change.end, s.l2)?;
            }
            if change.moves(g) {
                copy_table(image, change.old, places.table, s.copy)?;
            } else if change.resizes() {
                let added = change.entries.saturating_sub(change.old.entries).saturating_mul(8);
                clear(image, change.old.at(change.old.entries), added)?;
            }
            if let Some(data) = places.ones {
                write_ones(image, g, data, &change, s.l2)?;
                if change.moves(g) {
                    write_ones_entry(image, &places, data)?;
                }
            }
            Ok(())
        })?;
        Ok(image.apply(Patch::Barrier)?)
    }

    /// Has the directory name the new tables, and tables the new data, which are counted and durable;
    /// then lets go of the old tables. Ends with a barrier if it did anything.
    pub fn switch<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        first: u64,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        if self.need == 0 {
            return Ok(());
        }
        let g = header.geometry;
        let mut free = first;
        let mut release = Release::new(header, s.table, s.block, s.batch, s.touched);
        each(image, header, s.l1, |image, entry| {
            let change = Change::of(g, entry, self.old, self.new);
            let places = places(g, change, end_of(image, header, &change)?, &mut free);
            if change.moves(g) {
                let data = places.table.offset.to_be_bytes();
                let offset = entry.offset.saturating_add(at::TABLE_OFFSET);
                image.apply(Patch::Write { offset, data: &data })?;
                let old = dropped_table(g, &change);
                (old.first..old.end()).try_for_each(|cluster| release.cluster_behind(image, cluster))
            } else if let Some(data) = places.ones {
                write_ones_entry(image, &places, data)
            } else {
                Ok(())
            }
        })?;
        image.apply(Patch::Barrier)?;
        release.flush(image)?;
        Ok(image.apply(Patch::Barrier)?)
    }
}

/// Decides where what is new of a bitmap goes: `free` is the next free cluster, and moves on.
fn places(g: Geometry, change: Change, end: AtEnd, free: &mut u64) -> Places {
    let mut take = |count: u64| {
        let offset = g.offset(*free);
        *free = free.saturating_add(count);
        offset
    };
    let offset = if change.moves(g) { take(change.clusters(g)) } else { change.old.offset };
    let ones = (end == AtEnd::Ones).then(|| take(1));
    Places { change, table: Table { offset, entries: change.entries }, ones }
}

/// A cluster of data whose bits are one up to the end.
fn write_ones<T: Target>(
    image: &mut T,
    g: Geometry,
    offset: u64,
    change: &Change,
    buf: &mut [u8],
) -> Result<(), PlanError> {
    let (byte, mask) = change.end.byte();
    let data = buf.get_mut(..index(g.cluster_size())).unwrap_or_default();
    data.fill(0);
    data.get_mut(..index(byte)).unwrap_or_default().fill(0xff);
    if let Some(last) = data.get_mut(index(byte)) {
        *last = mask;
    }
    Ok(image.apply(Patch::Write { offset, data })?)
}

fn write_ones_entry<T: Target>(image: &mut T, places: &Places, data: u64) -> Result<(), PlanError> {
    let offset = places.table.at(places.change.end.entry);
    Ok(image.apply(Patch::Write { offset, data: &data.to_be_bytes() })?)
}
