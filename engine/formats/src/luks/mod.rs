//! LUKS, version 1: what lies in front of an encrypted disk, from the "LUKS On-Disk Format
//! Specification", version 1.2.3. All fields are big-endian.

pub mod algorithm;
mod header;
mod slots;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests;

pub use algorithm::{Cipher, Hash, IvGen, Mode};
pub use header::{HEADER_LEN, Header, SECTOR, SLOTS};
pub use slots::Slot;
