//! Reserving a run of free clusters, with the refcount blocks that they and these blocks need, and a
//! larger refcount table if the blocks do not fit the old one.
//!
//! The run is the lowest free one that is long enough; beyond the last cluster in use all are free.
//! New blocks, and a new table behind them, follow it, or the last cluster in use if that is further
//! out.
//!
//! How to use it: [`Reservation::plan`] decides all places and writes nothing. Then write what the
//! clusters shall hold: as long as they are free, nobody looks at them. Then [`Reservation::run`]
//! counts them and makes all of it durable, and only then may something name them. So whatever is
//! named is complete and counted, and what a crash leaves in between is leaked at most:
//! 1. the new blocks, complete, a new table, and the counts in old blocks: what is counted and not
//!    named is leaked, what nobody counts is free;
//! 2. behind a barrier, the entries of the old table, if it stays: they name blocks that are
//!    complete, and that are counted by blocks named before them, behind a barrier each;
//! 3. or else the header sector, with the new table and nothing else changed, and behind a barrier
//!    the counts of the old table go down.

use super::alloc::{end_of_used, first_fit, missing, refuse_in_use};
use super::commit;
use super::refcounts::{Run, block_of, covered_by, table_of, update};
use super::scratch::Scratch;
use super::table::{Table, TableWindow, copy_table_with};
use crate::{Patch, PlanError, ResizeError, Target};
use instar_formats::bytes::{index, put_be64};
use instar_formats::io::{IoError, ReadAt};
use instar_formats::qcow2::geometry::MAX_REFCOUNT_TABLE_BYTES;
use instar_formats::qcow2::{Geometry, Header, refcount};

/// A run of clusters, and what counting it takes.
#[derive(Debug, Clone, Copy)]
pub struct Reservation {
    clusters: Run,
    /// New refcount blocks.
    blocks: Run,
    /// A new refcount table; no clusters if the old one stays.
    table: Run,
}

impl Reservation {
    /// Finds a place for `count` clusters and for what counting them takes. Uses the `table`, `block`
    /// and `l1` parts of the scratch.
    ///
    /// # Errors
    /// [`ResizeError`] if the format or a file cannot hold them; [`PlanError::Image`] if a cluster that
    /// is free by its refcount is known to be in use.
    pub fn plan<R: ReadAt>(
        image: &mut R,
        header: &Header,
        count: u64,
        s: &mut Scratch<'_>,
    ) -> Result<Self, PlanError> {
        let none = Run { first: 0, count: 0 };
        if count == 0 {
            return Ok(Self { clusters: none, blocks: none, table: none });
        }
        let clusters = first_fit(image, header, count, s)?;
        let (blocks, table) = place_refcounts(image, header, clusters, s)?;
        let reservation = Self { clusters, blocks, table };
        refuse_in_use(image, header, &reservation.runs(), s)?;
        if header.geometry.offset(reservation.end()) > crate::MAX_BYTES {
            return Err(ResizeError::FileTooLarge.into());
        }
        Ok(reservation)
    }

    /// The clusters asked for.
    pub const fn clusters(&self) -> Run {
        self.clusters
    }

    /// The byte after the last new refcount block or table, which reaches to the end of its cluster;
    /// 0 if there is none.
    pub fn refcounts_end(&self, g: Geometry) -> u64 {
        if self.blocks.count == 0 { 0 } else { g.offset(self.blocks.end().max(self.table.end())) }
    }

    /// Counts the clusters, for good. `header` is that on the disk, and follows it if the refcount
    /// table moves. Uses the `table`, `block` and `copy` parts of the scratch.
    ///
    /// # Errors
    /// [`PlanError::Io`] if the device failed; what was counted until then is let go again where
    /// that is still possible.
    pub fn run<T: Target>(
        &self,
        image: &mut T,
        header: &mut Header,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        if self.clusters.count == 0 {
            return Ok(());
        }
        if let Err(failed) = self.prepare(image, header, s) {
            // The failure is what counts. Nothing names the new blocks, so old ones have all there is.
            let _ = self.set(image, header, s, 0);
            return Err(failed);
        }
        if self.table.count > 0 {
            self.move_table(image, header, s)
        } else if self.blocks.count > 0 {
            self.hook_blocks(image, header, &mut TableWindow::new(table_of(header), s.table))?;
            Ok(image.apply(Patch::Barrier)?)
        } else {
            Ok(())
        }
    }

