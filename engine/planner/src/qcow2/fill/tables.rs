//! The L2 tables of the new area: new ones whole, many in one write, and the entries that an old one
//! gets.

use super::{Fill, entries};
use crate::qcow2::refcounts::Run;
use crate::qcow2::table::Table;
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{index, put_be64};
use instar_formats::io::ReadAt;
use instar_formats::qcow2::Geometry;
use instar_formats::qcow2::entry::COPIED;

impl Fill {
    /// Writes the new L2 tables to the clusters from `tables` on. The data clusters begin at `data`.
    pub fn write_tables<T: Target>(
        &self,
        image: &mut T,
        g: Geometry,
        tables: u64,
        data: u64,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        let first = self.slots.first.saturating_mul(g.l2_entries());
        let all = Run { first, count: self.slots.count.saturating_mul(g.l2_entries()) };
        self.write_entries(image, g, all, g.offset(tables), data, buf)
    }

    /// Writes the entries of guest clusters `part` to the table at byte `offset`, which holds nothing
    /// else in between.
    fn write_entries<T: Target>(
        &self,
        image: &mut T,
        g: Geometry,
        part: Run,
        offset: u64,
        data: u64,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        let size = g.l2_entry_size();
        let (mut guest, mut offset) = (part.first, offset);
        while guest < part.end() {
            let room = (buf.len() as u64).checked_div(size).unwrap_or(0).max(1);
            let count = part.end().saturating_sub(guest).min(room);
            let bytes = buf.get_mut(..index(count.saturating_mul(size))).unwrap_or_default();
            for (entry, guest) in bytes.chunks_exact_mut(index(size)).zip(guest..) {
                let (value, bitmap) = self.entry(g, guest, data);
                put_be64(entry, 0, value);
                put_be64(entry, 8, bitmap);
            }
            image.apply(Patch::Write { offset, data: bytes })?;
            offset = offset.saturating_add(bytes.len() as u64);
            guest = guest.saturating_add(count);
        }
        Ok(())
    }

    /// The entries that go to the table that there is, and the byte where the first of them lies.
    fn in_straddling(&self, g: Geometry) -> Option<(Run, u64)> {
        let table = self.straddling?;
        let all = entries(self.guest, self.edge.as_ref());
        let first = all.first & g.l2_entries().saturating_sub(1);
        let count = all.count.min(g.l2_entries().saturating_sub(first));
        Some((Run { first: all.first, count }, table.saturating_add(first.saturating_mul(g.l2_entry_size()))))
    }

    /// Writes the entries that go to the table that there is. All they name must be counted.
    pub fn name_in_l2<T: Target>(
        &self,
        image: &mut T,
        g: Geometry,
        data: u64,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        match self.in_straddling(g) {
            Some((part, offset)) => self.write_entries(image, g, part, offset, data, buf),
            None => Ok(()),
        }
    }

    /// Names the new L2 tables, from cluster `tables` on, in the L1 table `l1`.
    pub fn name_tables<T: Target>(
        &self,
        image: &mut T,
        g: Geometry,
        l1: Table,
        tables: u64,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        name_in_l1(image, g, l1, self.slots, tables, buf)
    }

    /// Takes back what [`Self::name_in_l2`] and [`Self::name_tables`] have written to the tables that
    /// there were. `edge` is what the entry of the edge cluster said.
    pub fn unname<T: Target>(
        &self,
        image: &mut T,
        g: Geometry,
        l1: Option<Table>,
        edge: &[u8],
    ) -> Result<(), PlanError> {
        let edge = edge.get(..index(g.l2_entry_size())).unwrap_or_default();
        if let Some((part, offset)) = self.in_straddling(g) {
            let len = part.count.saturating_mul(g.l2_entry_size());
            let skip = if self.edge.is_some() { edge.len() as u64 } else { 0 };
            let (start, rest) = (offset.saturating_add(skip), len.saturating_sub(skip));
            clear(image, start, rest)?;
            if self.edge.is_some() {
                image.apply(Patch::Write { offset, data: edge })?;
            }
        }
        if let Some(l1) = l1 {
            clear(image, l1.at(self.slots.first), self.slots.count.saturating_mul(8))?;
        }
        Ok(image.apply(Patch::Barrier)?)
    }

    /// Whether entries go to the table that there is.
    pub fn writes_straddling(&self) -> bool {
        self.straddling.is_some()
    }

    /// What the entry of the edge cluster says, as far as `buf` holds it.
    pub fn edge_entry<T: ReadAt>(&self, image: &mut T, g: Geometry, buf: &mut [u8]) -> Result<(), PlanError> {
        match self.in_straddling(g) {
            Some((_, offset)) => Ok(image.read_at(offset, buf)?),
            None => Ok(()),
        }
    }
}

fn clear<T: Target>(image: &mut T, offset: u64, len: u64) -> Result<(), PlanError> {
    if len == 0 { Ok(()) } else { Ok(image.apply(Patch::ZeroFill { offset, len, unmap: false })?) }
}

/// Has the L1 entries `slots` name the tables from cluster `tables` on.
fn name_in_l1<T: Target>(
    image: &mut T,
    g: Geometry,
    l1: Table,
    slots: Run,
    tables: u64,
    buf: &mut [u8],
) -> Result<(), PlanError> {
    let (mut slot, mut table) = (slots.first, tables);
    while slot < slots.end() {
        let count = slots.end().saturating_sub(slot).min(buf.len() as u64 / 8).max(1);
        let bytes = buf.get_mut(..index(count.saturating_mul(8))).unwrap_or_default();
        for (entry, table) in bytes.chunks_exact_mut(8).zip(table..) {
            put_be64(entry, 0, g.offset(table) | COPIED);
        }
        image.apply(Patch::Write { offset: l1.at(slot), data: bytes })?;
        slot = slot.saturating_add(count);
        table = table.saturating_add(count);
    }
    Ok(())
}
