//! The cluster that the old end of the disk lies in. Behind the end it must read as zeros: where it
//! would show a longer backing file, or where it is to have a place, what precedes the end is copied
//! up from the backing file and zeros follow.
//!
//! An extended L2 entry does the same by subclusters. Those behind the end are marked as zeros, and
//! only the one that the end lies in is copied.

use super::{ALL_ALLOCATED, Entry, Goal};
use crate::qcow2::leftover::{is_plain, l2_format, load_l2};
use crate::qcow2::scratch::Scratch;
use crate::{Backing, Patch, PlanError, Target};
use core::ops::Range;
use instar_formats::ImageError;
use instar_formats::bytes::{be64, index};
use instar_formats::io::ReadAt;
use instar_formats::qcow2::entry::{COMPRESSED, COPIED, OFFSET_MASK};
use instar_formats::qcow2::geometry::SUBCLUSTERS;
use instar_formats::qcow2::{Cluster, Geometry, Header, Incompatible};

/// A change of the entry of the cluster that the old end lies in.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Which guest cluster it is.
    pub guest: u64,
    place: Place,
    bitmap: u64,
    content: Content,
}

/// What is written before the entry is: a bit for each piece of the cluster, which is its subclusters,
/// or else all of it.
#[derive(Debug, Clone, Copy)]
struct Content {
    /// The pieces that are written.
    pieces: u64,
    /// Those that are zeros even in front of the old end; else that comes from the backing file.
    zeros: u64,
}

/// Where an edge cluster's content lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nowhere.
    None,
    /// Where its entry says.
    Kept(u64),
    /// In the first of the clusters that are reserved, or in the data file.
    New,
}

/// What the entry says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    /// It has no place; with extended entries its zero subclusters.
    Nowhere { zero: bool, bitmap: u64 },
    /// It has a place; with extended entries its bitmap.
    At { value: u64, bitmap: u64 },
    /// It reads as it should, or cannot be changed in part.
    Fixed,
}

/// Plans what becomes of the edge cluster, whose L2 table is at byte `table` of the file.
pub fn plan<R: ReadAt>(
    image: &mut R,
    header: &Header,
    goal: &Goal,
    table: Option<u64>,
    s: &mut Scratch<'_>,
) -> Result<Option<Edge>, PlanError> {
    let g = header.geometry;
    if g.in_cluster(goal.old) == 0 {
        return Ok(None);
    }
    let guest = g.cluster(goal.old);
    let now = match table {
        Some(table) => now(image, header, table, guest, s.l2)?,
        None => Now::Nowhere { zero: false, bitmap: 0 },
    };
    if g.extended_l2() {
        return Ok(extended(header, goal, guest, now));
    }
    // What precedes the end would be the zeros of the file, which are not those of an encrypted disk.
    Ok(if is_plain(header) { standard(guest, now) } else { None })
}

/// Reads the entry of guest cluster `guest`.
fn now<R: ReadAt>(
    image: &mut R,
    header: &Header,
    table: u64,
    guest: u64,
    buf: &mut [u8],
) -> Result<Now, PlanError> {
    let g = header.geometry;
    let i = guest & g.l2_entries().saturating_sub(1);
    let entries = load_l2(image, header, table, buf)?;
    let at = index(i.saturating_mul(g.l2_entry_size()));
    let bitmap = if g.extended_l2() { be64(entries, at.saturating_add(8)) } else { 0 };
    let value = be64(entries, at);
    if header.has(Incompatible::DATA_FILE) && value & (COPIED | COMPRESSED) == COPIED {
        return Ok(Now::At { value, bitmap });
    }
    Ok(match l2_format(header).get(entries, i).1 {
        Cluster::Unallocated => Now::Nowhere { zero: false, bitmap: 0 },
        Cluster::ZeroPlain => Now::Nowhere { zero: true, bitmap },
        Cluster::Allocated(_) => Now::At { value, bitmap },
        Cluster::ZeroAllocated(_) | Cluster::Compressed { .. } => Now::Fixed,
        Cluster::Invalid => {
            let offset = table.saturating_add(i.saturating_mul(g.l2_entry_size()));
            return Err(ImageError::L2Entry { entry: value, offset }.into());
        }
    })
}

/// With standard entries a cluster is copied as a whole. One that has a place has its tail zeroed
/// already, like that of any growth.
fn standard(guest: u64, now: Now) -> Option<Edge> {
    let Now::Nowhere { zero, .. } = now else { return None };
    let content = Content { pieces: 1, zeros: u64::from(zero) };
    Some(Edge { guest, place: Place::New, bitmap: 0, content })
}

fn extended(header: &Header, goal: &Goal, guest: u64, now: Now) -> Option<Edge> {
    let (kept, bitmap) = match now {
        Now::Nowhere { bitmap, .. } => (None, bitmap),
        Now::At { value, bitmap } => (Some(value), bitmap),
        Now::Fixed => return None,
    };
    let (allocated, zeros) = (bitmap & ALL_ALLOCATED, bitmap.wrapping_shr(32));
    let new = kept.map_or(Place::New, Place::Kept);
    if !goal.longer {
        let content = Content { pieces: 0, zeros: 0 };
        return kept.is_none().then_some(Edge { guest, place: new, bitmap, content });
    }
    if goal.relies_on_zeros() {
        let content = Content { pieces: !allocated & ALL_ALLOCATED, zeros };
        return Some(Edge { guest, place: new, bitmap: ALL_ALLOCATED, content });
    }
    let (cut, behind) = behind(header, goal.old);
    let pieces = cut & !allocated;
    let place = if kept.is_some() || goal.allocates() || pieces != 0 { new } else { Place::None };
    let allocated = (allocated & !behind) | pieces;
    let bitmap = ((zeros & !pieces) | behind).wrapping_shl(32) | allocated;
    Some(Edge { guest, place, bitmap, content: Content { pieces, zeros } })
}

