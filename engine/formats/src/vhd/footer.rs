//! The footer ("Hard Disk Footer Format"), kept as it stands in the file: what nobody changes stays.

use super::{FOOTER_LEN, Geometry, SECTOR, checksum, seal};
use crate::bytes::{be16, be32, be64, put, put_be32, put_be64};

/// "conectix".
const COOKIE: &[u8] = b"conectix";
/// The bit of `features` that is always set.
const FEATURE_RESERVED: u32 = 2;
/// `file_format_version`.
const VERSION: u32 = 0x0001_0000;
/// `data_offset` of a fixed disk.
const NO_HEADER: u64 = u64::MAX;
/// Seconds from 1970 to 2000, from when timestamps count.
const EPOCH: u64 = 946_684_800;

/// Where the fields stand, in bytes.
mod at {
    pub const FEATURES: usize = 8;
    pub const VERSION: usize = 12;
    pub const DATA_OFFSET: usize = 16;
    pub const TIMESTAMP: usize = 24;
    pub const CREATOR: usize = 28;
    pub const CREATOR_VERSION: usize = 32;
    pub const CREATOR_HOST: usize = 36;
    pub const ORIGINAL_SIZE: usize = 40;
    pub const CURRENT_SIZE: usize = 48;
    pub const CYLINDERS: usize = 56;
    pub const HEADS: usize = 58;
    pub const SECTORS: usize = 59;
    pub const DISK_TYPE: usize = 60;
    pub const CHECKSUM: usize = 64;
    pub const UNIQUE_ID: usize = 68;
    pub const SAVED_STATE: usize = 84;
}

/// Numbers of `disk_type`.
pub mod disk_type {
    /// The data and a footer.
    pub const FIXED: u32 = 2;
    /// Blocks that are allocated as they are written.
    pub const DYNAMIC: u32 = 3;
    /// The same in front of a parent.
    pub const DIFFERENCING: u32 = 4;
}

/// Who made an image, `creator_application`.
pub mod creator {
    /// QEMU, of images whose size is that of their geometry.
    pub const QEMU: [u8; 4] = *b"qemu";
    /// QEMU, of images whose size is what the footer says.
    pub const QEMU_EXACT: [u8; 4] = *b"qem2";
    /// Virtual PC.
    pub const VIRTUAL_PC: [u8; 4] = *b"vpc ";
}

/// A footer, right or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    bytes: [u8; 512],
}

impl From<[u8; 512]> for Footer {
    fn from(bytes: [u8; 512]) -> Self {
        Self { bytes }
    }
}

impl Footer {
    /// Its bytes.
    pub const LEN: usize = 512;

    /// The footer of a new disk, as QEMU writes it. `uuid` and `unix_time` tell it from every other one.
    /// With `exact` its size is what it says, whatever the geometry.
    #[must_use]
    pub fn new(fixed: bool, exact: bool, uuid: [u8; 16], unix_time: u64) -> Self {
        let mut bytes = [0; 512];
        put(&mut bytes, 0, COOKIE);
        put_be32(&mut bytes, at::FEATURES, FEATURE_RESERVED);
        put_be32(&mut bytes, at::VERSION, VERSION);
        put_be64(&mut bytes, at::DATA_OFFSET, if fixed { NO_HEADER } else { FOOTER_LEN });
        // The field has 32 bits, which last until 2136.
        let since = u32::try_from(unix_time.saturating_sub(EPOCH)).unwrap_or(u32::MAX);
        put_be32(&mut bytes, at::TIMESTAMP, since);
        put(&mut bytes, at::CREATOR, if exact { &creator::QEMU_EXACT } else { &creator::QEMU });
        put(&mut bytes, at::CREATOR_VERSION, &[0, 5, 0, 3]);
        put(&mut bytes, at::CREATOR_HOST, b"Wi2k");
        let kind = if fixed { disk_type::FIXED } else { disk_type::DYNAMIC };
        put_be32(&mut bytes, at::DISK_TYPE, kind);
        put(&mut bytes, at::UNIQUE_ID, &uuid);
        Self { bytes }
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 512] {
        &self.bytes
    }

