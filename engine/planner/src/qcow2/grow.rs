//! Growing: a larger L1 table where the old one is too small, refcount blocks for its clusters
//! where there are none, and a larger refcount table where those do not fit.
//!
//! The new L1 table takes the lowest free run. New refcount blocks, and the new refcount table
//! behind them, follow it, or follow the last cluster in use if that is further out.

use super::alloc::{end_of_used, first_fit, missing, refuse_in_use};
use super::commit;
use super::refcounts::{Run, block_of, covered_by, table_of, update};
use super::scratch::Scratch;
use super::table::{Table, TableWindow};
use crate::{Patch, PlanError, ResizeError, Target};
use instar_formats::bytes::{index, put_be64};
use instar_formats::io::{IoError, ReadAt};
use instar_formats::qcow2::geometry::{MAX_L1_ENTRIES, MAX_REFCOUNT_TABLE_BYTES};
use instar_formats::qcow2::{Geometry, Header, refcount};

/// Where everything new goes.
#[derive(Debug, Clone, Copy)]
pub struct GrowPlan {
    new_size: u64,
    l1: Option<NewL1>,
}

/// A new L1 table and what its clusters need.
#[derive(Debug, Clone, Copy)]
struct NewL1 {
    entries: u64,
    clusters: Run,
    /// New refcount blocks.
    blocks: Run,
    /// A new refcount table; no clusters if the old one stays.
    table: Run,
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
    let clusters = first_fit(image, header, g.clusters(entries.saturating_mul(8)), scratch)?;
    let (blocks, table) = place_refcounts(image, header, clusters, scratch)?;
    let l1 = NewL1 { entries, clusters, blocks, table };
    refuse_in_use(image, header, &[clusters, blocks, table], scratch)?;
    if g.offset(table.end().max(blocks.end()).max(clusters.end())) > crate::MAX_BYTES {
        return Err(ResizeError::FileTooLarge.into());
    }
    Ok(GrowPlan { new_size, l1: Some(l1) })
}

/// Places the refcount blocks that `l1` and they themselves need, and a new refcount table if they
/// do not fit the old one. Both only ever get larger while they are sought, so the search ends.
fn place_refcounts<R: ReadAt>(
    image: &mut R,
    header: &Header,
    l1: Run,
    scratch: &mut Scratch<'_>,
) -> Result<(Run, Run), PlanError> {
    let g = header.geometry;
    let l1_last = block_of(g, l1.end().saturating_sub(1)).saturating_add(1);
    let mut window = TableWindow::new(table_of(header), scratch.table);
    let for_l1 = missing(image, header, &mut window, block_of(g, l1.first), l1_last)?;
    if for_l1 == 0 {
        let none = Run { first: l1.end(), count: 0 };
        return Ok((none, none));
    }
    let first = end_of_used(image, header, scratch)?.max(l1.end());
    let mut window = TableWindow::new(table_of(header), scratch.table);
    let (mut blocks, mut table) = (for_l1, 0);
    loop {
        let end = first.saturating_add(blocks).saturating_add(table);
        let last = block_of(g, end.saturating_sub(1)).saturating_add(1);
        let own_first = block_of(g, first).max(l1_last);
        let need = for_l1.saturating_add(missing(image, header, &mut window, own_first, last)?);
        let need_table = table_clusters(header, last)?;
        if need == blocks && need_table == table {
            let blocks = Run { first, count: blocks };
            return Ok((blocks, Run { first: blocks.end(), count: table }));
        }
        (blocks, table) = (blocks.max(need), table.max(need_table));
    }
}

/// Clusters of the refcount table that has `entries` entries: none if the old one has, else half as
/// many again as are needed, so that a growing image does not move its table each time.
fn table_clusters(header: &Header, entries: u64) -> Result<u64, ResizeError> {
    if entries <= header.refcount_table_entries() {
        return Ok(0);
    }
    let most = header.geometry.clusters(MAX_REFCOUNT_TABLE_BYTES);
    let need = header.geometry.clusters(entries.saturating_mul(8));
    if need > most {
        return Err(ResizeError::RefcountTableTooLarge);
    }
    Ok((need.saturating_mul(3) / 2).min(most))
}

impl GrowPlan {
    /// Carries the growth out and returns the length of the file in bytes.
    pub fn run<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        file_len: u64,
        scratch: &mut Scratch<'_>,
    ) -> Result<u64, PlanError> {
        let mut new = Header { size_field: self.new_size, ..*header };
        let Some(l1) = &self.l1 else {
            commit::fields(image, &new)?;
            return Ok(file_len);
        };
        l1.prepare(image, header, scratch)?;
        (new.l1_offset, new.l1_entries) = (header.geometry.offset(l1.clusters.first), l1.entries);
        if l1.table.count > 0 {
            new.refcount_table_offset = header.geometry.offset(l1.table.first);
            new.refcount_table_clusters = l1.table.count;
        }
        commit::fields(image, &new)?;
        l1.release_old(image, header, &new, scratch)?;
        Ok(l1.end(header.geometry).max(file_len))
    }
}

impl NewL1 {
    /// Everything that is new.
    const fn runs(&self) -> [Run; 3] {
        [self.clusters, self.blocks, self.table]
    }

    /// The byte after the last one written.
    fn end(&self, g: Geometry) -> u64 {
        let l1 = g.offset(self.clusters.first).saturating_add(self.entries.saturating_mul(8));
        if self.blocks.count == 0 { l1 } else { l1.max(g.offset(self.blocks.end().max(self.table.end()))) }
    }