    /// Lets the clusters go again: nothing may name them. What was added to count them stays, and
    /// counts itself.
    ///
    /// # Errors
    /// The device's.
    pub fn undo<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        let mut window = TableWindow::new(table_of(header), s.table);
        update(image, header, &mut window, s.block, self.clusters, |_| 0)?;
        Ok(image.apply(Patch::Barrier)?)
    }

    /// Everything that is new.
    const fn runs(&self) -> [Run; 3] {
        [self.clusters, self.blocks, self.table]
    }

    /// The cluster after the last.
    fn end(&self) -> u64 {
        self.clusters.end().max(self.blocks.end()).max(self.table.end())
    }

    /// Everything that must be on disk before anything names it.
    fn prepare<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        let mut window = TableWindow::new(table_of(header), s.table);
        self.write_blocks(image, header, &mut window, s.block)?;
        if self.table.count > 0 {
            self.write_table(image, header, &mut window, s.copy)?;
        }
        self.set(image, header, s, 1)?;
        Ok(image.apply(Patch::Barrier)?)
    }

    /// Sets the refcounts of everything new in the blocks that there were.
    fn set<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        s: &mut Scratch<'_>,
        count: u64,
    ) -> Result<(), PlanError> {
        let mut window = TableWindow::new(table_of(header), s.table);
        self.runs()
            .into_iter()
            .try_for_each(|run| update(image, header, &mut window, s.block, run, |_| count))
    }

    /// Calls `each` with every table entry that gets a new block and the cluster it gets: first the
    /// blocks that count the new blocks (`true`), then those that count only what was asked for. So
    /// the cluster of each is counted by itself or by one before it.
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
        let own_last = block_of(g, self.blocks.end().max(self.table.end()).saturating_sub(1));
        let last = block_of(g, self.clusters.end().saturating_sub(1)).saturating_add(1).min(own_first);
        let asked = block_of(g, self.clusters.first)..last;
        for (entries, is_own) in [(own_first..own_last.saturating_add(1), true), (asked, false)] {
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

    /// The new refcount table: the old one, the new blocks, and zeros. What is copied names them already: no word is
    /// written twice before the barrier.
    fn write_table<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        window: &mut TableWindow<'_>,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        let (g, old, new) = (header.geometry, table_of(header), self.new_table(header.geometry));
        copy_table_with(image, old, new, buf, |image, first, part| {
            let last = first.saturating_add(part.len() as u64 / 8);
            self.for_each_block(image, header, window, |_, entry, cluster, _| {
                if entry >= first && entry < last {
                    put_be64(part, index(entry.saturating_sub(first).saturating_mul(8)), g.offset(cluster));
                }
                Ok(())
            })
        })?;
        self.for_each_block(image, header, window, |image, entry, cluster, _| {
            if entry < old.entries {
                return Ok(());
            }
            let mut data = [0; 8];
            put_be64(&mut data, 0, g.offset(cluster));
            image.apply(Patch::Write { offset: new.at(entry), data: &data })
        })
    }

    const fn new_table(&self, g: Geometry) -> Table {
        let entries = self.table.count.saturating_mul(g.table_entries_per_cluster());
        Table { offset: g.offset(self.table.first), entries }
    }

    /// Has the header name the new table, then lets go of the old one.
    fn move_table<T: Target>(
        &self,
        image: &mut T,
        header: &mut Header,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        let g = header.geometry;
        let old =
            Run { first: g.cluster(header.refcount_table_offset), count: header.refcount_table_clusters };
        header.refcount_table_offset = g.offset(self.table.first);
        header.refcount_table_clusters = self.table.count;
        commit::fields(image, header)?;
        let mut window = TableWindow::new(table_of(header), s.table);
        update(image, header, &mut window, s.block, old, |count| count.saturating_sub(1))?;
        Ok(image.apply(Patch::Barrier)?)
    }
}

/// Places the refcount blocks that `run` and they themselves need, and a new refcount table if they
/// do not fit the old one. Both only ever get larger while they are sought, so the search ends.
fn place_refcounts<R: ReadAt>(
    image: &mut R,
    header: &Header,
    run: Run,
    scratch: &mut Scratch<'_>,
) -> Result<(Run, Run), PlanError> {
    let g = header.geometry;
    let run_last = block_of(g, run.end().saturating_sub(1)).saturating_add(1);
    let mut window = TableWindow::new(table_of(header), scratch.table);
    let for_run = missing(image, header, &mut window, block_of(g, run.first), run_last)?;
    if for_run == 0 {
        let none = Run { first: run.end(), count: 0 };
        return Ok((none, none));
    }
    let first = end_of_used(image, header, scratch)?.max(run.end());
    let mut window = TableWindow::new(table_of(header), scratch.table);
    let (mut blocks, mut table) = (for_run, 0);
    loop {
        let end = first.saturating_add(blocks).saturating_add(table);
        let last = block_of(g, end.saturating_sub(1)).saturating_add(1);
        let own_first = block_of(g, first).max(run_last);
        let need = for_run.saturating_add(missing(image, header, &mut window, own_first, last)?);
        let need_table = table_clusters(header, last)?;
        if need == blocks && need_table == table {
            let blocks = Run { first, count: blocks };
            return Ok((blocks, Run { first: blocks.end(), count: table }));
        }
        (blocks, table) = (blocks.max(need), table.max(need_table));
    }
}

/// Clusters of the refcount table that has `entries` entries: none if the old one has, else with half as
/// many entries again as are needed, so that a growing image does not move its table each time.
fn table_clusters(header: &Header, entries: u64) -> Result<u64, ResizeError> {
    if entries <= header.refcount_table_entries() {
        return Ok(0);
    }
    let most = header.geometry.clusters(MAX_REFCOUNT_TABLE_BYTES);
    if header.geometry.clusters(entries.saturating_mul(8)) > most {
        return Err(ResizeError::RefcountTableTooLarge);
    }
    let ample = entries.saturating_add(entries.div_ceil(2));
    Ok(header.geometry.clusters(ample.saturating_mul(8)).min(most))
}
