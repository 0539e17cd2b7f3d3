//! Entries ("Log Entry Header", "Zero Descriptor", "Data Descriptor", "Data Sectors").

use super::super::{Crc32c, Guid, crc32c, guid};
use super::{SECTOR, SECTOR_LEN};
use crate::bytes::{index, le32, le64, put, put_le32, put_le64};

/// "loge"
const ENTRY: u32 = 0x6567_6f6c;
/// "desc"
const DATA_DESCRIPTOR: u32 = 0x6373_6564;
/// "zero"
const ZERO_DESCRIPTOR: u32 = 0x6f72_657a;
/// "data"
const DATA_SECTOR: u32 = 0x6174_6164;
/// Bytes of the header of an entry.
const HEADER_LEN: u64 = 64;
/// Bytes of a descriptor.
const DESCRIPTOR_LEN: u64 = 32;

/// The header of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryHeader {
    /// Bytes of the whole entry.
    pub len: u64,
    /// Where in the log the oldest entry is that must still be replayed.
    pub tail: u64,
    /// One more than that of the entry before it.
    pub sequence: u64,
    /// How many descriptors follow.
    pub descriptors: u64,
    /// Matches the header of the file, or the entry means nothing.
    pub log_guid: Guid,
    /// How long the file was at least when the entry was written, in bytes.
    pub flushed_file_offset: u64,
    /// How long the file is to be at least, in bytes.
    pub last_file_offset: u64,
}

impl EntryHeader {
    /// The header of an entry in a log of `log_len` bytes, if this sector begins one.
    #[must_use]
    pub fn parse(sector: &[u8], log_len: u64) -> Option<Self> {
        let header = Self {
            len: u64::from(le32(sector, 8)),
            tail: u64::from(le32(sector, 12)),
            sequence: le64(sector, 16),
            descriptors: u64::from(le32(sector, 24)),
            log_guid: guid(sector, 32),
            flushed_file_offset: le64(sector, 48),
            last_file_offset: le64(sector, 56),
        };
        let whole = |bytes: u64| bytes.is_multiple_of(SECTOR_LEN);
        let sensible = le32(sector, 0) == ENTRY
            && whole(header.len)
            && whole(header.tail)
            && (SECTOR_LEN..=log_len).contains(&header.len)
            && header.tail < log_len
            && header.sequence > 0
            && descriptor_sectors(header.descriptors) <= header.len;
        sensible.then_some(header)
    }

    /// The checksum that the sector holds, and the beginning of the one to compare it with.
    #[must_use]
    pub fn checksum(sector: &[u8]) -> (u32, Crc32c) {
        let mut crc = Crc32c::new();
        crc.update(sector.get(..4).unwrap_or_default());
        crc.update(&[0; 4]);
        crc.update(sector.get(8..).unwrap_or_default());
        (le32(sector, 4), crc)
    }

    fn encode(&self, buf: &mut [u8]) {
        let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        put_le32(buf, 0, ENTRY);
        put_le32(buf, 8, word(self.len));
        put_le32(buf, 12, word(self.tail));
        put_le64(buf, 16, self.sequence);
        put_le32(buf, 24, word(self.descriptors));
        put(buf, 32, &self.log_guid);
        put_le64(buf, 48, self.flushed_file_offset);
        put_le64(buf, 56, self.last_file_offset);
    }
}

/// Bytes of an entry that its header and `count` descriptors take, in whole sectors.
#[must_use]
pub const fn descriptor_sectors(count: u64) -> u64 {
    let bytes = HEADER_LEN.saturating_add(count.saturating_mul(DESCRIPTOR_LEN));
    bytes.div_ceil(SECTOR_LEN).saturating_mul(SECTOR_LEN)
}

/// What an entry does to one place of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// A sector of the entry replaces the one at this byte offset of the file.
    Data {
        /// Byte offset in the file.
        offset: u64,
        /// The bytes at the end of the sector, for which the entry's sector has no room.
        trailing: [u8; 4],
        /// The same of those at its start.
        leading: [u8; 8],
    },
    /// Zeros.
    Zero {
        /// Byte offset in the file.
        offset: u64,
        /// Length in bytes.
        len: u64,
    },
}

