//! What the new area of a grown disk is filled with: clusters of its own (preallocation), or explicit
//! zeros where a longer backing file would show through.
//!
//! The plan says which L2 entries are written, how many clusters they take, and what becomes of the
//! cluster that the old end lies in ([`edge`]). The area's clusters lie one behind the other in guest
//! order; new L2 tables follow them.

mod data;
mod edge;
mod tables;

use super::leftover::{Unshare, is_plain, l1_of, l2_at};
use super::refcounts::Run;
use super::scratch::Scratch;
use super::table::TableWindow;
use crate::{PlanError, Preallocation, ResizeError, Surroundings};
use core::ops::Range;
use edge::Edge;
use instar_formats::io::ReadAt;
use instar_formats::qcow2::entry::{COPIED, ZERO};
use instar_formats::qcow2::header::AUTOCLEAR_RAW;
use instar_formats::qcow2::{Geometry, Header, Incompatible};

pub use data::{DataFile, clear_data_file};

/// The bitmap of an extended L2 entry whose subclusters all read as zeros.
const ALL_ZERO: u64 = 0xffff_ffff_0000_0000;
/// The bitmap of an extended L2 entry whose subclusters are all allocated.
pub const ALL_ALLOCATED: u64 = 0x0000_0000_ffff_ffff;

/// What a growth is to do to the new area.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// Virtual size before, in bytes.
    pub old: u64,
    /// Virtual size after, in bytes.
    pub new: u64,
    /// What to allocate.
    pub mode: Preallocation,
    /// Whether the backing file is longer than the disk was.
    pub longer: bool,
    /// Whether guest data lies in an external data file, and which kind it is.
    pub data_file: Option<DataFile>,
    /// Whether zeros of a file are zeros of the disk ([`is_plain`]).
    pub plain: bool,
}

impl Goal {
    /// What growing the image from its size to `new` bytes is to do. A raw data file has all of the
    /// disk in it, so its clusters are always named.
    pub fn new(header: &Header, new: u64, mode: Preallocation, around: &Surroundings<'_>) -> Self {
        let old = header.virtual_size();
        let longer = around.backing.as_ref().is_some_and(|backing| backing.virtual_size() > old);
        let raw = header.autoclear & AUTOCLEAR_RAW != 0;
        let data_file = header.has(Incompatible::DATA_FILE).then_some(DataFile { raw });
        let named = data_file.is_some_and(|file| file.raw) && mode == Preallocation::Off;
        let mode = if named { Preallocation::Metadata } else { mode };
        Self { old, new, mode, longer, data_file, plain: is_plain(header) }
    }

    /// Whether new clusters get a place.
    pub const fn allocates(&self) -> bool {
        !matches!(self.mode, Preallocation::Off)
    }

    /// Whether the entries of new clusters rely on the zeros that they hold, and carry no mark.
    const fn relies_on_zeros(&self) -> bool {
        self.has_space() && self.data_file.is_none() && self.plain
    }

    /// The byte of the disk at which writing to the edge cluster ends: a data file gets nothing behind the
    /// disk's new end, and clusters that are only named are holes, which stay holes behind the old end.
    const fn edge_end(&self) -> u64 {
        match self.data_file {
            Some(_) => self.new,
            None if matches!(self.mode, Preallocation::Metadata) && !self.longer => self.old,
            None => u64::MAX,
        }
    }

    /// Whether new clusters get host space that holds zeros.
    const fn has_space(&self) -> bool {
        matches!(self.mode, Preallocation::Falloc | Preallocation::Full)
    }
}

/// The entries that a growth writes.
#[derive(Debug, Clone, Copy)]
pub struct Fill {
    goal: Goal,
    /// The guest clusters that are new as a whole.
    guest: Run,
    edge: Option<Edge>,
    /// The L2 table, at this byte of the file, that holds the first entries.
    straddling: Option<u64>,
    /// The L1 entries that get a new L2 table.
    slots: Run,
}

/// An L2 entry: the first word, and the bitmap of an extended one.
pub type Entry = (u64, u64);

