//! VMDK: sparse extents and the text that describes them. An extent that is flat is a file and nothing else.
//!
//! Every directory entry of the disk has a table, in both directories: QEMU writes to an area without one as if its
//! table lay at the beginning of the file, over header and descriptor.
//!
//! # After a crash: growing
//! 1. New tables are zeros at the end of the file, or in the gap that nothing uses; new grains get their space and are
//!    named in tables that nobody reaches; what is left behind the old end in the last table and the last grain is
//!    zeroed. The file is as long as it must be. `|`
//! 2. Directory entries beyond the old ones, which nobody reads; an entry that had no table gets an empty one, which
//!    reads the same; a directory that has no room left is written anew, at the end of the file. `|`
//! 3. One sector of the header: capacity and the places of the directories. **The disk has its new size.** `|`
//! 4. The text follows. It is read by nobody who reads the header, but by libvmdk, which shows the old size till then.
//!
//! # Shrinking
//! 1. The text says the new size: the other way round, libvmdk would read beyond the end. `|`
//! 2. The header's sector. **The disk has its new size.** `|`
//! 3. Entries beyond the end, which nobody reads, become zero, and so does the rest of the last grain. A crash here leaves
//!    them to the next resize, which does the same before it gives them a meaning. `|`
//! 4. Grains at the end of the file are copied to free places `|`, then the entries of both tables name the copies `|`, and
//!    so on. Both places hold the same until the file is cut, so that it does not matter which a table names.
//!    A crash may leave redundant tables that name other copies; any later resize has them name what the tables name (`mend`).
//!
//! The file is cut after the last of it.
//!
//! # Extents in files of their own
//! Growing: the last extent, further ones, all durable `|`, then the descriptor. Flat ones read nothing of what is new
//! until then. A sparse extent that is longer than its line says is read as long as it is by QEMU: between its header and
//! the descriptor the disk has a size in between, and its content is good. Shrinking: the descriptor `|`, then the extent that
//! it cuts, then files that it does not name are removed. A descriptor file is not written in place: it is replaced by
//! another.

pub mod create;
mod fill;
pub mod grow;
mod mend;
pub mod shrink;
pub mod slots;
pub mod tables;
pub mod text;
pub mod walk;

pub use grow::Grow;
pub use mend::mend;
pub use shrink::Shrink;

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests"
)]
mod tests;