    /// Whether it is one at all.
    #[must_use]
    pub fn is_footer(&self) -> bool {
        self.bytes.starts_with(COOKIE)
    }

    /// Whether its checksum is right.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        be32(&self.bytes, at::CHECKSUM) == checksum(&self.bytes, at::CHECKSUM)
    }

    /// Whether it can end a fixed disk of `file_len` bytes with footer. After an interrupted resize the file
    /// may be longer than the disk.
    #[must_use]
    pub fn fits_fixed(&self, file_len: u64) -> bool {
        let data = file_len.saturating_sub(FOOTER_LEN);
        self.is_footer() && self.is_sealed() && self.is_fixed() && self.virtual_size() <= data
    }

    /// One of [`disk_type`], or something else.
    #[must_use]
    pub fn disk_type(&self) -> u32 {
        be32(&self.bytes, at::DISK_TYPE)
    }

    /// Whether it is that of a fixed disk.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.disk_type() == disk_type::FIXED
    }

    /// Where the header of a dynamic disk is, in bytes.
    #[must_use]
    pub fn header_offset(&self) -> u64 {
        be64(&self.bytes, at::DATA_OFFSET)
    }

    /// Who made the image.
    #[must_use]
    pub fn creator(&self) -> [u8; 4] {
        be32(&self.bytes, at::CREATOR).to_be_bytes()
    }

    /// "Current Size".
    #[must_use]
    pub fn current_size(&self) -> u64 {
        be64(&self.bytes, at::CURRENT_SIZE)
    }

    /// "Disk Geometry".
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        let byte = |at: usize| u32::from(self.bytes.get(at).copied().unwrap_or(0));
        Geometry {
            cylinders: u32::from(be16(&self.bytes, at::CYLINDERS)),
            heads: byte(at::HEADS),
            sectors: byte(at::SECTORS),
        }
    }

    /// Whether the size of a disk is that of its geometry: those of QEMU's older way and of Virtual PC are.
    #[must_use]
    pub fn counts_geometry(&self) -> bool {
        matches!(self.creator(), creator::QEMU | creator::VIRTUAL_PC)
    }

    /// Virtual size in bytes, as QEMU 10 has it: the geometry's, where the creator counts in that and it is
    /// not the largest there is; else the current size, in whole sectors.
    #[must_use]
    pub fn virtual_size(&self) -> u64 {
        let geometry = self.geometry();
        if self.counts_geometry() && geometry != Geometry::MAX {
            return geometry.total().saturating_mul(SECTOR);
        }
        self.current_size() & !SECTOR.saturating_sub(1)
    }

    /// Whether a saved state belongs to the disk ("Saved State").
    #[must_use]
    pub fn has_saved_state(&self) -> bool {
        self.bytes.get(at::SAVED_STATE).copied().unwrap_or(0) != 0
    }

    /// "Unique Id".
    #[must_use]
    pub fn unique_id(&self) -> [u8; 16] {
        self.bytes.get(at::UNIQUE_ID..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; 16])
    }

    /// The same footer of a disk of `size` bytes with this geometry, its checksum right. Both sizes are set:
    /// what the specification calls the original one is what some readers go by.
    #[must_use]
    pub fn with_size(mut self, size: u64, geometry: Geometry) -> Self {
        put_be64(&mut self.bytes, at::ORIGINAL_SIZE, size);
        put_be64(&mut self.bytes, at::CURRENT_SIZE, size);
        let clamped = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
        let cylinders = u16::try_from(geometry.cylinders).unwrap_or(u16::MAX);
        put(&mut self.bytes, at::CYLINDERS, &cylinders.to_be_bytes());
        put(&mut self.bytes, at::HEADS, &[clamped(geometry.heads), clamped(geometry.sectors)]);
        seal(&mut self.bytes, at::CHECKSUM);
        self
    }
}
