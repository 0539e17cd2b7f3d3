//! Letting host clusters go: references taken from clusters that nothing names any more, and the space
//! of those that have none left given back. What a snapshot has, too, keeps a reference and its bytes.

use super::batch::Batch;
use super::leftover::each_cluster;
use super::refcounts::{Blocks, Run, Stretch, covered_by, table_of};
use super::table::TableWindow;
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::index;
use instar_formats::io::IoError;
use instar_formats::qcow2::{Geometry, Header, refcount};
use zerocopy::native_endian::U64;

/// Lets clusters go.
pub struct Release<'h, 's> {
    /// The image's header.
    pub header: &'h Header,
    /// A window on its refcount table.
    pub window: TableWindow<'s>,
    /// A refcount block.
    pub block: &'s mut [u8],
    /// Clusters collected.
    pub batch: Batch<'s>,
    /// A bit for each refcount table entry whose block lost a refcount and may be empty now.
    pub touched: &'s mut [u8],
}

impl<'h, 's> Release<'h, 's> {
    /// Nothing collected yet. The buffers are those of the scratch of these names.
    pub fn new(
        header: &'h Header,
        table: &'s mut [u8],
        block: &'s mut [u8],
        batch: &'s mut [u8],
        touched: &'s mut [u8],
    ) -> Self {
        let window = TableWindow::new(table_of(header), table);
        Self { header, window, block, batch: Batch::new(batch), touched }
    }

    /// Collects a cluster that nothing names any more, for good.
    pub fn cluster<T: Target>(&mut self, image: &mut T, cluster: u64) -> Result<(), PlanError> {
        if self.batch.is_full() {
            self.flush(image)?;
        }
        self.batch.push(cluster);
        Ok(())
    }

    /// Collects a cluster that nothing names any more once what was written last is durable.
    pub fn cluster_behind<T: Target>(&mut self, image: &mut T, cluster: u64) -> Result<(), PlanError> {
        if self.batch.is_full() {
            image.apply(Patch::Barrier)?;
        }
        self.cluster(image, cluster)
    }

    /// Collects what the L2 entries in `table` name.
    pub fn entries<T: Target>(&mut self, image: &mut T, table: &[u8]) -> Result<(), PlanError> {
        let (header, g) = (self.header, self.header.geometry);
        each_cluster(header, table, |_, entry| {
            entry.clusters(g).try_for_each(|cluster| self.cluster(image, cluster))
        })
    }

    /// Takes one reference from every cluster collected, and gives back the space of those that have
    /// none left. Whatever is collected is out of reach already, so the order of the two is free.
    pub fn flush<T: Target>(&mut self, image: &mut T) -> Result<(), PlanError> {
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

/// Sets a bit of [`Release::touched`].
pub fn set_bit(bits: &mut [u8], i: u64) {
    if let Some(byte) = bits.get_mut(index(i / 8)) {
        *byte |= 1_u8.wrapping_shl(u32::try_from(i & 7).unwrap_or(0));
    }
}

/// Clears a bit of [`Release::touched`].
pub fn take_bit(bits: &mut [u8], i: u64) {
    if let Some(byte) = bits.get_mut(index(i / 8)) {
        *byte &= !1_u8.wrapping_shl(u32::try_from(i & 7).unwrap_or(0));
    }
}

/// The first bit of [`Release::touched`] from `from` on that is set.
pub fn next_bit(bits: &[u8], from: u64) -> Option<u64> {
    let first = index(from / 8);
    let rest = bits.get(first..)?;
    let before = u8::MAX.wrapping_shl(u32::try_from(from & 7).unwrap_or(0));
    let head = rest.first()? & before;
    let (at, byte) = match head {
        0 => rest.iter().copied().enumerate().skip(1).find(|(_, byte)| *byte != 0)?,
        head => (0, head),
    };
    Some((first.saturating_add(at) as u64).saturating_mul(8).saturating_add(byte.trailing_zeros().into()))
}
