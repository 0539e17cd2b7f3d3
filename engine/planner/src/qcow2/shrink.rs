//! Releasing what lies beyond the end of the disk, and giving the file's tail back.

use super::alloc::end_of_used;
use super::batch::Batch;
use super::leftover::{Leftover, Straddling, each_cluster, l1_of, load_l2};
use super::refcounts::{Blocks, Run, Stretch, covered_by, table_of};
use super::scratch::Scratch;
use super::table::TableWindow;
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{be64, index, is_zero, put_be64};
use instar_formats::io::IoError;
use instar_formats::qcow2::entry::OFFSET_MASK;
use instar_formats::qcow2::{Geometry, Header, refcount};
use zerocopy::native_endian::U64;

/// Zeros for entries that are cleared; longer runs are filled by the device.
const ZEROS: [u8; 4096] = [0; 4096];

/// Zeroes the stale tail of the last cluster, clears every table entry beyond the end, and releases
/// what those entries named. Ends with a barrier if it did anything.
pub fn release<T: Target>(
    image: &mut T,
    header: &Header,
    leftover: &Leftover,
    s: &mut Scratch<'_>,
) -> Result<(), PlanError> {
    if let Some((offset, len)) = leftover.tail {
        image.apply(Patch::ZeroFill { offset, len, unmap: false })?;
    }
    if leftover.has_clusters() {
        s.touched.fill(0);
        let mut drop = Drop::new(header, s.table, s.block, s.batch, s.touched);
        if let Some(straddling) = leftover.straddling {
            drop.straddling(image, straddling, s.l2)?;
        }
        drop.tables(image, leftover.first_l1, s.l1, s.tables, s.l2)?;
        drop.flush(image)?;
    }
    if leftover.tail.is_some() || leftover.has_clusters() {
        image.apply(Patch::Barrier)?;
    }
    Ok(())
}

/// Takes empty refcount blocks out of the table and returns the length in bytes that the file must
/// be given: up to the end of its last cluster in use, but never more than it has.
pub fn give_back<T: Target>(
    image: &mut T,
    header: &Header,
    file_len: u64,
    leftover: &Leftover,
    s: &mut Scratch<'_>,
) -> Result<u64, PlanError> {
    if !leftover.has_clusters() {
        s.touched.fill(0);
    }
    let mut drop = Drop::new(header, s.table, s.block, s.batch, s.touched);
    drop.touch_last_blocks(image)?;
    while drop.empty_blocks(image)? {
        drop.touch_last_blocks(image)?;
    }
    let end = end_of_used(image, header, s)?;
    Ok(header.geometry.offset(end).min(file_len))
}

/// Lets clusters go.
struct Drop<'h, 's> {
    header: &'h Header,
    window: TableWindow<'s>,
    block: &'s mut [u8],
    batch: Batch<'s>,
    /// A bit for each refcount table entry whose block lost a refcount and may be empty now.
    touched: &'s mut [u8],
}

impl<'h, 's> Drop<'h, 's> {
    fn new(
        header: &'h Header,
        table: &'s mut [u8],
        block: &'s mut [u8],
        batch: &'s mut [u8],
        touched: &'s mut [u8],
    ) -> Self {
        let window = TableWindow::new(table_of(header), table);
        Self { header, window, block, batch: Batch::new(batch), touched }
    }

