//! Moving what holds the end of the file, after a shrink has freed space before it: copies that the
//! resize has made itself, and bitmaps, which lie behind everything else in most images that have any.
//!
//! Only clusters that nothing but the like of them follows are moved: those of a level to the lowest free run, if that lies before
//! all of these. What is left is moved into the gaps between, from the file's end on, as many at a time as there is a run for, so
//! far as the file would reach without gaps. Data goes first, then the tables that name it, then the directory that
//! names these. Each time the clusters are copied and counted, then, behind a barrier, the words that name
//! them change, one by one and none of them torn: both places hold the same. Behind another barrier the
//! old place is let go of.

use super::bitmaps;
use super::cow::Cow;
use super::leftover::l1_of;
use super::refcounts::{Blocks, Run, covered_by, table_of};
use super::release::Release;
use super::reserve::Reservation;
use super::scratch::Scratch;
use super::table::TableWindow;
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{be64, index, put_be64};
use instar_formats::io::{IoError, ReadAt};
use instar_formats::qcow2::entry::OFFSET_MASK;
use instar_formats::qcow2::{Header, refcount};
use zerocopy::FromBytes;
use zerocopy::native_endian::U64;

/// What can be moved, by what names it: each level is named by the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Guest data and bitmap data.
    Data,
    /// L2 tables and bitmap tables.
    Tables,
    /// The bitmap directory.
    Directory,
}

/// Some clusters in a row, and the one word that names the first of them.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// The clusters.
    pub run: Run,
    /// The byte offset of the word.
    pub word: u64,
}

/// Bytes of an item in a list.
const ITEM: usize = 24;
/// How often room is looked for, for a list: each time costs a look at the refcounts.
const MAX_TRIES: u32 = 64;

/// Moves what it may of the end of the file. The image has its new size already: where it makes no sense, what is there
/// stays where it is.
///
/// # Errors
/// The device's.
pub fn settle<T: Target>(
    image: &mut T,
    header: &mut Header,
    cow: Option<Cow>,
    s: &mut Scratch<'_>,
) -> Result<(), PlanError> {
    match move_all(image, header, cow, s) {
        Err(PlanError::Image(_) | PlanError::Resize(_)) => Ok(()),
        moved => moved,
    }
}

fn move_all<T: Target>(
    image: &mut T,
    header: &mut Header,
    cow: Option<Cow>,
    s: &mut Scratch<'_>,
) -> Result<(), PlanError> {
    let Some(end) = movable_end(image, header, cow, s)? else { return Ok(()) };
    for level in LEVELS {
        while gather_and_move(image, header, cow, (level, end.first, false), s)? {}
    }
    let Some(end) = movable_end(image, header, cow, s)? else { return Ok(()) };
    for level in LEVELS {
        while gather_and_move(image, header, cow, (level, end.dense(), true), s)? {}
    }
    Ok(())
}

/// In the order in which they are moved.
const LEVELS: [Level; 3] = [Level::Data, Level::Tables, Level::Directory];

/// The clusters at the end of the file that all can be moved.
#[derive(Debug, Clone, Copy)]
struct End {
    /// The first of them.
    first: u64,
    /// How many of them are in use.
    used: u64,
}

impl End {
    /// The end of the file if there were no gaps between them.
    const fn dense(self) -> u64 {
        self.first.saturating_add(self.used)
    }
}

/// Calls `each` with everything of a level that can be moved.
fn each_item<R: ReadAt>(
    image: &mut R,
    header: &Header,
    cow: Option<Cow>,
    level: Level,
    (directory, table): (&mut [u8], &mut [u8]),
    mut each: impl FnMut(Item),
) -> Result<(), PlanError> {
    let g = header.geometry;
    if let Some(cow) = cow {
        let slot = l1_of(header).at(cow.at.slot);
        let l2 = word(image, slot)? & OFFSET_MASK;
        let item = |word, offset| Item { run: Run { first: g.cluster(offset), count: 1 }, word };
        match (level, cow.boundary) {
            (Level::Tables, _) if cow.table => each(item(slot, l2)),
            (Level::Data, Some(boundary)) => {
                let at = l2.saturating_add(boundary.index.saturating_mul(g.l2_entry_size()));
                each(item(at, word(image, at)? & OFFSET_MASK));
            }
            _ => {}
        }
    }
    bitmaps::each_item(image, header, level, (directory, table), each)
}

/// The clusters at the end of the file that all can be moved; `None` if there are none, or too many to tell.
fn movable_end<R: ReadAt>(
    image: &mut R,
    header: &Header,
    cow: Option<Cow>,
    s: &mut Scratch<'_>,
) -> Result<Option<End>, PlanError> {
    let list = <[U64]>::mut_from_bytes(s.batch).unwrap_or_default();
    let mut held = 0_usize;
    for level in LEVELS {
        each_item(image, header, cow, level, (s.l1, s.copy), |item| {
            for cluster in item.run.first..item.run.end() {
                if let Some(slot) = list.get_mut(held) {
                    slot.set(cluster);
                }
                held = held.saturating_add(1);
            }
        })?;
    }
    let Some(list) = list.get_mut(..held) else { return Ok(None) };
    list.sort_unstable_by_key(|cluster| cluster.get());
    let g = header.geometry;
    let mut window = TableWindow::new(table_of(header), s.table);
    let mut blocks = Blocks { header, window: &mut window, buf: s.block };
    let mut end: Option<End> = None;
    for entry in (0..header.refcount_table_entries()).rev() {
        let Some((_, block)) = blocks.load(image, entry)? else { continue };
        let covered = covered_by(g, entry);
        for i in (0..covered.count).rev().filter(|i| refcount::get(block, g.refcount_order(), *i) != 0) {
            let cluster = covered.first.saturating_add(i);
            if list.binary_search_by_key(&cluster, |c| c.get()).is_err() {
                return Ok(end);
            }
            let used = end.map_or(0, |end| end.used).saturating_add(1);
            end = Some(End { first: cluster, used });
        }
    }
    Ok(end)
}

