//! The block allocation table ("BAT"): where the payload blocks are. Behind every so many of them, a chunk,
//! stands an entry for a sector bitmap, which only a disk with a parent uses.

use super::{MIB, up_mib};

/// Least and most bytes of a payload block, a power of two ("File Parameters").
pub const BLOCK_SIZES: core::ops::RangeInclusive<u64> = 1 << 20..=256 << 20;
/// Sectors whose presence a sector bitmap block tells: one bit each, 1 MiB of them.
const SECTORS_IN_CHUNK: u64 = 1 << 23;
/// Bytes of an entry.
const ENTRY_LEN: u64 = 8;

/// How the table is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a payload block.
    pub block_size: u64,
    /// Payload blocks of a chunk.
    pub chunk: u64,
}

impl Geometry {
    /// For blocks and logical sectors of these sizes in bytes.
    #[must_use]
    pub const fn new(block_size: u64, logical_sector: u64) -> Self {
        let bytes = SECTORS_IN_CHUNK.saturating_mul(logical_sector);
        let chunk = match bytes.checked_div(block_size) {
            Some(chunk) if chunk > 0 => chunk,
            _ => 1,
        };
        Self { block_size, chunk }
    }

    /// Payload blocks of a disk of `size` bytes.
    #[must_use]
    pub const fn blocks(&self, size: u64) -> u64 {
        if self.block_size == 0 { 0 } else { size.div_ceil(self.block_size) }
    }

    /// The place in the table of a payload block.
    #[must_use]
    pub const fn entry_of(&self, block: u64) -> u64 {
        match block.checked_div(self.chunk) {
            Some(bitmaps) => block.saturating_add(bitmaps),
            None => block,
        }
    }

    /// The payload block of a place in the table; `None` for a sector bitmap.
    #[must_use]
    pub const fn block_of(&self, entry: u64) -> Option<u64> {
        let group = self.chunk.saturating_add(1);
        match (entry.checked_div(group), entry.checked_rem(group)) {
            (Some(bitmaps), Some(within)) if within < self.chunk => Some(entry.saturating_sub(bitmaps)),
            _ => None,
        }
    }

    /// Entries that a disk of `size` bytes without a parent needs.
    #[must_use]
    pub const fn entries(&self, size: u64) -> u64 {
        match self.blocks(size).checked_sub(1) {
            Some(last) => self.entry_of(last).saturating_add(1),
            None => 0,
        }
    }

    /// Bytes that these entries take. QEMU counts its way below zero to those of a disk of no size, and wants
    /// as many as 32 bits then say.
    #[must_use]
    pub const fn table_len(&self, size: u64) -> u64 {
        let entries = match (self.entries(size), (u32::MAX as u64).checked_div(self.chunk)) {
            (0, Some(entries)) => entries,
            (entries, _) => entries,
        };
        entries.saturating_mul(ENTRY_LEN)
    }

    /// Bytes of a region for them: whole MiB.
    #[must_use]
    pub const fn region_len(&self, size: u64) -> u64 {
        up_mib(self.table_len(size))
    }
}

/// What an entry says of its block ("Payload Block BAT Entry States").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing is there: the parent's, or zeros.
    NotPresent,
    /// Whatever; zeros here.
    Undefined,
    /// Zeros.
    Zero,
    /// Given back; zeros here.
    Unmapped,
    /// All there.
    Present,
    /// In part there, in part the parent's.
    Partial,
    /// No such state.
    Reserved,
}

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry(pub u64);

impl Entry {
    /// The three bits of a state.
    const STATE: u64 = 7;
    /// A present block.
    const PRESENT: u64 = 6;
    /// What zeros are in images of QEMU's.
    pub const ZERO: Self = Self(2);

    /// Of a block that is all there, at `offset` bytes, a multiple of 1 MiB.
    #[must_use]
    pub const fn present(offset: u64) -> Self {
        Self(offset & !(MIB - 1) | Self::PRESENT)
    }

    /// The state.
    #[must_use]
    pub const fn state(self) -> State {
        match self.0 & Self::STATE {
            0 => State::NotPresent,
            1 => State::Undefined,
            2 => State::Zero,
            3 => State::Unmapped,
            6 => State::Present,
            7 => State::Partial,
            _ => State::Reserved,
        }
    }

    /// Where the block is, in bytes.
    #[must_use]
    pub const fn offset(self) -> u64 {
        self.0 & !(MIB - 1)
    }

    /// Whether bits are set that must be zero.
    #[must_use]
    pub const fn has_reserved_bits(self) -> bool {
        self.0 & (MIB - 1) & !Self::STATE != 0
    }

    /// The same state and bits somewhere else.
    #[must_use]
    pub const fn moved(self, offset: u64) -> Self {
        Self(self.0 & (MIB - 1) | offset & !(MIB - 1))
    }
}
