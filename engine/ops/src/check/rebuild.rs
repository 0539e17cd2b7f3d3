//! New refcount structures, where the old ones are unusable.
//!
//! They take one run of clusters behind the last one that anything refers to, the old structures
//! among that, and count what the walk counts, themselves included: refcount blocks, then the
//! table. When all of it is on the disk, one write inside the header's first sector switches to them.
//! Until then nothing has changed but clusters that are free; from then on, the old structures are leaks.
//!
//! A broken entry may name clusters behind the end of the file, which the run could be in. The
//! run must belong to nobody else; if it does, it moves on behind the place, and what the entry names is
//! counted as part of the file.

use super::compare::{Part, store, window_by_block};
use super::tally::{Place, Shown, Stage, Tally};
use super::{Buffers, Longer, each_window, references};
use crate::{Disk, OpError, ReadAt, Refusal, Table};
use instar_formats::bytes::{put_be32, put_be64};
use instar_formats::io::IoError;
use instar_formats::qcow2::geometry::MAX_REFCOUNT_TABLE_BYTES;
use instar_formats::qcow2::{Geometry, header};

/// How often the run may move on, twice as far each time.
const MAX_PLACES: u32 = 20;
/// How often the size of the run may change its own size.
const MAX_ROUNDS: u32 = 64;
/// The header's fields that name the refcount table: offset, u64, and clusters, u32.
const FIELDS: usize = 12;

/// Where the new structures lie, in clusters.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// The first block.
    first: u64,
    /// Room for so many blocks.
    blocks: u64,
    /// Clusters of the table behind them.
    table: u64,
}

impl Layout {
    /// The least run from cluster `first` that counts itself and what was `shown`; `None` if the
    /// table would be larger than it may be.
    fn at(first: u64, shown: &Shown, g: Geometry) -> Option<Self> {
        let block_of = |cluster: u64| cluster.wrapping_shr(g.refcounts_per_block_bits());
        let last_counted = block_of(shown.end.saturating_sub(1));
        let mut layout = Self { first, blocks: shown.blocks, table: 1 };
        for _ in 0..MAX_ROUNDS {
            let last = block_of(layout.end().saturating_sub(1));
            // Between the two, whatever is counted behind the end that was.
            let blocks = shown.blocks.saturating_add(last.saturating_sub(last_counted));
            let table = g.clusters(last.saturating_add(1).saturating_mul(8));
            if g.offset(table) > MAX_REFCOUNT_TABLE_BYTES {
                return None;
            }
            if (blocks, table) == (layout.blocks, layout.table) {
                return Some(layout);
            }
            layout = Self { first, blocks, table };
        }
        None
    }

    const fn end(&self) -> u64 {
        self.table_at().saturating_add(self.table)
    }

    const fn table_at(&self) -> u64 {
        self.first.saturating_add(self.blocks)
    }
}

/// Makes the new structures and switches to them.
///
/// # Errors
/// [`OpError`]: the device failed, or [`Refusal::CheckFailed`]: there is no place for them.
pub(super) fn run<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), OpError> {
    let shown = tally.shown;
    let (mut first, mut step) = (shown.end, 1_u64);
    for _ in 0..MAX_PLACES {
        let layout = Layout::at(first, &shown, tally.geometry()).ok_or(Refusal::CheckFailed)?;
        if fill(disk, buffers, tally, layout)? {
            disk.flush()?;
            return Ok(switch(disk, tally, layout)?);
        }
        let len = layout.end().saturating_sub(first);
        (first, step) = (first.saturating_add(len.saturating_mul(step)), step.saturating_mul(2));
    }
    Err(Refusal::CheckFailed.into())
}

/// Fills the run. False if something else refers to a part of it.
fn fill<D: Disk>(
    disk: &mut Longer<'_, D>,
    buffers: &mut Buffers<'_>,
    tally: &mut Tally<'_>,
    layout: Layout,
) -> Result<bool, OpError> {
    let g = tally.geometry();
    let (start, end) = (g.offset(layout.first), g.offset(layout.end()));
    disk.zero_at(start, end.saturating_sub(start), false)?;
    disk.reach(end);
    tally.file_len = disk.len();
    (tally.shown, tally.stage, tally.first_pass) = (Shown::default(), Stage::COUNT, true);
    let (mut alone, mut blocks) = (true, Blocks { layout, made: 0, last: None });
    each_window(disk, buffers, tally, |disk, buffers, tally| {
        references(disk, buffers, tally)?;
        let own = Place { table: Table::RefcountTable, offset: start, value: start };
        alone &= none_refers(tally, layout);
        tally.refer(start, end.saturating_sub(start), own);
        if alone { blocks.write(disk, buffers, tally) } else { Ok(()) }
    })?;
    tally.patches.write(disk)?;
    if tally.shown.unwalked {
        return Err(Refusal::CheckFailed.into());
    }
    Ok(alone)
}

/// Whether the walk has found no reference to the part of the run that is in the window.
fn none_refers(tally: &Tally<'_>, layout: Layout) -> bool {
    let window = tally.window.range();
    (layout.first.max(window.start)..layout.end().min(window.end))
        .all(|cluster| tally.window.get(cluster).is_none_or(|slot| slot.references == 0))
}

/// The blocks made so far, in the order of what they count.
struct Blocks {
    layout: Layout,
    made: u64,
    last: Option<u64>,
}

impl Blocks {
    /// Writes the counts of the window's clusters.
    fn write<D: Disk>(
        &mut self,
        disk: &mut Longer<'_, D>,
        buffers: &mut Buffers<'_>,
        tally: &mut Tally<'_>,
    ) -> Result<(), OpError> {
        let g = tally.geometry();
        for Part { index, first, clusters } in window_by_block(tally) {
            let counted = |c| tally.window.get(c).map_or(0, |slot| u64::from(slot.references));
            if clusters.clone().any(|c| counted(c) != 0) {
                let block = self.block(index).map(|at| g.offset(at)).ok_or(Refusal::CheckFailed)?;
                store(disk, g, (block, first), clusters, buffers.edit, |c, _| counted(c))?;
                let entry = g.offset(self.layout.table_at()).saturating_add(index.saturating_mul(8));
                tally.patches.replace(entry, block);
                tally.patches.settle(disk)?;
            }
        }
        Ok(())
    }

    /// The cluster of the block for table entry `index`, which is that of the last one or a later one;
    /// `None` if there are more than there is room for: the image has changed under the walk.
    fn block(&mut self, index: u64) -> Option<u64> {
        if self.last != Some(index) {
            self.last = Some(index);
            self.made = self.made.saturating_add(1);
        }
        let nth = self.made.checked_sub(1).filter(|nth| *nth < self.layout.blocks)?;
        Some(self.layout.first.saturating_add(nth))
    }
}

/// Has the header name the new table, and waits until it does so for good.
fn switch<D: Disk>(disk: &mut Longer<'_, D>, tally: &mut Tally<'_>, layout: Layout) -> Result<(), IoError> {
    let g = tally.geometry();
    let mut fields = [0; FIELDS];
    put_be64(&mut fields, 0, g.offset(layout.table_at()));
    put_be32(&mut fields, 8, u32::try_from(layout.table).unwrap_or(u32::MAX));
    disk.write_at(header::at::REFCOUNT_TABLE_OFFSET as u64, &fields)?;
    disk.flush()?;
    tally.header.refcount_table_offset = g.offset(layout.table_at());
    tally.header.refcount_table_clusters = layout.table;
    Ok(())
}