/// Moves as much of a level from cluster `first` on as a list holds, before that; returns whether anything was moved. `parted`, not
/// all of it need find one place.
fn gather_and_move<T: Target>(
    image: &mut T,
    header: &mut Header,
    cow: Option<Cow>,
    (level, first, parted): (Level, u64, bool),
    s: &mut Scratch<'_>,
) -> Result<bool, PlanError> {
    let list = core::mem::take(&mut s.tables);
    let mut held = 0_usize;
    let gathered = each_item(image, header, cow, level, (s.l1, s.copy), |item| {
        if item.run.end() > first
            && item.word & 7 == 0
            && let Some(slot) = list.get_mut(held..held.saturating_add(ITEM))
        {
            put_be64(slot, 0, item.run.first);
            put_be64(slot, 8, item.run.count);
            put_be64(slot, 16, item.word);
            held = held.saturating_add(ITEM);
        }
    });
    let moved = gathered.and_then(|()| {
        let (items, _) = list.get_mut(..held).unwrap_or_default().as_chunks_mut();
        if parted {
            items.sort_unstable_by_key(|item| core::cmp::Reverse(be64(item, 0)));
            move_what_fits(image, header, items, first, s)
        } else {
            move_items(image, header, items, first, s)
        }
    });
    s.tables = list;
    moved
}

/// Moves items from the file's end on, as many at a time as there is a run for, until the next one has no room; returns
/// whether any was moved.
fn move_what_fits<T: Target>(
    image: &mut T,
    header: &mut Header,
    mut items: &[[u8; ITEM]],
    first: u64,
    s: &mut Scratch<'_>,
) -> Result<bool, PlanError> {
    let (mut moved, mut len) = (false, items.len());
    for _ in 0..MAX_TRIES {
        let (now, later) = items.split_at_checked(len).unwrap_or_default();
        if now.is_empty() {
            break;
        }
        if move_items(image, header, now, first, s)? {
            (moved, items) = (true, later);
            len = len.min(later.len());
        } else {
            len /= 2;
        }
    }
    Ok(moved)
}

/// Moves the items of a list if there is one free run for them before cluster `first`.
fn move_items<T: Target>(
    image: &mut T,
    header: &mut Header,
    items: &[[u8; ITEM]],
    first: u64,
    s: &mut Scratch<'_>,
) -> Result<bool, PlanError> {
    let g = header.geometry;
    let count = items.iter().fold(0_u64, |sum, item| sum.saturating_add(be64(item, 8)));
    let place = Reservation::plan(image, header, count, s)?;
    if count == 0 || place.clusters().end() > first || place.refcounts_end(g) > 0 {
        return Ok(false);
    }
    let items = || items.iter().map(|item| (be64(item, 0), be64(item, 8), be64(item, 16)));
    let mut to = place.clusters().first;
    for (from, count, _) in items() {
        copy(image, g.offset(from), g.offset(to), g.offset(count), s.copy)?;
        to = to.saturating_add(count);
    }
    place.run(image, header, s)?;
    to = place.clusters().first;
    for (_, count, at) in items() {
        let value = word(image, at)? & !OFFSET_MASK | g.offset(to);
        image.apply(Patch::Write { offset: at, data: &value.to_be_bytes() })?;
        to = to.saturating_add(count);
    }
    image.apply(Patch::Barrier)?;
    let mut release = Release::new(header, s.table, s.block, s.batch, s.touched);
    for (from, count, _) in items() {
        (from..from.saturating_add(count)).try_for_each(|cluster| release.cluster(image, cluster))?;
    }
    release.flush(image)?;
    image.apply(Patch::Barrier)?;
    Ok(true)
}

fn copy<T: Target>(image: &mut T, from: u64, to: u64, len: u64, buf: &mut [u8]) -> Result<(), IoError> {
    let mut done = 0;
    while done < len {
        let part = index(len.saturating_sub(done)).min(buf.len());
        let part = buf.get_mut(..part).unwrap_or_default();
        image.read_at(from.saturating_add(done), part)?;
        image.apply(Patch::Write { offset: to.saturating_add(done), data: part })?;
        done = done.saturating_add((part.len() as u64).max(1));
    }
    Ok(())
}

fn word<R: ReadAt>(image: &mut R, at: u64) -> Result<u64, IoError> {
    let mut word = [0; 8];
    image.read_at(at, &mut word)?;
    Ok(be64(&word, 0))
}
