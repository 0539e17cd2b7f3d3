//! VHDX ("[MS-VHDX]: Virtual Hard Disk v2 (VHDX) File Format"). Every word is little-endian; GUIDs are kept as the
//! bytes that stand in the file. Whatever is larger than a header begins at a multiple of 1 MiB:
//!
//! - at fixed places in the first MiB an identifier, two headers and two region tables ("Header Section");
//! - the log, which the headers name;
//! - the regions, which the region tables name: the metadata, and the block allocation table (BAT);
//! - payload blocks, which the BAT names.
//!
//! A change of the BAT, the metadata or a region table goes through the log: first into an entry there, and
//! from it to its place once a header says that the log is to be replayed.

mod bat;
mod crc;
mod error;
mod header;
mod image;
pub mod log;
mod metadata;
mod region;

pub use bat::{BLOCK_SIZES, Entry, Geometry, State};
pub use crc::{Crc32c, crc32c};
pub use error::OpenError;
pub use header::{FILE_ID, FileHeader, HEADER_LEN, HEADERS, both_headers, current};
pub use image::{Image, log_region};
pub use metadata::{Item, METADATA_LEN, Metadata, encode_metadata};
pub use region::{
    BAT, METADATA, REGION_TABLE_LEN, REGION_TABLES, Region, RegionTable, encode_region_table, move_bat,
};

/// Regions, blocks and the log begin and end at multiples of this many bytes.
pub const MIB: u64 = 1 << 20;

/// Where the first of them can begin: the header section comes before ("Layout").
pub const HEADER_SECTION: u64 = MIB;

/// The largest disk, in bytes ("Virtual Disk Size").
pub const MAX_DISK: u64 = 64 << 40;

/// The largest sensible file, in bytes: the largest disk, as much again that is lost, and metadata.
pub const MAX_FILE: u64 = 256 << 40;

/// A GUID as it stands in the file.
pub type Guid = [u8; 16];

/// No GUID.
pub const NO_GUID: Guid = [0; 16];

/// `bytes` up to the next multiple of 1 MiB.
#[must_use]
pub const fn up_mib(bytes: u64) -> u64 {
    bytes.saturating_add(MIB - 1) & !(MIB - 1)
}

pub(crate) fn guid(buf: &[u8], at: usize) -> Guid {
    let end = at.saturating_add(16);
    buf.get(at..end).and_then(|bytes| Guid::try_from(bytes).ok()).unwrap_or(NO_GUID)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
