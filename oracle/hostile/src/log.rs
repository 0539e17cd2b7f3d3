//! A VHDX whose log is to be replayed ([MS-VHDX] 2.3): what a write of its table leaves if the system stops before the table.
//!
//! Three entries: one with the table as it was, one with zeros for a place that nobody uses, one with the table as it is.

use crate::code::{Code, crc32c};

/// Where `qemu-img` puts the log and the table of so small an image.
pub const LOG: usize = 1 << 20;
const TABLE: usize = 2 << 20;
/// A place in the metadata region that no item has.
const UNUSED: usize = (3 << 20) + (512 << 10);
/// Bytes of a sector of the log: descriptors and data are counted in these.
const SECTOR: usize = 4096;
/// Where an entry's descriptors begin.
const DESCRIPTORS: usize = 64;
/// The log's GUID, in its entries and in the headers.
const GUID: [u8; 16] = *b"an oracle's log.";
/// Where a header has it.
const HEADER_GUID: usize = 48;
/// The sequence number of the first entry.
const FIRST: u64 = 7;

/// Where the entries begin, in the log.
pub const ENTRIES: [usize; 3] = [0, 2 * SECTOR, 3 * SECTOR];

/// What an entry says: a sector of the file, or zeros.
enum Descriptor {
    Data(usize, Vec<u8>),
    Zeros(usize),
}

/// Puts a log into a good image, and takes out of it what a replay brings back.
pub fn put(bytes: &mut [u8]) {
    let (Some(table), Some(end)) = (bytes.get(TABLE..TABLE + SECTOR).map(<[u8]>::to_vec), end(bytes)) else {
        return;
    };
    let entries =
        [Descriptor::Data(TABLE, vec![0; SECTOR]), Descriptor::Zeros(UNUSED), Descriptor::Data(TABLE, table)];
    for ((at, descriptor), number) in ENTRIES.into_iter().zip(entries).zip(FIRST..) {
        fill(bytes, LOG + at, &entry(&descriptor, number, end));
    }
    fill(bytes, TABLE, &[0; SECTOR]);
    fill(bytes, UNUSED, &[7; SECTOR]);
    for (at, part) in GUID.chunks(8).enumerate() {
        let number = part.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Code::VhdxHeaders.put(bytes, (HEADER_GUID + 8 * at, 8), number);
    }
}

/// The file's length, which the entries call flushed.
fn end(bytes: &[u8]) -> Option<u64> {
    u64::try_from(bytes.len()).ok()
}

fn entry(descriptor: &Descriptor, number: u64, end: u64) -> Vec<u8> {
    let len = match descriptor {
        Descriptor::Data(..) => 2 * SECTOR,
        Descriptor::Zeros(_) => SECTOR,
    };
    let mut entry = vec![0; len];
    fill(&mut entry, 0, b"loge");
    fill(&mut entry, 8, &u32::try_from(len).unwrap_or(0).to_le_bytes());
    // At 12, the first entry of the sequence: the one at the log's start.
    fill(&mut entry, 16, &number.to_le_bytes());
    fill(&mut entry, 24, &1_u32.to_le_bytes());
    fill(&mut entry, 32, &GUID);
    fill(&mut entry, 48, &end.to_le_bytes());
    fill(&mut entry, 56, &end.to_le_bytes());
    let place = match descriptor {
        Descriptor::Data(place, content) => {
            fill(&mut entry, DESCRIPTORS, b"desc");
            fill(&mut entry, DESCRIPTORS + 4, &content[SECTOR - 4..]);
            fill(&mut entry, DESCRIPTORS + 8, &content[..8]);
            fill(&mut entry, SECTOR, b"data");
            fill(&mut entry, SECTOR + 4, &number.to_le_bytes()[4..]);
            fill(&mut entry, SECTOR + 8, &content[8..SECTOR - 4]);
            fill(&mut entry, 2 * SECTOR - 4, &number.to_le_bytes()[..4]);
            *place
        }
        Descriptor::Zeros(place) => {
            fill(&mut entry, DESCRIPTORS, b"zero");
            fill(&mut entry, DESCRIPTORS + 8, &(SECTOR as u64).to_le_bytes());
            *place
        }
    };
    fill(&mut entry, DESCRIPTORS + 16, &(place as u64).to_le_bytes());
    fill(&mut entry, DESCRIPTORS + 24, &number.to_le_bytes());
    let sum = crc32c(&entry);
    fill(&mut entry, 4, &sum.to_le_bytes());
    entry
}

fn fill(bytes: &mut [u8], at: usize, data: &[u8]) {
    if let Some(part) = bytes.get_mut(at..at + data.len()) {
        part.copy_from_slice(data);
    }
}