impl Descriptor {
    /// Where descriptor `number` is, in bytes from the start of the entry.
    #[must_use]
    pub const fn at(number: u64) -> u64 {
        HEADER_LEN.saturating_add(number.saturating_mul(DESCRIPTOR_LEN))
    }

    /// The descriptor in these 32 bytes, if it is one of the entry with this sequence number.
    #[must_use]
    pub fn parse(buf: &[u8; 32], sequence: u64) -> Option<Self> {
        let (offset, of) = (le64(buf, 16), le64(buf, 24));
        let descriptor = match le32(buf, 0) {
            DATA_DESCRIPTOR => Self::Data {
                offset,
                trailing: le32(buf, 4).to_le_bytes(),
                leading: le64(buf, 8).to_le_bytes(),
            },
            ZERO_DESCRIPTOR => Self::Zero { offset, len: le64(buf, 8) },
            _ => return None,
        };
        let len = match descriptor {
            Self::Data { .. } => SECTOR_LEN,
            Self::Zero { len, .. } => len,
        };
        let whole = offset.is_multiple_of(SECTOR_LEN) && len.is_multiple_of(SECTOR_LEN);
        (of == sequence && whole && offset.checked_add(len).is_some()).then_some(descriptor)
    }
}

/// Turns a data sector of the entry with this sequence number into what shall stand in the file. `None` if
/// it is none.
#[must_use]
pub fn data_sector(sector: &mut [u8; SECTOR], sequence: u64, ends: ([u8; 8], [u8; 4])) -> Option<()> {
    let of = u64::from(le32(sector, 4)) << 32 | u64::from(le32(sector, SECTOR - 4));
    if le32(sector, 0) != DATA_SECTOR || of != sequence {
        return None;
    }
    put(sector, 0, &ends.0);
    put(sector, SECTOR - 4, &ends.1);
    Some(())
}

/// Builds an entry in `buf`: `header` with the length and the number of descriptors as they come out, `zeros`
/// and then `sectors`, whose contents stand one after the other from the end of the descriptors on, where
/// the caller has put them ([`descriptor_sectors`] of both). Returns the entry's length in bytes.
pub fn encode_entry(header: &EntryHeader, zeros: &[(u64, u64)], sectors: &[u64], buf: &mut [u8]) -> u64 {
    let count = (zeros.len() as u64).saturating_add(sectors.len() as u64);
    let data = descriptor_sectors(count);
    let len = data.saturating_add((sectors.len() as u64).saturating_mul(SECTOR_LEN));
    let (descriptors, contents) = buf.split_at_mut_checked(index(data)).unwrap_or_default();
    descriptors.fill(0);
    EntryHeader { len, descriptors: count, ..*header }.encode(descriptors);
    let mut number = 0_u64;
    let mut next = |kind: u32, words: [u64; 3], low: u32| {
        let at = index(Descriptor::at(number));
        number = number.saturating_add(1);
        put_le32(descriptors, at, kind);
        put_le32(descriptors, at.saturating_add(4), low);
        for (i, word) in words.iter().enumerate() {
            put_le64(descriptors, at.saturating_add(8).saturating_add(i.saturating_mul(8)), *word);
        }
    };
    for (offset, len) in zeros {
        next(ZERO_DESCRIPTOR, [*len, *offset, header.sequence], 0);
    }
    let [a, b, c, d, e, f, g, h] = header.sequence.to_le_bytes();
    for (offset, sector) in sectors.iter().zip(contents.chunks_exact_mut(SECTOR)) {
        next(DATA_DESCRIPTOR, [le64(sector, 0), *offset, header.sequence], le32(sector, SECTOR - 4));
        put_le32(sector, 0, DATA_SECTOR);
        put(sector, 4, &[e, f, g, h]);
        put(sector, SECTOR - 4, &[a, b, c, d]);
    }
    let entry = buf.get_mut(..index(len)).unwrap_or_default();
    let crc = crc32c(entry);
    put_le32(entry, 4, crc);
    len
}