    /// Everything that must be on disk before the header names it.
    fn prepare<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        let mut window = TableWindow::new(table_of(header), s.table);
        self.write_blocks(image, header, &mut window, s.block)?;
        for run in self.runs() {
            update(image, header, &mut window, s.block, run, |_| 1)?;
        }
        let old = Table { offset: header.l1_offset, entries: header.l1_entries };
        let offset = header.geometry.offset(self.clusters.first);
        copy_table(image, old, Table { offset, entries: self.entries }, s.copy)?;
        if self.table.count > 0 {
            self.write_table(image, header, &mut window, s.copy)?;
        }
        image.apply(Patch::Barrier)?;
        if self.table.count == 0 && self.blocks.count > 0 {
            self.hook_blocks(image, header, &mut window)?;
            image.apply(Patch::Barrier)?;
        }
        Ok(())
    }

    /// Calls `each` with every table entry that gets a new block and the cluster it gets: first the
    /// blocks that count the new blocks (`true`), then those that count the L1 table only. So the
    /// cluster of each is counted by itself or by one before it.
    fn for_each_block<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        window: &mut TableWindow<'_>,
        mut each: impl FnMut(&mut T, u64, u64, bool) -> Result<(), IoError>,
    ) -> Result<(), PlanError> {
        let g = header.geometry;
        let mut cluster = self.blocks.first;
        if self.blocks.count == 0 {
            return Ok(());
        }
        let own_first = block_of(g, self.blocks.first);
        let own = own_first..block_of(g, self.table.end().saturating_sub(1)).saturating_add(1);
        let l1_end = block_of(g, self.clusters.end().saturating_sub(1)).saturating_add(1).min(own_first);
        for (entries, is_own) in [(own, true), (block_of(g, self.clusters.first)..l1_end, false)] {
            for entry in entries {
                if window.get(image, entry)? == 0 {
                    each(image, entry, cluster, is_own)?;
                    cluster = cluster.saturating_add(1);
                }
            }
        }
        Ok(())
    }

    /// The new refcount blocks, complete.
    fn write_blocks<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        window: &mut TableWindow<'_>,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        let g = header.geometry;
        let block = buf.get_mut(..index(g.cluster_size())).unwrap_or_default();
        self.for_each_block(image, header, window, |image, entry, cluster, _| {
            block.fill(0);
            let covered = covered_by(g, entry);
            for run in self.runs() {
                let part = run.intersect(covered);
                let first = part.first.saturating_sub(covered.first);
                for i in first..first.saturating_add(part.count) {
                    refcount::set(block, g.refcount_order(), i, 1);
                }
            }
            image.apply(Patch::Write { offset: g.offset(cluster), data: block })
        })
    }

    /// Names the new blocks in the old refcount table. A block that counts other new blocks is
    /// durable before any that it counts: else a crash could leave one in use with no refcount.
    fn hook_blocks<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        window: &mut TableWindow<'_>,
    ) -> Result<(), PlanError> {
        let table = table_of(header);
        self.for_each_block(image, header, window, |image, entry, cluster, counts_blocks| {
            let data = header.geometry.offset(cluster).to_be_bytes();
            image.apply(Patch::Write { offset: table.at(entry), data: &data })?;
            if counts_blocks { image.apply(Patch::Barrier) } else { Ok(()) }
        })
    }

    /// The new refcount table: the old one, the new blocks, and zeros.
    fn write_table<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        window: &mut TableWindow<'_>,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        let g = header.geometry;
        let entries = self.table.count.saturating_mul(g.table_entries_per_cluster());
        let new = Table { offset: g.offset(self.table.first), entries };
        copy_table(image, table_of(header), new, buf)?;
        self.for_each_block(image, header, window, |image, entry, cluster, _| {
            let mut data = [0; 8];
            put_be64(&mut data, 0, g.offset(cluster));
            image.apply(Patch::Write { offset: new.at(entry), data: &data })
        })
    }

    /// Lets go of the old tables, which nothing names any more.
    fn release_old<T: Target>(
        &self,
        image: &mut T,
        old: &Header,
        new: &Header,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        let g = old.geometry;
        let mut window = TableWindow::new(table_of(new), s.table);
        let mut runs = [
            Run { first: g.cluster(old.l1_offset), count: g.clusters(old.l1_bytes()) },
            Run { first: 0, count: 0 },
        ];
        if let (true, [_, table]) = (self.table.count > 0, &mut runs) {
            *table = Run { first: g.cluster(old.refcount_table_offset), count: old.refcount_table_clusters };
        }
        for run in runs {
            update(image, new, &mut window, s.block, run, |count| count.saturating_sub(1))?;
        }
        image.apply(Patch::Barrier)?;
        Ok(())
    }
}

/// Copies a table to its new, larger place, and zeroes the rest of that.
fn copy_table<T: Target>(image: &mut T, old: Table, new: Table, buf: &mut [u8]) -> Result<(), PlanError> {
    let (mut done, all) = (0, old.entries.saturating_mul(8));
    while done < all {
        let part = index(all.saturating_sub(done)).min(buf.len());
        let part = buf.get_mut(..part).unwrap_or_default();
        image.read_at(old.offset.saturating_add(done), part)?;
        image.apply(Patch::Write { offset: new.offset.saturating_add(done), data: part })?;
        done = done.saturating_add(part.len() as u64);
    }
    let len = new.entries.saturating_mul(8).saturating_sub(all);
    image.apply(Patch::ZeroFill { offset: new.at(old.entries), len, unmap: false })?;
    Ok(())
}
