//! The header of a sparse extent ("Hosted Sparse Extent Header").

use super::{ENTRY_LEN, SECTOR};
use crate::ImageError;
use crate::bytes::{le32, le64, put, put_le32, put_le64};

/// How many bytes of a file [`SparseHeader::parse`] wants: one sector, which a disk writes whole.
pub const HEADER_LEN: usize = 512;
/// "KDMV".
pub const MAGIC: &[u8; 4] = b"KDMV";
/// The place of the directory in a header whose footer tells it ("GD_AT_END").
pub const GD_AT_END: u64 = u64::MAX;
/// Deflate ("compressAlgorithm").
pub const DEFLATE: u16 = 1;
/// What tells a file that was transferred as text: LF, a space, CR, LF.
pub const NEWLINES: &[u8; 4] = b"\n \r\n";

/// Most entries of a table, and most sectors of a grain, that QEMU takes.
const MAX_TABLE_ENTRIES: u64 = 512;
/// As above: 1 GiB.
const MAX_GRAIN: u64 = 0x20_0000;
/// Most entries of a directory that QEMU takes.
pub const MAX_TABLES: u64 = 32 << 20;
/// The latest version that is known.
const MAX_VERSION: u32 = 3;

/// Where the fields stand, in bytes.
pub mod at {
    /// `version`, 4 bytes.
    pub const VERSION: usize = 4;
    /// `flags`, 4 bytes.
    pub const FLAGS: usize = 8;
    /// `capacity` in sectors.
    pub const CAPACITY: usize = 12;
    /// `grainSize` in sectors.
    pub const GRAIN: usize = 20;
    /// `descriptorOffset` in sectors.
    pub const DESCRIPTOR: usize = 28;
    /// `descriptorSize` in sectors.
    pub const DESCRIPTOR_LEN: usize = 36;
    /// `numGTEsPerGT`, 4 bytes.
    pub const TABLE_ENTRIES: usize = 44;
    /// `rgdOffset` in sectors.
    pub const REDUNDANT: usize = 48;
    /// `gdOffset` in sectors.
    pub const DIRECTORY: usize = 56;
    /// `overHead` in sectors.
    pub const OVERHEAD: usize = 64;
    /// `uncleanShutdown`, 1 byte.
    pub const UNCLEAN: usize = 72;
    /// Newline characters, 4 bytes.
    pub const NEWLINES: usize = 73;
    /// `compressAlgorithm`, 2 bytes.
    pub const COMPRESSION: usize = 77;
}

/// Bits of `flags`.
pub mod flags {
    /// The newline characters are there.
    pub const NEWLINES: u32 = 1;
    /// There is a second directory, with tables of its own.
    pub const REDUNDANT: u32 = 2;
    /// An entry of 1 is a grain of zeros.
    pub const ZEROED: u32 = 4;
    /// Grains are compressed.
    pub const COMPRESSED: u32 = 1 << 16;
    /// Markers say what follows.
    pub const MARKERS: u32 = 1 << 17;
}

/// A header that makes sense. Places and lengths are in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SparseHeader {
    /// 0 to 3.
    pub version: u32,
    /// Bits of [`flags`].
    pub flags: u32,
    /// Size of the extent's part of the disk.
    pub capacity: u64,
    /// Size of a grain, not 0.
    pub grain: u64,
    /// Where the descriptor is, or 0.
    pub descriptor: u64,
    /// How much room it has.
    pub descriptor_len: u64,
    /// Entries of a grain table: 1 to 512.
    pub table_entries: u64,
    /// Where the second directory is.
    pub redundant: u64,
    /// Where the directory is.
    pub directory: u64,
    /// Where grains may begin.
    pub overhead: u64,
    /// Whether a writer did not end properly.
    pub unclean: bool,
    /// How grains are compressed.
    pub compression: u16,
}

impl SparseHeader {
    /// Reads the header from the first [`HEADER_LEN`] bytes of a file of `file_len` bytes.
    ///
    /// # Errors
    /// [`ImageError`] in the order in which `qemu-img` finds out.
    pub fn parse(head: &[u8], file_len: u64) -> Result<Self, ImageError> {
        if !head.starts_with(MAGIC) {
            return Err(ImageError::NotVmdk);
        }
        let header = Self::read(head);
        if header.version > MAX_VERSION {
            return Err(ImageError::VmdkVersion { version: u64::from(header.version) });
        }
        if header.table_entries > MAX_TABLE_ENTRIES {
            return Err(ImageError::VmdkTableSize);
        }
        if header.table_coverage() == 0 {
            return Err(ImageError::VmdkDirectoryEntry);
        }
        let needed = header.overhead.saturating_mul(SECTOR);
        if file_len < needed {
            return Err(ImageError::VmdkTruncated { bytes: needed });
        }
        if header.grain > MAX_GRAIN {
            return Err(ImageError::VmdkGrain);
        }
        if header.tables() > MAX_TABLES {
            return Err(ImageError::VmdkDirectorySize);
        }
        Ok(header)
    }

    fn read(head: &[u8]) -> Self {
        let compression = head.get(at::COMPRESSION..).and_then(<[u8]>::first_chunk);
        Self {
            version: le32(head, at::VERSION),
            flags: le32(head, at::FLAGS),
            capacity: le64(head, at::CAPACITY),
            grain: le64(head, at::GRAIN),
            descriptor: le64(head, at::DESCRIPTOR),
            descriptor_len: le64(head, at::DESCRIPTOR_LEN),
            table_entries: u64::from(le32(head, at::TABLE_ENTRIES)),
            redundant: le64(head, at::REDUNDANT),
            directory: le64(head, at::DIRECTORY),
            overhead: le64(head, at::OVERHEAD),
            unclean: head.get(at::UNCLEAN).is_some_and(|byte| *byte != 0),
            compression: u16::from_le_bytes(compression.copied().unwrap_or_default()),
        }
    }

