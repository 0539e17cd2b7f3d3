//! From a guest offset to a place in a VHD file ("Block Allocation Table and Data Blocks").

use super::mapping::{Found, Source};
use crate::{ImageError, LayerError, ReadAt, Refusal};
use instar_formats::bytes::be32;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::vhd::{ENTRY_LEN, Header, Image, UNUSED, disk_type};
use instar_planner::vhd::place;

/// How much of the table is read at a time, in bytes.
const AHEAD: u64 = 4096;

/// The table of an image, or its data.
pub struct VhdMapping<'c> {
    /// Of a fixed disk there are none.
    blocks: Option<Blocks>,
    file_end: u64,
    /// Part of the table.
    table: Buffered<'c>,
}

/// What a header says of blocks, in bytes.
struct Blocks {
    table: u64,
    size: u64,
    bitmap: u64,
    stride: u64,
}

impl Blocks {
    fn of(header: &Header) -> Self {
        Self {
            table: header.table_offset(),
            size: u64::from(header.block_size()),
            bitmap: header.bitmap_len(),
            stride: header.stride(),
        }
    }
}

impl<'c> VhdMapping<'c> {
    /// Of this image; `table` is what is kept of its table.
    ///
    /// # Errors
    /// It is a differencing disk: what its parent has is not here.
    pub fn open(image: &Image, table: &'c mut [u8]) -> Result<Self, LayerError> {
        if image.footer.disk_type() == disk_type::DIFFERENCING {
            return Err(Refusal::LayerFormat.into());
        }
        let blocks = image.header.as_ref().map(Blocks::of);
        Ok(Self { blocks, file_end: image.file_end(), table: Buffered::new(table) })
    }

    /// Where up to `len` bytes from `offset` on come from; they lie within the disk. Bitmaps say nothing of it, as for QEMU.
    ///
    /// # Errors
    /// A block beyond the end of the file, or the device's.
    pub fn find(&mut self, file: &mut dyn ReadAt, offset: u64, len: u64) -> Result<Found, LayerError> {
        let Some(blocks) = &self.blocks else {
            return Ok(Found { source: Source::At(offset), len });
        };
        let (block, within) =
            (offset.checked_div(blocks.size).unwrap_or(0), offset & blocks.size.saturating_sub(1));
        let at = blocks.table.saturating_add(block.saturating_mul(ENTRY_LEN));
        let mut entry = [0; 4];
        self.table.exact(file, at, AHEAD, &mut entry)?;
        let source = match be32(&entry, 0) {
            UNUSED => Source::Zeros,
            entry if place(entry).saturating_add(blocks.stride) > self.file_end => {
                return Err(ImageError::VhdPastEnd.into());
            }
            entry => Source::At(place(entry).saturating_add(blocks.bitmap).saturating_add(within)),
        };
        Ok(Found { source, len: len.min(blocks.size.saturating_sub(within)) })
    }
}
