//! VMDK (VMware's "Virtual Disk Format 5.0"): a text that describes the disk, and extents that hold it.
//!
//! An extent is flat, the disk's own bytes, or sparse: a header, a grain directory whose entries name grain tables,
//! whose entries name grains. Most sparse extents have directory and tables twice. Words are little-endian, places
//! are sectors of the extent's file. A monolithic sparse image has its descriptor inside its only extent; all
//! others are a descriptor file and the extents that it names.

pub mod compose;
pub mod descriptor;
pub mod edit;
pub mod footer;
pub mod header;
pub mod layout;
pub mod text;

pub use descriptor::{Access, Descriptor, Extent, Kind};
pub use header::SparseHeader;
pub use layout::Layout;

/// What the format counts in, in bytes.
pub const SECTOR: u64 = SECTOR_LEN as u64;
/// The same as a length in memory.
pub const SECTOR_LEN: usize = 512;
/// Sectors of every extent but the last of a disk that is split ("2GB extents"): 2 GiB.
pub const SPLIT_SECTORS: u64 = 0x8000_0000 / SECTOR;
/// Bytes of a directory or table entry.
pub const ENTRY_LEN: u64 = 4;
/// The entry of a grain that reads as zeros, where [`header::flags::ZEROED`] allows it.
pub const ZEROED_GRAIN: u32 = 1;
/// The `CID` of a parent that there is not ("parentCID").
pub const NO_PARENT: u32 = u32::MAX;
/// Most bytes of a descriptor within an extent that QEMU reads: 20 sectors.
pub const EMBEDDED_LEN: usize = 20 * SECTOR_LEN;
/// Most bytes of a descriptor file that is read here, which QEMU limits alike.
pub const TEXT_LEN: usize = 1 << 20;
