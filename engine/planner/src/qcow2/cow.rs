//! Copying what a snapshot has, too, before it is changed: the L2 table that the end of the disk lies in,
//! and the last cluster of the disk, whose bytes behind the end must become zeros. If that one is compressed it
//! cannot be changed in part, and its copy is an ordinary cluster, whoever else has it.
//!
//! The copies are written and counted before anything names them. The copied table has no entries
//! beyond the end: those are out of reach already, or will be with the next write of the header, and
//! only then it takes the old one's place. One word names a copy, and no sector of a disk is torn:
//! - the L1 entry, if the table is copied; what the old table names is still counted for both;
//! - else the L2 entry of the last cluster.
//!
//! Behind a barrier, the old ones lose a reference each, and so does what the entries beyond the end
//! named. Until then these references are leaked.

use super::fill::{ALL_ALLOCATED, Entry};
use super::leftover::{Straddling, l1_of, load_l2};
use super::refcounts::Run;
use super::scratch::Scratch;
use crate::{Compressed, IoError, Patch, PlanError, Surroundings, Target};
use core::ops::Range;
use instar_formats::bytes::{be64, index, put_be64};
use instar_formats::io::Direction;
use instar_formats::qcow2::entry::{COPIED, OFFSET_MASK};
use instar_formats::qcow2::{Geometry, Header};

/// Bytes of the largest L2 entry.
const ENTRY: usize = 16;

/// The last cluster of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boundary {
    /// Its entry of the straddling table.
    pub index: u64,
    /// Where its bytes are.
    pub source: Source,
    /// How many of its bytes lie before the end of the disk.
    pub kept: u64,
}

/// Where the bytes of a cluster are that is to be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the cluster at this byte of the file.
    Cluster(u64),
    /// Compressed.
    Compressed(Compressed),
}

impl Source {
    /// The clusters that have a reference from its entry.
    pub fn clusters(&self, g: Geometry) -> Range<u64> {
        match self {
            Self::Cluster(offset) => g.cluster(*offset)..g.cluster(*offset).saturating_add(1),
            Self::Compressed(Compressed { offset, len, .. }) => {
                g.cluster(*offset)..g.clusters(offset.saturating_add(*len))
            }
        }
    }
}

impl Boundary {
    /// Its entry, which is `old` now, and the subcluster bitmap of an extended one, if its copy is at byte `new`.
    fn entry(&self, (value, bitmap): Entry, new: u64) -> Entry {
        match self.source {
            Source::Cluster(_) => (value & !OFFSET_MASK | COPIED | new, bitmap),
            Source::Compressed(_) => (COPIED | new, ALL_ALLOCATED),
        }
    }

    /// Fills `data` with its bytes before the end of the disk, and zeros.
    fn read<T: Target>(
        &self,
        image: &mut T,
        around: &mut Surroundings<'_>,
        data: &mut [u8],
    ) -> Result<(), PlanError> {
        match self.source {
            Source::Cluster(offset) => image.read_at(offset, data)?,
            Source::Compressed(packed) => {
                if !around.unpack(image, &packed, data)? {
                    // It could be unpacked when the plan was made.
                    let Compressed { offset, len, .. } = packed;
                    return Err(IoError { direction: Direction::Read, offset, len, errno: 0 }.into());
                }
            }
        }
        data.get_mut(index(self.kept)..).unwrap_or_default().fill(0);
        Ok(())
    }
}

/// What must be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cow {
    /// The straddling table.
    pub at: Straddling,
    /// Whether it is shared.
    pub table: bool,
    /// The last cluster of the disk, if it is shared or compressed.
    pub boundary: Option<Boundary>,
}

impl Cow {
    /// How many clusters the copies take: first the table's, then the last cluster's.
    pub fn need(&self) -> u64 {
        u64::from(self.table).saturating_add(u64::from(self.boundary.is_some()))
    }

    /// The clusters that lose a reference to their copies.
    pub fn originals(&self, header: &Header) -> impl Iterator<Item = u64> {
        let g = header.geometry;
        let table = self.table.then(|| g.cluster(self.at.table));
        table.into_iter().chain(self.boundary.map_or(0..0, |boundary| boundary.source.clusters(g)))
    }

    /// The byte offset of the last cluster's copy.
    fn data(&self, header: &Header, run: Run) -> u64 {
        header.geometry.offset(run.first.saturating_add(u64::from(self.table)))
    }

    /// Writes the copies to the clusters of `run`. Uses the `l2` and `block` parts of the scratch.
    pub fn prepare<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        around: &mut Surroundings<'_>,
        run: Run,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        let g = header.geometry;
        if let Some(boundary) = self.boundary {
            let data = s.block.get_mut(..index(g.cluster_size())).unwrap_or_default();
            boundary.read(image, around, data)?;
            image.apply(Patch::Write { offset: self.data(header, run), data })?;
        }
        if self.table {
            let table = load_l2(image, header, self.at.table, s.l2)?;
            let beyond = index(self.at.first.saturating_mul(g.l2_entry_size()));
            table.get_mut(beyond..).unwrap_or_default().fill(0);
            if let Some(boundary) = self.boundary {
                let at = index(boundary.index.saturating_mul(g.l2_entry_size()));
                let old = (be64(table, at), be64(table, at.saturating_add(8)));
                let (value, bitmap) = boundary.entry(old, self.data(header, run));
                put_be64(table, at, value);
                if g.extended_l2() {
                    put_be64(table, at.saturating_add(8), bitmap);
                }
            }
            image.apply(Patch::Write { offset: g.offset(run.first), data: table })?;
        }
        Ok(())
    }

    /// Puts the copies in their place, for good.
    pub fn switch<T: Target>(&self, image: &mut T, header: &Header, run: Run) -> Result<(), PlanError> {
        let g = header.geometry;
        match (self.table, self.boundary) {
            (true, _) => {
                let entry = COPIED | g.offset(run.first);
                let offset = l1_of(header).at(self.at.slot);
                image.apply(Patch::Write { offset, data: &entry.to_be_bytes() })?;
            }
            (false, Some(boundary)) => self.switch_boundary(image, header, &boundary, run)?,
            (false, None) => return Ok(()),
        }
        Ok(image.apply(Patch::Barrier)?)
    }

    /// Has the entry of the last cluster name the copy. An extended entry lies in one sector, too.
    fn switch_boundary<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        boundary: &Boundary,
        run: Run,
    ) -> Result<(), PlanError> {
        let size = header.geometry.l2_entry_size();
        let offset = self.at.table.saturating_add(boundary.index.saturating_mul(size));
        let mut entry = [0; ENTRY];
        let data = entry.get_mut(..index(size)).unwrap_or_default();
        image.read_at(offset, data)?;
        let (value, bitmap) = boundary.entry((be64(data, 0), be64(data, 8)), self.data(header, run));
        put_be64(data, 0, value);
        put_be64(data, 8, bitmap);
        Ok(image.apply(Patch::Write { offset, data })?)
    }
}
