//! Persistent bitmaps: on a disk of another size, each has as many bits as that has granules. Bits beyond
//! the end are lost, and new ones are zero: a new area is clean.
//!
//! A bitmap's data stays where it is, and so does its table as long as it fits its clusters. What the
//! directory says of a table is right for one size of the disk only, and it lies in another sector than
//! that size. So, where the length of a table changes, the bitmap is flagged as in use, as by any program
//! that works with it, while the header's sector is written: a bitmap that a crash leaves flagged says
//! that it is not to be trusted, and nothing else is affected. Between barriers:
//! 1. ([`prepare`]) larger tables are written to clusters that are free, and counted; new entries of a
//!    table that stays lie behind its end, and get zeros;
//! 2. entries of the directory get their new tables, which so far say the same as the old ones, and the
//!    old ones lose their references;
//! 3. ([`commit`]) bitmaps whose tables change in length are flagged;
//! 4. the header sector;
//! 5. bits beyond the end become zeros: nobody looks at them;
//! 6. the length of a table and its flags, which are one word: the bitmap is consistent again;
//! 7. clusters that a shorter table does not name any more lose their references.
//!
//! Bits beyond the end that a crash left set are cleared by the next resize, before the disk grows.

mod apart;
pub mod change;
pub mod commit;
mod named;
pub mod prepare;

use super::leftover::overlaps_fixed;
use super::refcounts::Run;
use super::scratch::Scratch;
use super::settle::{Item, Level};
use super::table::Table;
use super::verify::Check;
use crate::{Patch, PlanError, ResizeError, Target};
use apart::Places;
use change::{Change, End};
use instar_formats::ImageError;
use instar_formats::bytes::{be64, index, is_zero};
use instar_formats::io::ReadAt;
use instar_formats::qcow2::bitmap::{BitmapEntry, Bitmaps, ENTRY_ONES, at, fits, table_entry};
use instar_formats::qcow2::geometry::MAX_L1_ENTRIES;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{Geometry, Header};
pub use named::each_named;

/// What is to be done with an image's bitmaps. Sizes in bytes.
#[derive(Debug, Clone, Copy)]
pub struct BitmapsPlan {
    old: u64,
    new: u64,
    /// Whether there are any.
    present: bool,
    /// Whether the table of any changes in length.
    resized: bool,
    /// Clusters that larger tables and new data take.
    need: u64,
}

/// Plans what a resize to `new` bytes does to the bitmaps, and checks what will be changed.
///
/// # Errors
/// [`ResizeError`] if a bitmap is in use or would become too large; [`PlanError::Image`] if one cannot
/// be right.
pub fn plan<R: ReadAt>(
    image: &mut R,
    header: &Header,
    new: u64,
    s: &mut Scratch<'_>,
) -> Result<BitmapsPlan, PlanError> {
    let mut plan = BitmapsPlan { old: header.virtual_size(), new, present: false, resized: false, need: 0 };
    let directory = Bitmaps::find(header, image)?;
    if directory.start == 0 {
        return Ok(plan);
    }
    if directory.start >= image.len() || overlaps_fixed(header, directory.start, directory.len) {
        return Err(ImageError::BitmapDirectory { offset: directory.start }.into());
    }
    plan.present = true;
    let g = header.geometry;
    let mut check = Check::new(header, s.table, s.block, s.batch).keeping(&directory);
    let mut places = Places::new(s.tables);
    places.push(Run { first: g.cluster(directory.start), count: g.clusters(directory.len) });
    let (mut index, mut clusters) = (0, 0_u64);
    each(image, header, s.l1, |image, entry| {
        if entry.in_use {
            return Err(ResizeError::BitmapInUse { index }.into());
        }
        let change = Change::of(g, entry, plan.old, new);
        if !fits(g, change.entries) {
            // Of two limits qemu-img tells this one.
            if g.l1_entries(new) > MAX_L1_ENTRIES {
                return Err(ResizeError::L1TooLarge.into());
            }
            return Err(ResizeError::BitmapTooLarge { index }.into());
        }
        index = u64::saturating_add(index, 1);
        clusters = clusters.saturating_add(change.old_clusters(g));
        let table_end = entry.table_offset.saturating_add(g.offset(change.old_clusters(g)));
        let table_len = g.offset(change.old_clusters(g));
        if table_end > g.align_up(image.len())
            || overlaps_fixed(header, entry.table_offset, table_len)
            || directory.lies_on(entry.table_offset, table_len)
            || clusters > g.clusters(image.len())
        {
            return Err(ImageError::BitmapDirectory { offset: entry.offset }.into());
        }
        let end = end_of(image, header, &change)?;
        if matches!(end, AtEnd::Data(offset) if directory.lies_on(offset, g.cluster_size())) {
            return Err(ImageError::BitmapDirectory { offset: entry.offset }.into());
        }
        places.push(Run { first: g.cluster(entry.table_offset), count: change.old_clusters(g) });
        if let AtEnd::Data(offset) = end {
            places.push(Run { first: g.cluster(offset), count: 1 });
        }
        let ones = end == AtEnd::Ones && new > plan.old;
        let moved = if change.moves(g) { change.clusters(g) } else { 0 };
        plan.need = plan.need.saturating_add(moved).saturating_add(u64::from(ones));
        plan.resized |= change.resizes();
        check_dropped(image, &mut check, entry, &change, s.copy)
    })?;
    check.flush(image)?;
    places.check(image, header, s.table)?;
    Ok(plan)
}

impl BitmapsPlan {
    /// How many clusters larger tables and new data take.
    pub const fn need(&self) -> u64 {
        self.need
    }
}