/// The bit of the subcluster that `old` lies inside of, and the bits of those behind it.
fn behind(header: &Header, old: u64) -> (u64, u64) {
    let size = header.geometry.cluster_size() / SUBCLUSTERS;
    let inside = header.geometry.in_cluster(old);
    let cut = u32::from(inside & size.saturating_sub(1) != 0);
    let nth = u32::try_from(inside.checked_div(size).unwrap_or(0)).unwrap_or(0);
    let behind = ALL_ALLOCATED.wrapping_shl(nth.saturating_add(cut)) & ALL_ALLOCATED;
    (u64::from(cut).wrapping_shl(nth), behind)
}

impl Edge {
    /// Whether it takes a cluster of its own.
    pub fn needs_cluster(&self) -> bool {
        self.place == Place::New
    }

    /// Its entry, if a new place for it is at byte `new`.
    pub const fn entry(&self, new: u64) -> Entry {
        match self.place {
            Place::None => (0, self.bitmap),
            Place::Kept(value) => (value, self.bitmap),
            Place::New => (new | COPIED, self.bitmap),
        }
    }

    /// The byte of the file where its content lies, if a new place for it is at byte `new`.
    pub const fn host(&self, new: u64) -> u64 {
        match self.place {
            Place::Kept(value) => value & OFFSET_MASK,
            Place::None | Place::New => new,
        }
    }

    /// Where its cluster is, if that is in use already.
    pub const fn kept(&self) -> Option<u64> {
        match self.place {
            Place::Kept(value) => Some(value & OFFSET_MASK),
            Place::None | Place::New => None,
        }
    }

    /// Whether anything is written to a cluster that is in use already.
    pub const fn writes_in_place(&self) -> bool {
        self.kept().is_some() && self.content.pieces != 0
    }

    /// The end of what is written, in bytes from the start of the cluster.
    pub fn written(&self, g: Geometry) -> u64 {
        let last = u64::BITS.saturating_sub(self.content.pieces.leading_zeros());
        u64::from(last).saturating_mul(piece(g))
    }

    /// The bytes of the disk, the last one excluded, between which what is written comes from the backing file; an
    /// empty range if nothing does.
    pub fn reads(&self, g: Geometry, goal: &Goal) -> Range<u64> {
        let (size, start) = (piece(g), g.offset(self.guest));
        let copied = self.content.pieces & !self.content.zeros;
        let past = u64::BITS.saturating_sub(copied.leading_zeros());
        let at = |nth: u32| start.saturating_add(u64::from(nth).saturating_mul(size));
        let end = at(past).min(goal.edge_end()).min(goal.old);
        at(copied.trailing_zeros()).min(end)..end
    }

    /// Writes the content to `target`, where the cluster begins at byte `host`. What lies behind the old
    /// end is zeros, which are only written where nothing else has seen to them.
    pub fn write<T: Target + ?Sized>(
        &self,
        target: &mut T,
        (g, goal): (Geometry, &Goal),
        host: u64,
        mut backing: Option<&mut (dyn Backing + '_)>,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        let (size, start) = (piece(g), g.offset(self.guest));
        let most = goal.edge_end().saturating_sub(start);
        for nth in (0..u64::BITS).filter(|nth| bit(self.content.pieces, *nth)) {
            let first = u64::from(nth).saturating_mul(size);
            let backing = backing.as_deref_mut().filter(|_| !bit(self.content.zeros, nth));
            let part = (start, first..first.saturating_add(size).min(most));
            copy_up(target, part, host, goal.old, backing, buf)?;
        }
        Ok(())
    }
}

/// Bytes of a piece of a cluster.
const fn piece(g: Geometry) -> u64 {
    if g.extended_l2() { g.cluster_size() / SUBCLUSTERS } else { g.cluster_size() }
}

const fn bit(bits: u64, nth: u32) -> bool {
    bits.wrapping_shr(nth) & 1 != 0
}

/// Writes `part` of the cluster at byte `start` of the disk: what `backing` has in front of byte `old`,
/// and zeros.
fn copy_up<T: Target + ?Sized>(
    target: &mut T,
    (start, part): (u64, Range<u64>),
    host: u64,
    old: u64,
    mut backing: Option<&mut (dyn Backing + '_)>,
    buf: &mut [u8],
) -> Result<(), PlanError> {
    let mut at = part.start;
    while at < part.end {
        let len = index(part.end.saturating_sub(at)).min(buf.len());
        let data = buf.get_mut(..len).unwrap_or_default();
        data.fill(0);
        let guest = start.saturating_add(at);
        let inside = index(old.saturating_sub(guest)).min(len);
        if let (Some(backing), Some(head)) = (backing.as_deref_mut(), data.get_mut(..inside)) {
            backing.read(guest, head)?;
        }
        target.apply(Patch::Write { offset: host.saturating_add(at), data })?;
        at = at.saturating_add(len as u64);
    }
    Ok(())
}
