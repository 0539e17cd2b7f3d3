//! Free space: where a new table can go, and where the file's last cluster in use is.

use super::bitmaps;
use super::refcounts::{Blocks, Run, covered_by, table_of};
use super::scratch::Scratch;
use super::table::{Table, TableWindow};
use super::verify::Check;
use crate::PlanError;
use instar_formats::ImageError;
use instar_formats::bytes::is_zero;
use instar_formats::io::ReadAt;
use instar_formats::qcow2::snapshot::Snapshots;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{Geometry, Header, TableEntry, refcount};

/// Bytes of the snapshot table that are read at a time.
const PIECE: usize = 512;

/// The lowest run of `need` free clusters, by their refcounts. Beyond the last block all are free.
pub fn first_fit<R: ReadAt>(
    image: &mut R,
    header: &Header,
    need: u64,
    scratch: &mut Scratch<'_>,
) -> Result<Run, PlanError> {
    let g = header.geometry;
    let mut window = TableWindow::new(table_of(header), scratch.table);
    let mut blocks = Blocks { header, window: &mut window, buf: scratch.block };
    let mut run = Run { first: 0, count: 0 };
    for entry in 0..header.refcount_table_entries() {
        let covered = covered_by(g, entry);
        match blocks.load(image, entry)? {
            None => run.count = run.count.saturating_add(covered.count),
            Some((_, block)) => extend(&mut run, block, g, covered, need),
        }
        if run.count >= need {
            break;
        }
    }
    Ok(Run { first: run.first, count: need })
}

/// Extends `run` over the free clusters of `block`, starting anew behind each one in use, until it
/// is long enough.
fn extend(run: &mut Run, block: &[u8], g: Geometry, covered: Run, need: u64) {
    if is_zero(block) {
        run.count = run.count.saturating_add(covered.count);
        return;
    }
    for i in 0..covered.count {
        if refcount::get(block, g.refcount_order(), i) == 0 {
            run.count = run.count.saturating_add(1);
        } else {
            *run = Run { first: covered.first.saturating_add(i).saturating_add(1), count: 0 };
        }
        if run.count >= need {
            return;
        }
    }
}

/// The index after the last cluster whose refcount is not zero.
pub fn end_of_used<R: ReadAt>(
    image: &mut R,
    header: &Header,
    scratch: &mut Scratch<'_>,
) -> Result<u64, PlanError> {
    let g = header.geometry;
    let mut window = TableWindow::new(table_of(header), scratch.table);
    let mut blocks = Blocks { header, window: &mut window, buf: scratch.block };
    let mut end = header.refcount_table_entries();
    while let Some((entry, _)) = blocks.window.last_used(image, end)? {
        end = entry;
        if let Some((_, block)) = blocks.load(image, entry)? {
            let covered = covered_by(g, entry);
            if let Some(last) = refcount::last(block, g.refcount_order()) {
                return Ok(covered.first.saturating_add(last).saturating_add(1));
            }
        }
    }
    Ok(0)
}

/// How many of the refcount table entries `first..end` name no block.
pub fn missing<R: ReadAt>(
    image: &mut R,
    header: &Header,
    window: &mut TableWindow<'_>,
    first: u64,
    end: u64,
) -> Result<u64, PlanError> {
    let inside = end.min(header.refcount_table_entries());
    let mut count = end.saturating_sub(inside.max(first));
    for entry in first..inside {
        if super::refcounts::block_at(window.get(image, entry)?, entry, header, image.len())?.is_none() {
            count = count.saturating_add(1);
        }
    }
    Ok(count)
}

/// Refuses if any cluster of `runs`, free by its refcount, is one that the header, the L1 table, the
/// refcount table, a refcount block, an L2 table or anything of a bitmap lies in: writing there would destroy the image.
pub fn refuse_in_use<R: ReadAt>(
    image: &mut R,
    header: &Header,
    runs: &[Run],
    scratch: &mut Scratch<'_>,
) -> Result<(), PlanError> {
    each_named(image, header, (scratch.table, scratch.l1), |_, used| refuse_overlap(runs, used))
}