    /// Writes it to a sector of zeros.
    pub fn encode(&self, sector: &mut [u8]) {
        put(sector, 0, MAGIC);
        put_le32(sector, at::VERSION, self.version);
        put_le32(sector, at::FLAGS, self.flags);
        put_le64(sector, at::GRAIN, self.grain);
        put_le64(sector, at::DESCRIPTOR, self.descriptor);
        put_le64(sector, at::DESCRIPTOR_LEN, self.descriptor_len);
        put_le32(sector, at::TABLE_ENTRIES, u32::try_from(self.table_entries).unwrap_or(0));
        put_le64(sector, at::OVERHEAD, self.overhead);
        put(sector, at::UNCLEAN, &[u8::from(self.unclean)]);
        put(sector, at::NEWLINES, NEWLINES);
        put(sector, at::COMPRESSION, &self.compression.to_le_bytes());
        self.encode_resized(sector);
    }

    /// Writes those fields that a resize changes, and leaves all others as they are.
    pub fn encode_resized(&self, sector: &mut [u8]) {
        put_le64(sector, at::CAPACITY, self.capacity);
        put_le64(sector, at::REDUNDANT, self.redundant);
        put_le64(sector, at::DIRECTORY, self.directory);
    }

    /// Whether the grains are compressed: a flag says so, or the algorithm, which is what QEMU looks at.
    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.has(flags::COMPRESSED) || self.compression != 0
    }

    /// Whether a bit of [`flags`] is set.
    #[must_use]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether there is a second directory.
    #[must_use]
    pub const fn is_twofold(&self) -> bool {
        self.has(flags::REDUNDANT)
    }

    /// Sectors of the disk that a grain table maps.
    #[must_use]
    pub const fn table_coverage(&self) -> u64 {
        self.grain.saturating_mul(self.table_entries)
    }

    /// Entries of the directory that a disk of `capacity` sectors needs.
    #[must_use]
    pub const fn tables_for(&self, capacity: u64) -> u64 {
        match self.table_coverage() {
            0 => 0,
            coverage => capacity.div_ceil(coverage),
        }
    }

    /// Entries of the directory.
    #[must_use]
    pub const fn tables(&self) -> u64 {
        self.tables_for(self.capacity)
    }

    /// Sectors of a grain table.
    #[must_use]
    pub const fn table_sectors(&self) -> u64 {
        self.table_entries.saturating_mul(ENTRY_LEN).div_ceil(SECTOR)
    }

    /// Grains of a disk of `capacity` sectors, the last one perhaps in part.
    #[must_use]
    pub const fn grains_for(&self, capacity: u64) -> u64 {
        match self.grain {
            0 => 0,
            grain => capacity.div_ceil(grain),
        }
    }

    /// Bytes of a grain.
    #[must_use]
    pub const fn grain_len(&self) -> u64 {
        self.grain.saturating_mul(SECTOR)
    }
}

/// Sectors of a directory of so many entries.
#[must_use]
pub const fn directory_sectors(tables: u64) -> u64 {
    tables.saturating_mul(ENTRY_LEN).div_ceil(SECTOR)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use crate::vmdk::Layout;

    fn sector(header: &SparseHeader) -> [u8; HEADER_LEN] {
        let mut sector = [0; HEADER_LEN];
        header.encode(&mut sector);
        sector
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let header = Layout::new(131_072).header(3);
        let sector = sector(&header);
        assert_eq!(SparseHeader::parse(&sector, 65536), Ok(header));
        assert_eq!(&sector[..16], b"KDMV\x01\0\0\0\x03\0\0\0\0\0\x02\0");
        assert_eq!(&sector[72..80], b"\0\n \r\n\0\0\0");
        assert!(sector[80..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn fields_that_no_image_can_have() {
        let good = Layout::new(131_072).header(3);
        let parse = |change: &dyn Fn(&mut SparseHeader)| {
            let mut header = good;
            change(&mut header);
            SparseHeader::parse(&sector(&header), 65536).expect_err("refused")
        };
        assert_eq!(SparseHeader::parse(&[0; 512], 512), Err(ImageError::NotVmdk));
        assert_eq!(parse(&|h| h.version = 4), ImageError::VmdkVersion { version: 4 });
        assert_eq!(parse(&|h| h.table_entries = 513), ImageError::VmdkTableSize);
        assert_eq!(parse(&|h| h.table_entries = 0), ImageError::VmdkDirectoryEntry);
        assert_eq!(parse(&|h| h.grain = 0), ImageError::VmdkDirectoryEntry);
        assert_eq!(parse(&|h| h.overhead = 129), ImageError::VmdkTruncated { bytes: 129 * 512 });
        assert_eq!(parse(&|h| h.grain = 0x20_0001), ImageError::VmdkGrain);
        assert_eq!(parse(&|h| h.capacity = (32 << 20) * 65536 + 1), ImageError::VmdkDirectorySize);
        assert_eq!(parse(&|h| h.capacity = u64::MAX), ImageError::VmdkDirectorySize);
    }
}