    /// Clears the straddling table's entries beyond the end, then lets their clusters go.
    fn straddling<T: Target>(
        &mut self,
        image: &mut T,
        at: Straddling,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        let size = self.header.geometry.l2_entry_size();
        let table = load_l2(image, self.header, at.table, buf)?;
        let beyond = table.get(index(at.first.saturating_mul(size))..).unwrap_or_default();
        let offset = at.table.saturating_add(at.first.saturating_mul(size));
        clear(image, offset, beyond.len() as u64)?;
        image.apply(Patch::Barrier)?;
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

    fn entries<T: Target>(&mut self, image: &mut T, table: &[u8]) -> Result<(), PlanError> {
        let (header, g) = (self.header, self.header.geometry);
        each_cluster(header, table, |_, entry| {
            entry.clusters(g).try_for_each(|cluster| self.cluster(image, cluster))
        })
    }

    fn cluster<T: Target>(&mut self, image: &mut T, cluster: u64) -> Result<(), PlanError> {
        if self.batch.is_full() {
            self.flush(image)?;
        }
        self.batch.push(cluster);
        Ok(())
    }

    /// Takes one reference from every cluster collected, and gives back the space of those that have
    /// none left. Whatever is collected is out of reach already, so the order of the two is free.
    fn flush<T: Target>(&mut self, image: &mut T) -> Result<(), PlanError> {
        let g = self.header.geometry;
        let mut blocks = Blocks { header: self.header, window: &mut self.window, buf: self.block };
        let touched = &mut *self.touched;
        let file_len = image.len();
        self.batch.drain(g, |entry, clusters| {
            let Some((block, counts)) = blocks.load_mut(image, entry)? else {
                return punch(image, g, clusters, file_len, |_| true);
            };
            set_bit(touched, entry);
            let covered = covered_by(g, entry);
            let at = |c: &U64| c.get().saturating_sub(covered.first);
            for i in clusters.iter().map(at) {
                let count = refcount::get(counts, g.refcount_order(), i);
                refcount::set(counts, g.refcount_order(), i, count.saturating_sub(1));
            }
            write_counts(image, g, block, counts, clusters, covered)?;
            punch(image, g, clusters, file_len, |c| refcount::get(counts, g.refcount_order(), at(c)) == 0)
        })
    }

    /// Has the last blocks looked at, down to the first that counts anything but itself: whoever
    /// emptied them, they hold the end of the file.
    fn touch_last_blocks<T: Target>(&mut self, image: &mut T) -> Result<(), PlanError> {
        let g = self.header.geometry;
        for entry in (0..table_of(self.header).entries).rev() {
            let mut blocks = Blocks { header: self.header, window: &mut self.window, buf: self.block };
            let Some((block, counts)) = blocks.load_mut(image, entry)? else { continue };
            if !counts_nothing_else(counts, g, covered_by(g, entry), g.cluster(block)) {
                break;
            }
            set_bit(self.touched, entry);
        }
        Ok(())
    }

    /// Takes blocks that count nothing but themselves out of the refcount table; then, behind a
    /// barrier, lets their own clusters go. Returns whether there was any: another may be empty now.
    fn empty_blocks<T: Target>(&mut self, image: &mut T) -> Result<bool, PlanError> {
        let table = table_of(self.header);
        let mut any = false;
        for entry in 0..table.entries {
            if !take_bit(self.touched, entry) {
                continue;
            }
            let mut blocks = Blocks { header: self.header, window: &mut self.window, buf: self.block };
            let Some((block, counts)) = blocks.load_mut(image, entry)? else { continue };
            let own = self.header.geometry.cluster(block);
            if counts_nothing_else(counts, self.header.geometry, covered_by(self.header.geometry, entry), own)
            {
                if self.batch.is_full() {
                    set_bit(self.touched, entry);
                    any = true;
                    break;
                }
                clear(image, table.at(entry), 8)?;
                self.batch.push(own);
                any = true;
            }
        }
        if any {
            image.apply(Patch::Barrier)?;
            self.window.forget();
            self.flush(image)?;
            image.apply(Patch::Barrier)?;
        }
        Ok(any)
    }
}

/// Whether a block counts no cluster, or only the one that it lies in itself.
fn counts_nothing_else(counts: &mut [u8], g: Geometry, covered: Run, own: u64) -> bool {
    if own >= covered.first && own < covered.end() {
        refcount::set(counts, g.refcount_order(), own.saturating_sub(covered.first), 0);
    }
    is_zero(counts)
}

/// Writes as much of a block as the counts of `clusters`, sorted, take.
fn write_counts<T: Target>(
    image: &mut T,
    g: Geometry,
    block: u64,
    counts: &[u8],
    clusters: &[U64],
    covered: Run,
) -> Result<(), IoError> {
    let at = |c: Option<&U64>| c.map_or(0, |c| c.get().saturating_sub(covered.first));
    let stretch = Stretch::of(g, block, at(clusters.first()), at(clusters.last()).saturating_add(1));
    let start = index(stretch.offset.saturating_sub(block));
    let data = counts.get(start..start.saturating_add(stretch.len)).unwrap_or_default();
    image.apply(Patch::Write { offset: stretch.offset, data })
}

/// Gives back the space of the clusters that are `free`, a run at a time, inside the file.
fn punch<T: Target>(
    image: &mut T,
    g: Geometry,
    clusters: &[U64],
    file_len: u64,
    free: impl Fn(&U64) -> bool,
) -> Result<(), PlanError> {
    let mut run = Run { first: 0, count: 0 };
    for cluster in clusters.iter().filter(|c| free(c)).map(|c| c.get()) {
        if cluster.saturating_add(1) == run.end() && run.count > 0 {
            continue;
        }
        if cluster != run.end() || run.count == 0 {
            punch_run(image, g, run, file_len)?;
            run = Run { first: cluster, count: 0 };
        }
        run.count = run.count.saturating_add(1);
    }
    punch_run(image, g, run, file_len)?;
    Ok(())
}

fn punch_run<T: Target>(image: &mut T, g: Geometry, run: Run, file_len: u64) -> Result<(), IoError> {
    let (offset, end) = (g.offset(run.first), g.offset(run.end()).min(file_len));
    if run.count == 0 || offset >= end {
        return Ok(());
    }
    image.apply(Patch::ZeroFill { offset, len: end.saturating_sub(offset), unmap: true })
}

/// Writes zeros over table entries.
fn clear<T: Target>(image: &mut T, offset: u64, len: u64) -> Result<(), IoError> {
    match ZEROS.get(..index(len)) {
        Some(data) => image.apply(Patch::Write { offset, data }),
        None => image.apply(Patch::ZeroFill { offset, len, unmap: false }),
    }
}

fn set_bit(bits: &mut [u8], i: u64) {
    if let Some(byte) = bits.get_mut(index(i / 8)) {
        *byte |= 1_u8.wrapping_shl(u32::try_from(i % 8).unwrap_or(0));
    }
}

fn take_bit(bits: &mut [u8], i: u64) -> bool {
    let mask = 1_u8.wrapping_shl(u32::try_from(i % 8).unwrap_or(0));
    let Some(byte) = bits.get_mut(index(i / 8)) else { return false };
    let was = *byte & mask != 0;
    *byte &= !mask;
    was
}
