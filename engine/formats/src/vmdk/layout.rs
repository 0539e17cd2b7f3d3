//! Where the parts of a new sparse extent lie.

use super::header::{SparseHeader, directory_sectors, flags};
use super::{EMBEDDED_LEN, SECTOR};

/// Sectors of a grain: 64 KiB.
const GRAIN: u64 = 128;
/// Entries of a grain table.
const TABLE_ENTRIES: u64 = 512;
/// The descriptor follows the header.
const DESCRIPTOR: u64 = 1;
/// Sectors that are kept for it.
const DESCRIPTOR_LEN: u64 = EMBEDDED_LEN as u64 / SECTOR;

/// The layout that `qemu-img` gives an extent: header, descriptor, second directory and its tables, directory and its
/// tables, all there from the beginning. In sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Size of the extent's part of the disk.
    pub capacity: u64,
    /// Entries of the directory.
    pub tables: u64,
    /// Where the second directory is.
    pub redundant: u64,
    /// Where the directory is.
    pub directory: u64,
    /// Where the last table ends.
    pub end: u64,
    /// Where grains begin.
    pub overhead: u64,
}

impl Layout {
    /// That of an extent of `capacity` sectors.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        let tables = capacity.div_ceil(GRAIN).div_ceil(TABLE_ENTRIES);
        let half = directory_sectors(tables).saturating_add(tables.saturating_mul(Self::TABLE_SECTORS));
        let redundant = DESCRIPTOR.saturating_add(DESCRIPTOR_LEN);
        let directory = redundant.saturating_add(half);
        let end = directory.saturating_add(half);
        let overhead = end.checked_next_multiple_of(GRAIN).unwrap_or(end);
        Self { capacity, tables, redundant, directory, end, overhead }
    }

    /// Sectors of a grain table.
    pub const TABLE_SECTORS: u64 = TABLE_ENTRIES * super::ENTRY_LEN / SECTOR;

    /// The first table of the directory that begins at `directory`; the others follow it.
    #[must_use]
    pub const fn first_table(&self, directory: u64) -> u64 {
        directory.saturating_add(directory_sectors(self.tables))
    }

    /// The header of such an extent with these [`flags`].
    #[must_use]
    pub const fn header(&self, flags: u32) -> SparseHeader {
        let stream = flags & flags::COMPRESSED != 0;
        let version = match (stream, flags & flags::ZEROED != 0) {
            (true, _) => 3,
            (false, true) => 2,
            (false, false) => 1,
        };
        SparseHeader {
            version,
            flags,
            capacity: self.capacity,
            grain: GRAIN,
            descriptor: DESCRIPTOR,
            descriptor_len: DESCRIPTOR_LEN,
            table_entries: TABLE_ENTRIES,
            redundant: self.redundant,
            directory: self.directory,
            overhead: self.overhead,
            unclean: false,
            compression: if stream { super::header::DEFLATE } else { 0 },
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;

    /// As `qemu-img` 10.0.2 lays them out.
    #[test]
    fn places_are_those_of_qemu_img() {
        for (size, tables, directory, end, overhead) in [
            (32 << 20, 1, 26, 31, 128),
            (64 << 20, 2, 30, 39, 128),
            (128 << 20, 4, 38, 55, 128),
            (1 << 30, 32, 150, 279, 384),
            (4 << 30, 128, 534, 1047, 1152),
            (5 << 30, 160, 663, 1305, 1408),
            (64 << 30, 2048, 8229, 16437, 16512),
            (1_u64 << 40, 32768, 131_349, 262_677, 262_784),
            (2 << 40, 65536, 262_677, 525_333, 525_440),
        ] {
            let layout = Layout::new(size / 512);
            let expected = Layout { capacity: size / 512, tables, redundant: 21, directory, end, overhead };
            assert_eq!(layout, expected);
        }
    }
}
