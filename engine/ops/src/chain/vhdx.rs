//! From a guest offset to a place in a VHDX file ("BAT").

use super::bad_entry;
use super::mapping::{Found, Source};
use crate::{ImageError, LayerError, ReadAt};
use instar_formats::bytes::le64;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::vhdx::{Entry, Geometry, Image, OpenError, State};
use instar_planner::PlanError;
use instar_planner::vhdx::{Log, log};

/// How much of the BAT is read at a time, in bytes.
const AHEAD: u64 = 4096;

/// The BAT of an image.
pub struct VhdxMapping<'c> {
    geometry: Geometry,
    bat: u64,
    /// Part of the BAT.
    table: Buffered<'c>,
}

impl<'c> VhdxMapping<'c> {
    /// Opens the image, and says how large its disk is; `table` is what is kept of the BAT.
    ///
    /// # Errors
    /// It makes no sense, its log must be replayed first, or its device failed.
    pub fn open(mut file: &mut dyn ReadAt, table: &'c mut [u8]) -> Result<(Self, u64), LayerError> {
        match log(&mut file) {
            Ok(Log::Dirty(_)) => return Err(ImageError::VhdxLogDirty.into()),
            Ok(Log::Empty | Log::Lost) => {}
            Err(PlanError::Io(e)) => return Err(e.into()),
            Err(PlanError::Image(e)) => return Err(e.into()),
            // Nothing is resized.
            Err(PlanError::Resize(_)) => return Err(ImageError::VhdxLogPlace.into()),
        }
        let image = Image::open(&mut file).map_err(|e| match e {
            OpenError::Image(e) => LayerError::Image(e),
            OpenError::Io(e) => LayerError::Io(e),
        })?;
        let table = Buffered::new(table);
        Ok((Self { geometry: image.geometry(), bat: image.bat.offset, table }, image.virtual_size()))
    }

    /// Where up to `len` bytes from `offset` on come from; they lie within the disk.
    ///
    /// # Errors
    /// An entry that cannot be right, or the device's.
    pub fn find(&mut self, file: &mut dyn ReadAt, offset: u64, len: u64) -> Result<Found, LayerError> {
        let size = self.geometry.block_size;
        let (block, within) = (offset.checked_div(size).unwrap_or(0), offset & size.saturating_sub(1));
        let place = self.bat.saturating_add(self.geometry.entry_of(block).saturating_mul(8));
        let mut entry = [0; 8];
        self.table.exact(file, place, AHEAD, &mut entry)?;
        let entry = Entry(le64(&entry, 0));
        let source = match entry.state() {
            State::NotPresent | State::Undefined | State::Zero | State::Unmapped => Source::Zeros,
            State::Present => Source::At(entry.offset().saturating_add(within)),
            State::Partial | State::Reserved => return Err(bad_entry(entry.0, place)),
        };
        Ok(Found { source, len: len.min(size.saturating_sub(within)) })
    }
}