/// Calls `each` with every entry of the directory, `buf` holding a piece of that.
fn each<R: ReadAt>(
    image: &mut R,
    header: &Header,
    buf: &mut [u8],
    mut each: impl FnMut(&mut R, &BitmapEntry) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    let mut directory = Bitmaps::find(header, image)?;
    let mut reader = Buffered::new(buf);
    while let Some(entry) = directory.next(header, image, &mut reader)? {
        each(image, &entry)?;
    }
    Ok(())
}

/// What is behind the last bits that both sizes have, in their cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtEnd {
    /// Nothing, or zeros.
    Nothing,
    /// All bits are one, those before the end and those behind it.
    Ones,
    /// The cluster at this byte offset.
    Data(u64),
}

fn end_of<R: ReadAt>(image: &mut R, header: &Header, change: &Change) -> Result<AtEnd, PlanError> {
    let mut word = [0; 8];
    if change.end.bits == 0 {
        return Ok(AtEnd::Nothing);
    }
    let at = change.old.at(change.end.entry);
    image.read_at(at, &mut word)?;
    let value = be64(&word, 0);
    match table_entry(value, header) {
        Ok(0) if value & ENTRY_ONES != 0 => Ok(AtEnd::Ones),
        Ok(0) => Ok(AtEnd::Nothing),
        Ok(offset) if is_inside(image, header, offset) => Ok(AtEnd::Data(offset)),
        Ok(_) | Err(_) => Err(ImageError::BitmapDirectory { offset: at }.into()),
    }
}

/// Whether a cluster may hold a bitmap's data.
fn is_inside<R: ReadAt>(image: &R, header: &Header, offset: u64) -> bool {
    offset < image.len() && !overlaps_fixed(header, offset, header.geometry.cluster_size())
}

/// Calls `each` with every cluster that the entries `first..` of a table name, and with the byte offset of
/// the entry.
fn each_data<R: ReadAt>(
    image: &mut R,
    header: &Header,
    (table, first): (Table, u64),
    buf: &mut [u8],
    mut each: impl FnMut(&mut R, (u64, u64)) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    let mut reader = Buffered::new(buf);
    let mut next = first;
    while next < table.entries {
        let mut word = [0; 8];
        let ahead = table.entries.saturating_sub(next).saturating_mul(8);
        reader.exact(image, table.at(next), ahead, &mut word)?;
        match table_entry(be64(&word, 0), header) {
            Ok(0) => {}
            Ok(offset) if is_inside(image, header, offset) => {
                each(image, (table.at(next), header.geometry.cluster(offset)))?;
            }
            Ok(_) | Err(_) => return Err(ImageError::BitmapDirectory { offset: table.at(next) }.into()),
        }
        next = next.saturating_add(1);
    }
    Ok(())
}

/// The clusters of the old table that the new one does not keep: all of them if it moves.
fn dropped_table(g: Geometry, change: &Change) -> Run {
    let all = Run { first: g.cluster(change.old.offset), count: change.old_clusters(g) };
    if change.moves(g) {
        return all;
    }
    let kept = change.clusters(g).min(all.count);
    Run { first: all.first.saturating_add(kept), count: all.count.saturating_sub(kept) }
}

/// Has checked what a bitmap will let go of.
fn check_dropped<R: ReadAt>(
    image: &mut R,
    check: &mut Check<'_, '_>,
    entry: &BitmapEntry,
    change: &Change,
    buf: &mut [u8],
) -> Result<(), PlanError> {
    let header = check.header();
    debug_assert_eq!(entry.table_offset, change.old.offset);
    let run = dropped_table(header.geometry, change);
    (run.first..run.end()).try_for_each(|cluster| check.cluster(image, cluster))?;
    each_data(image, header, (change.old, change.entries), buf, |image, (_, cluster)| {
        check.cluster(image, cluster)
    })
}

/// Calls `each` with everything of a level that bitmaps have.
pub fn each_item<R: ReadAt>(
    image: &mut R,
    header: &Header,
    level: Level,
    (directory, table): (&mut [u8], &mut [u8]),
    mut each_item: impl FnMut(Item),
) -> Result<(), PlanError> {
    let g = header.geometry;
    if level == Level::Directory {
        let bitmaps = Bitmaps::find(header, image)?;
        if bitmaps.start != 0 {
            let run = Run { first: g.cluster(bitmaps.start), count: g.clusters(bitmaps.len) };
            each_item(Item { run, word: bitmaps.named_at });
        }
        return Ok(());
    }
    each(image, header, directory, |image, entry| {
        let old = Table { offset: entry.table_offset, entries: entry.table_entries };
        if level == Level::Tables {
            let run = Run { first: g.cluster(old.offset), count: g.clusters(old.entries.saturating_mul(8)) };
            each_item(Item { run, word: entry.offset.saturating_add(at::TABLE_OFFSET) });
            return Ok(());
        }
        each_data(image, header, (old, 0), table, |_, (word, cluster)| {
            each_item(Item { run: Run { first: cluster, count: 1 }, word });
            Ok(())
        })
    })
}

/// Clears the bits behind the end in the cluster at `offset`, if any is set.
fn clear_behind<T: Target>(
    image: &mut T,
    g: Geometry,
    offset: u64,
    end: End,
    buf: &mut [u8],
) -> Result<(), PlanError> {
    let (byte, mask) = end.byte();
    let start = offset.saturating_add(byte);
    let stop = offset.saturating_add(g.cluster_size()).min(image.len());
    let buf = buf.get_mut(..index(stop.saturating_sub(start))).unwrap_or_default();
    image.read_at(start, buf)?;
    let Some((first, rest)) = buf.split_first_mut() else { return Ok(()) };
    if *first & !mask == 0 && is_zero(rest) {
        return Ok(());
    }
    *first &= mask;
    rest.fill(0);
    Ok(image.apply(Patch::Write { offset: start, data: buf })?)
}