/// Refuses if any cluster of these is free by its refcount, wherever it lies.
pub fn refuse_uncounted<R: ReadAt>(
    image: &mut R,
    header: &Header,
    scratch: &mut Scratch<'_>,
) -> Result<(), PlanError> {
    let window = scratch.copy.get_mut(..scratch.table.len()).unwrap_or_default();
    let mut check = Check::new(header, window, scratch.block, scratch.batch);
    each_named(image, header, (scratch.table, scratch.l1), |image, used| {
        (used.first..used.end()).try_for_each(|cluster| check.cluster(image, cluster))
    })?;
    check.flush(image)
}

/// The index after the last cluster of these, whatever its refcount: to cut the file before it would destroy the image.
pub fn end_of_named<R: ReadAt>(
    image: &mut R,
    header: &Header,
    scratch: &mut Scratch<'_>,
) -> Result<u64, PlanError> {
    let mut end = 0;
    each_named(image, header, (scratch.table, scratch.l1), |_, used| {
        end = used.end().max(end);
        Ok(())
    })?;
    Ok(end)
}

/// Calls `each` with the clusters of the header, the L1 table, the refcount table, the snapshot table and its L1 tables, of
/// bitmaps, each L2 table and each refcount block.
fn each_named<R: ReadAt>(
    image: &mut R,
    header: &Header,
    (table, window): (&mut [u8], &mut [u8]),
    mut each: impl FnMut(&mut R, Run) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    let g = header.geometry;
    let l1 = Table { offset: header.l1_offset, entries: header.l1_entries };
    let fixed = [
        Run { first: 0, count: 1 },
        Run { first: g.cluster(header.l1_offset), count: g.clusters(header.l1_bytes()) },
        Run { first: g.cluster(header.refcount_table_offset), count: header.refcount_table_clusters },
    ];
    for used in fixed {
        each(image, used)?;
    }
    each_of_snapshots(image, header, &mut each)?;
    bitmaps::each_named(image, header, (&mut *table, &mut *window), &mut each)?;
    let l1_entry = |value| TableEntry::l1(value, g);
    each_entry(image, g, TableWindow::new(l1, window), l1_entry, &mut each)?;
    let block_entry = |value| TableEntry::refcount(value, g);
    each_entry(image, g, TableWindow::new(table_of(header), table), block_entry, &mut each)
}

fn each_of_snapshots<R: ReadAt>(
    image: &mut R,
    header: &Header,
    each: &mut impl FnMut(&mut R, Run) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    let g = header.geometry;
    let mut piece = [0; PIECE];
    let (mut snapshots, mut reader) = (Snapshots::repairable(header), Buffered::new(&mut piece));
    let clusters = |offset: u64, len: u64| {
        let end = g.clusters(offset.saturating_add(len));
        Run { first: g.cluster(offset), count: end.saturating_sub(g.cluster(offset)) }
    };
    while let Some(snapshot) = snapshots.next(image, &mut reader)? {
        each(image, clusters(snapshot.l1_offset, snapshot.l1_entries.saturating_mul(8)))?;
    }
    if snapshots.is_empty() {
        Ok(())
    } else {
        each(image, clusters(header.snapshots_offset, snapshots.len()))
    }
}

fn each_entry<R: ReadAt>(
    image: &mut R,
    g: Geometry,
    mut window: TableWindow<'_>,
    decode: impl Fn(u64) -> TableEntry,
    each: &mut impl FnMut(&mut R, Run) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    let mut next = 0;
    while let Some((entry, value)) = window.next_used(image, next)? {
        if let TableEntry::At(offset) = decode(value) {
            each(image, Run { first: g.cluster(offset), count: 1 })?;
        }
        next = entry.saturating_add(1);
    }
    Ok(())
}

fn refuse_overlap(runs: &[Run], used: Run) -> Result<(), PlanError> {
    match runs.iter().map(|run| run.intersect(used)).find(|both| both.count > 0) {
        Some(both) => Err(ImageError::RefcountTooSmall { cluster: both.first, refcount: 0 }.into()),
        None => Ok(()),
    }
}
