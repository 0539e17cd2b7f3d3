//! Copying what a snapshot has, too, before it is changed: the L2 table that the end of the disk lies in,
//! and the last cluster of the disk, whose bytes behind the end must become zeros.
//!
//! The copies are written and counted before anything names them. The copied table has no entries
//! beyond the end: those are out of reach already, or will be with the next write of the header, and
//! only then it takes the old one's place. One word names a copy, and no sector of a disk is torn:
//! - the L1 entry, if the table is copied; what the old table names is still counted for both;
//! - else the L2 entry of the last cluster.
//!
//! Behind a barrier, the old ones lose a reference each, and so does what the entries beyond the end
//! named. Until then these references are leaked.

use super::leftover::{Straddling, l1_of, load_l2};
use super::refcounts::Run;
use super::scratch::Scratch;
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{be64, index, put_be64};
use instar_formats::qcow2::Header;
use instar_formats::qcow2::entry::{COPIED, OFFSET_MASK};

/// The last cluster of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boundary {
    /// Its entry of the straddling table.
    pub index: u64,
    /// Its byte offset in the file.
    pub offset: u64,
    /// How many of its bytes lie before the end of the disk.
    pub kept: u64,
}

/// What must be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cow {
    /// The straddling table.
    pub at: Straddling,
    /// Whether it is shared.
    pub table: bool,
    /// The last cluster of the disk, if it is shared.
    pub boundary: Option<Boundary>,
}

impl Cow {
    /// How many clusters the copies take: first the table's, then the last cluster's.
    pub fn need(&self) -> u64 {
        u64::from(self.table).saturating_add(u64::from(self.boundary.is_some()))
    }

    /// The clusters that lose a reference to their copies.
    pub fn originals(&self, header: &Header) -> [Option<u64>; 2] {
        let g = header.geometry;
        [self.table.then(|| g.cluster(self.at.table)), self.boundary.map(|b| g.cluster(b.offset))]
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
        run: Run,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        let g = header.geometry;
        if let Some(boundary) = self.boundary {
            let data = load_l2(image, header, boundary.offset, s.block)?;
            data.get_mut(index(boundary.kept)..).unwrap_or_default().fill(0);
            image.apply(Patch::Write { offset: self.data(header, run), data })?;
        }
        if self.table {
            let table = load_l2(image, header, self.at.table, s.l2)?;
            let beyond = index(self.at.first.saturating_mul(g.l2_entry_size()));
            table.get_mut(beyond..).unwrap_or_default().fill(0);
            if let Some(boundary) = self.boundary {
                let at = index(boundary.index.saturating_mul(g.l2_entry_size()));
                let entry = be64(table, at) & !OFFSET_MASK | COPIED | self.data(header, run);
                put_be64(table, at, entry);
            }
            image.apply(Patch::Write { offset: g.offset(run.first), data: table })?;
        }
        Ok(())
    }

    /// Puts the copies in their place, for good.
    pub fn switch<T: Target>(&self, image: &mut T, header: &Header, run: Run) -> Result<(), PlanError> {
        let g = header.geometry;
        let (offset, value) = match (self.table, self.boundary) {
            (true, _) => (l1_of(header).at(self.at.slot), g.offset(run.first)),
            (false, Some(Boundary { index, .. })) => {
                let at = self.at.table.saturating_add(index.saturating_mul(g.l2_entry_size()));
                (at, self.data(header, run))
            }
            (false, None) => return Ok(()),
        };
        image.apply(Patch::Write { offset, data: &(COPIED | value).to_be_bytes() })?;
        Ok(image.apply(Patch::Barrier)?)
    }
}
