//! What the clusters of the new area hold: zeros, whatever they held before.

use super::{Fill, Goal};
use crate::qcow2::refcounts::Run;
use crate::{Patch, PlanError, Preallocation, Surroundings, Target};
use instar_formats::bytes::index;
use instar_formats::io::IoError;
use instar_formats::qcow2::Geometry;

/// A file that is to reach further, with nothing behind that would make it, is allocated up to its
/// end from the last multiple of this many bytes on: a block of most file systems.
const BLOCK: u64 = 4096;

/// An external data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFile {
    /// Whether it is the disk itself: what was appended to it appears when the disk grows.
    pub raw: bool,
}

impl Fill {
    /// Writes what the data clusters hold, and the edge cluster. `data` are those reserved in the image
    /// file, `last` says that nothing else will be written behind them.
    pub fn write_data<T: Target>(
        &self,
        image: &mut T,
        g: Geometry,
        around: &mut Surroundings<'_>,
        data: Run,
        last: bool,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        if let (Some(_), Some(file)) = (self.goal.data_file, around.data_file.as_deref_mut()) {
            allocate_in(file, &self.goal, buf)?;
        } else if self.goal.allocates() && data.count > 0 {
            self.write_clusters(image, g, data, last, buf)?;
        }
        let Some(edge) = &self.edge else { return Ok(()) };
        let host = edge.host(self.host(g, edge.guest, data.first));
        let (backing, how) = (around.backing.as_deref_mut(), (g, &self.goal));
        match (self.goal.data_file, around.data_file.as_deref_mut()) {
            (Some(_), Some(file)) => {
                edge.write(file, how, host, backing, buf)?;
                Ok(file.apply(Patch::Barrier)?)
            }
            _ => edge.write(image, how, host, backing, buf),
        }
    }

    fn write_clusters<T: Target>(
        &self,
        image: &mut T,
        g: Geometry,
        data: Run,
        last: bool,
        buf: &mut [u8],
    ) -> Result<(), PlanError> {
        let (start, end, file_end) = (g.offset(data.first), g.offset(data.end()), image.len());
        match self.goal.mode {
            Preallocation::Falloc => zero(image, start, end, false)?,
            Preallocation::Full => {
                zero(image, start, end, false)?;
                write_zeros(image, start, end, buf)?;
            }
            Preallocation::Off | Preallocation::Metadata => {
                zero(image, start, end.min(file_end), true)?;
                if last && end > file_end {
                    zero(image, start.max(end.saturating_sub(1) & !(BLOCK - 1)), end, false)?;
                }
            }
        }
        Ok(())
    }

    /// Gives the space of the data clusters `data` back.
    pub fn discard<T: Target>(&self, image: &mut T, g: Geometry, data: Run) -> Result<(), PlanError> {
        Ok(zero(image, g.offset(data.first), g.offset(data.end()), true)?)
    }

    /// The byte of the image file where what is written to data clusters ends; 0 if there is nothing.
    pub fn data_end(&self, g: Geometry, data: Run) -> u64 {
        if self.goal.data_file.is_some() {
            return 0;
        }
        let new = if self.goal.allocates() { g.offset(data.count) } else { 0 };
        let edge = self.edge.as_ref().map_or(0, |edge| {
            edge.kept().unwrap_or_else(|| g.offset(data.first)).saturating_add(edge.written(g))
        });
        if data.count == 0 && edge == 0 { 0 } else { g.offset(data.first).saturating_add(new).max(edge) }
    }
}

/// Zeroes what a data file has behind the old end already: a shrink cut short may have left it. A raw
/// one is the disk itself, and what was appended to it is wanted. What an encrypted disk has behind the end in its last
/// cluster cannot be told from zeros.
pub fn clear_data_file(around: &mut Surroundings<'_>, g: Geometry, goal: &Goal) -> Result<(), PlanError> {
    let (Some(DataFile { raw: false }), Some(file)) = (goal.data_file, around.data_file.as_deref_mut())
    else {
        return Ok(());
    };
    let start = if goal.plain { goal.old } else { g.align_up(goal.old) };
    let end = goal.new.min(file.len());
    if start < end {
        zero(file, start, end, true)?;
        file.apply(Patch::Barrier)?;
    }
    Ok(())
}

/// Allocates the new area of a data file, but for what a raw one has there already.
fn allocate_in<T: Target + ?Sized>(file: &mut T, goal: &Goal, buf: &mut [u8]) -> Result<(), IoError> {
    let raw = goal.data_file.is_some_and(|file| file.raw);
    let start = if raw { goal.old.max(file.len()) } else { goal.old };
    if goal.has_space() {
        zero(file, start, goal.new, false)?;
    }
    if goal.mode == Preallocation::Full {
        write_zeros(file, start, goal.new, buf)?;
    }
    file.apply(Patch::Barrier)
}

fn zero<T: Target + ?Sized>(target: &mut T, start: u64, end: u64, unmap: bool) -> Result<(), IoError> {
    let len = end.saturating_sub(start);
    if len == 0 { Ok(()) } else { target.apply(Patch::ZeroFill { offset: start, len, unmap }) }
}

fn write_zeros<T: Target + ?Sized>(
    target: &mut T,
    start: u64,
    end: u64,
    buf: &mut [u8],
) -> Result<(), IoError> {
    buf.fill(0);
    let mut offset = start;
    while offset < end {
        let len = index(end.saturating_sub(offset)).min(buf.len());
        let data = buf.get(..len).unwrap_or_default();
        target.apply(Patch::Write { offset, data })?;
        offset = offset.saturating_add(len as u64);
    }
    Ok(())
}
