//! The log ("Log"): a ring of entries of whole sectors of 4096 bytes. An entry says what shall stand in some
//! sectors of the file; the newest unbroken sequence of entries is what is to be replayed.

mod entry;
mod search;

pub use entry::{Descriptor, EntryHeader, data_sector, descriptor_sectors, encode_entry};
pub use search::{Change, Sequence, each_change, find};

/// Bytes of a sector of the log, and of what an entry replaces.
pub const SECTOR: usize = 4096;

/// The same as a length in a file.
pub const SECTOR_LEN: u64 = SECTOR as u64;
