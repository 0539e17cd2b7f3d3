//! How a field is stored: its byte order, its copies, and the checksum over it, which whoever tampers with it sets right.

use crate::log::LOG;

/// Bytes of a VHD's footer, and where it has its checksum.
const FOOTER: usize = 512;
const FOOTER_SUM: usize = 64;
/// Bytes of a VHD's header, where it is here, and where it has its checksum.
const HEADER: usize = 1024;
const HEADER_AT: usize = 512;
const HEADER_SUM: usize = 36;
/// Where a VHDX has its headers and its region tables, and their lengths.
const HEADERS: ([usize; 2], usize) = ([64 << 10, 128 << 10], 4096);
const TABLES: ([usize; 2], usize) = ([192 << 10, 256 << 10], 64 << 10);

/// Where an entry of a VHDX's log has its length, and the most that a checksum is made of, in bytes.
pub const ENTRY_LEN: usize = 8;
const LONGEST_ENTRY: usize = 1 << 20;

/// How a field is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Most significant byte first.
    Big,
    /// The same, in a format whose places are counted in sectors.
    BigSectors,
    /// Least significant byte first.
    Little,
    /// Of both footers of a VHD; its place is counted from a footer's start.
    VhdFooter,
    /// Of the header of a VHD, from its start.
    VhdHeader,
    /// Of both headers of a VHDX, from their starts.
    VhdxHeaders,
    /// Of both region tables of a VHDX, from their starts.
    VhdxTables,
    /// Of the entry of a VHDX's log that begins here in the log, from its start.
    VhdxEntry(usize),
}

impl Code {
    /// The number of so many bytes at a place, if the image reaches that far.
    #[must_use]
    pub fn get(self, bytes: &[u8], (at, width): (usize, usize)) -> Option<u64> {
        let start = self.places(bytes).first().copied()?.checked_add(at)?;
        let part = bytes.get(start..start.checked_add(width)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.is_little() { part.iter().rev().fold(0, add) } else { part.iter().fold(0, add) })
    }

    /// Puts the low `width` bytes of a number there, and sets checksums right.
    pub fn put(self, bytes: &mut [u8], (at, width): (usize, usize), value: u64) {
        let mut number = value.to_be_bytes()[8 - width..].to_vec();
        if self.is_little() {
            number.reverse();
        }
        for start in self.places(bytes) {
            copy(bytes, start.saturating_add(at), &number);
            self.seal(bytes, start);
        }
    }

    const fn is_little(self) -> bool {
        matches!(self, Self::Little | Self::VhdxHeaders | Self::VhdxTables | Self::VhdxEntry(_))
    }

    /// Where the structures begin that have the field.
    fn places(self, bytes: &[u8]) -> Vec<usize> {
        let end = bytes.len().saturating_sub(FOOTER);
        match self {
            Self::Big | Self::BigSectors | Self::Little => vec![0],
            Self::VhdFooter if bytes.starts_with(b"conectix") => vec![0, end],
            Self::VhdFooter => vec![end],
            Self::VhdHeader => vec![HEADER_AT],
            Self::VhdxHeaders => HEADERS.0.to_vec(),
            Self::VhdxTables => TABLES.0.to_vec(),
            Self::VhdxEntry(at) => vec![LOG + at],
        }
    }

    fn seal(self, bytes: &mut [u8], start: usize) {
        match self {
            Self::Big | Self::BigSectors | Self::Little => {}
            Self::VhdFooter => sum(bytes, start, FOOTER, FOOTER_SUM),
            Self::VhdHeader => sum(bytes, start, HEADER, HEADER_SUM),
            Self::VhdxHeaders => crc(bytes, start, HEADERS.1),
            Self::VhdxTables => crc(bytes, start, TABLES.1),
            Self::VhdxEntry(_) => {
                let len =
                    Self::Little.get(bytes, (start + ENTRY_LEN, 4)).and_then(|len| usize::try_from(len).ok());
                crc(bytes, start, len.unwrap_or(0).min(LONGEST_ENTRY));
            }
        }
    }
}

fn copy(bytes: &mut [u8], at: usize, data: &[u8]) {
    if let Some(part) = bytes.get_mut(at..at.saturating_add(data.len())) {
        part.copy_from_slice(data);
    }
}

/// The one's complement of the sum of all bytes of a VHD's structure.
fn sum(bytes: &mut [u8], start: usize, len: usize, at: usize) {
    copy(bytes, start + at, &[0; 4]);
    let part = bytes.get(start..start + len).unwrap_or_default();
    let sum = part.iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
    copy(bytes, start + at, &(!sum).to_be_bytes());
}

/// The CRC-32C of a VHDX's structure, at its fifth byte.
fn crc(bytes: &mut [u8], start: usize, len: usize) {
    copy(bytes, start + 4, &[0; 4]);
    let sum = crc32c(bytes.get(start..start + len).unwrap_or_default());
    copy(bytes, start + 4, &sum.to_le_bytes());
}

/// The CRC-32C of some bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let crc = crc ^ u32::from(*byte);
        (0..8).fold(crc, |crc, _| crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}