/// Plans what fills the new area; `None` if it needs nothing. Uses the `l1` and `l2` parts of the
/// scratch.
pub fn plan<R: ReadAt>(
    image: &mut R,
    header: &Header,
    goal: &Goal,
    s: &mut Scratch<'_>,
) -> Result<Option<Fill>, PlanError> {
    if !goal.allocates() && !goal.longer {
        return Ok(None);
    }
    let g = header.geometry;
    let first = g.clusters(goal.old);
    let guest = Run { first, count: g.clusters(goal.new).saturating_sub(first) };
    if goal.longer && header.version < 3 && !goal.has_space() && guest.count > 0 {
        return Err(ResizeError::NoZeroClusters.into());
    }
    let slot = goal.old.wrapping_shr(g.l1_coverage_bits());
    let old_slots = g.l1_entries(goal.old);
    let mut l1 = TableWindow::new(l1_of(header), s.l1);
    let table = if slot < old_slots { l2_at(image, header, &mut l1, slot)? } else { None };
    let edge = edge::plan(image, header, goal, table, s)?;
    let entries = entries(guest, edge.as_ref());
    if entries.count == 0 {
        return Ok(None);
    }
    let first_slot = entries.first.wrapping_shr(g.l2_bits());
    let straddling = table.filter(|_| first_slot == slot);
    let first = first_slot.saturating_add(u64::from(straddling.is_some()));
    let slots = Run { first, count: g.l1_entries(goal.new).saturating_sub(first) };
    Ok(Some(Fill { goal: *goal, guest, edge, straddling, slots }))
}

/// The guest clusters whose entries are written.
fn entries(guest: Run, edge: Option<&Edge>) -> Run {
    let first = edge.map_or(guest.first, |edge| edge.guest);
    Run { first, count: guest.end().saturating_sub(first) }
}

impl Fill {
    /// How many data clusters are needed in the image file.
    pub fn data_clusters(&self) -> u64 {
        let edge = self.edge.as_ref().is_some_and(Edge::needs_cluster);
        match self.goal.data_file {
            Some(_) => 0,
            None if self.goal.allocates() => self.guest.count.saturating_add(u64::from(edge)),
            None => u64::from(edge),
        }
    }

    /// What of the old end is written to where it stands.
    pub fn unshare(&self) -> Unshare {
        let kept = self.edge.as_ref().is_some_and(Edge::writes_in_place);
        Unshare { table: self.straddling.is_some(), boundary: kept && self.goal.data_file.is_none() }
    }

    /// What is read of the backing file ([`Edge::reads`]).
    pub fn reads(&self, g: Geometry) -> Range<u64> {
        self.edge.as_ref().map_or(0..0, |edge| edge.reads(g, &self.goal))
    }

    /// The first L1 entry that gets a new L2 table, with all behind it.
    pub const fn first_table(&self) -> u64 {
        self.slots.first
    }

    /// How many L2 tables are needed.
    pub const fn tables(&self) -> u64 {
        self.slots.count
    }

    /// The entry of guest cluster `guest`, if the data clusters begin at host cluster `data`.
    fn entry(&self, g: Geometry, guest: u64, data: u64) -> Entry {
        let all = entries(self.guest, self.edge.as_ref());
        if guest < all.first || guest >= all.end() {
            return (0, 0);
        }
        match &self.edge {
            Some(edge) if edge.guest == guest => edge.entry(self.host(g, guest, data)),
            _ => self.new_entry(g, guest, data),
        }
    }

    /// The entry of a cluster that is new as a whole.
    fn new_entry(&self, g: Geometry, guest: u64, data: u64) -> Entry {
        let (goal, extended) = (&self.goal, g.extended_l2());
        let host = if goal.allocates() { COPIED | self.host(g, guest, data) } else { 0 };
        match (goal.longer, goal.relies_on_zeros()) {
            (false, _) => (host, 0),
            (true, true) => (host, if extended { ALL_ALLOCATED } else { 0 }),
            (true, false) if extended => (host, ALL_ZERO),
            (true, false) => (host | ZERO, 0),
        }
    }

    /// Where guest cluster `guest` lies, in bytes.
    fn host(&self, g: Geometry, guest: u64, data: u64) -> u64 {
        if self.goal.data_file.is_some() {
            return g.offset(guest);
        }
        let edge = self.edge.as_ref().filter(|edge| edge.needs_cluster());
        let first = edge.map_or(self.guest.first, |edge| edge.guest);
        g.offset(data.saturating_add(guest.saturating_sub(first)))
    }
}
