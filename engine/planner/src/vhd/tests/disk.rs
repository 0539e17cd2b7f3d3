//! Images in memory, written and read here by the specification and nothing else.

use super::std::vec;
use super::std::vec::Vec;
use crate::{IoError, Patch, ReadAt, Target};

pub const SECTOR: usize = 512;
/// Small blocks, so that many fit a small image.
pub const BLOCK: usize = 4096;
/// A block with its bitmap.
pub const STRIDE: usize = BLOCK + SECTOR;

/// An image that records what is done to it, by the sector; `None` is a barrier.
#[derive(Clone, Debug)]
pub struct Disk {
    pub bytes: Vec<u8>,
    pub len: u64,
    pub log: Vec<Option<(usize, Vec<u8>)>>,
}

impl From<Vec<u8>> for Disk {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len() as u64, bytes, log: Vec::new() }
    }
}

impl ReadAt for Disk {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let offset = usize::try_from(offset).unwrap();
        for (i, byte) in buf.iter_mut().enumerate() {
            *byte = self.bytes.get(offset + i).copied().unwrap_or(0);
        }
        Ok(())
    }
}

/// Writes into a file, which grows if it must.
pub fn write(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

impl Target for Disk {
    fn apply(&mut self, patch: Patch<'_>) -> Result<(), IoError> {
        let (offset, data) = match patch {
            Patch::Barrier => {
                self.log.push(None);
                return Ok(());
            }
            Patch::Write { offset, data } => (offset, data.to_vec()),
            Patch::ZeroFill { offset, len, .. } => (offset, vec![0; usize::try_from(len).unwrap()]),
        };
        let offset = usize::try_from(offset).unwrap();
        write(&mut self.bytes, offset, &data);
        let mut at = 0;
        while at < data.len() {
            let end = data.len().min(at + SECTOR - (offset + at) % SECTOR);
            self.log.push(Some((offset + at, data[at..end].to_vec())));
            at = end;
        }
        Ok(())
    }
}

fn sum(bytes: &[u8], at: usize) -> [u8; 4] {
    let own = at..at + 4;
    let all = bytes.iter().enumerate().filter(|(i, _)| !own.contains(i)).map(|(_, b)| u32::from(*b));
    (!all.sum::<u32>()).to_be_bytes()
}

fn sealed(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let sum = sum(&bytes, at);
    bytes[at..at + 4].copy_from_slice(&sum);
    bytes
}

/// A footer of the creator `win `, whose sizes are in bytes.
pub fn footer(kind: u32, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..8].copy_from_slice(b"conectix");
    bytes[16..24].copy_from_slice(&if kind == 2 { u64::MAX } else { 512 }.to_be_bytes());
    bytes[28..32].copy_from_slice(b"win ");
    for at in [40, 48] {
        bytes[at..at + 8].copy_from_slice(&(size as u64).to_be_bytes());
    }
    bytes[60..64].copy_from_slice(&kind.to_be_bytes());
    sealed(bytes, 64)
}

/// What the sector `number` of a disk holds, where it holds something.
pub fn sector(number: usize) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(number % 250 + 1).unwrap(); SECTOR];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    bytes
}

/// How to lay an image out.
pub struct Layout<'l> {
    /// Virtual size.
    pub size: usize,
    /// Where the table is.
    pub table: usize,
    /// Where the first block is.
    pub first: usize,
    /// The blocks in the order of their places; a number beyond the disk leaves a hole.
    pub order: &'l [usize],
}

/// A dynamic disk of this layout. All sectors of its blocks are full, beyond the end of the disk too.
pub fn dynamic(layout: &Layout<'_>) -> Disk {
    let blocks = layout.size.div_ceil(BLOCK);
    let mut bytes = footer(3, layout.size);
    let mut header = vec![0; 1024];
    header[..8].copy_from_slice(b"cxsparse");
    header[16..24].copy_from_slice(&(layout.table as u64).to_be_bytes());
    header[28..32].copy_from_slice(&u32::try_from(blocks).unwrap().to_be_bytes());
    header[32..36].copy_from_slice(&u32::try_from(BLOCK).unwrap().to_be_bytes());
    write(&mut bytes, 512, &sealed(header, 36));
    write(&mut bytes, layout.table, &vec![0xff; (blocks * 4).next_multiple_of(SECTOR)]);
    for (place, block) in layout.order.iter().enumerate() {
        let at = layout.first + place * STRIDE;
        write(&mut bytes, at, &[0xff; SECTOR]);
        let data: Vec<u8> = (0..BLOCK / SECTOR).flat_map(|i| sector(block * BLOCK / SECTOR + i)).collect();
        write(&mut bytes, at + SECTOR, &data);
        if *block < blocks {
            let entry = u32::try_from(at / SECTOR).unwrap().to_be_bytes();
            write(&mut bytes, layout.table + 4 * block, &entry);
        }
    }
    let end = bytes.len();
    write(&mut bytes, end, &footer(3, layout.size));
    Disk::from(bytes)
}

fn be32(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap()
}

fn be64(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
}

fn is_footer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"conectix") && bytes[64..68] == sum(bytes, 64)
}

/// Whether the footer at the end is not that of a fixed disk.
pub fn is_dynamic(bytes: &[u8]) -> bool {
    be32(bytes, bytes.len() - 512 + 60) != 2
}

/// The disk as QEMU reads it. Panics with what QEMU would not open.
pub fn read(bytes: &[u8]) -> Vec<u8> {
    let at = bytes.len() - 512;
    let tail = &bytes[at..];
    assert!(is_footer(tail), "no footer at the end");
    if be32(tail, 60) == 2 {
        let size = be64(tail, 48);
        assert!(size <= at, "the disk is longer than its file");
        return bytes[..size].to_vec();
    }
    assert!(is_footer(&bytes[..512]), "no footer at the start");
    let (size, table, entries) = (be64(bytes, 48), be64(bytes, 512 + 16), be32(bytes, 512 + 28));
    assert_eq!(bytes[548..552], sum(&bytes[512..1536], 36), "checksum of the header");
    assert!(size.div_ceil(BLOCK) <= entries, "page table too small");
    let mut disk = vec![0; entries * BLOCK];
    for block in 0..entries {
        let entry = be32(bytes, table + 4 * block);
        if entry == 0xffff_ffff || block * BLOCK >= size {
            continue;
        }
        let data = entry * SECTOR + SECTOR;
        assert!(data + BLOCK <= bytes.len(), "a block past the end");
        assert!(bytes[data - SECTOR] == 0xff, "sectors of block {block} are hidden");
        disk[block * BLOCK..(block + 1) * BLOCK].copy_from_slice(&bytes[data..data + BLOCK]);
    }
    disk.truncate(size);
    disk
}

/// What both footers and the header must say of a disk that nothing is to be done to.
pub fn assert_settled(bytes: &[u8]) {
    let (head, tail) = (&bytes[..512], &bytes[bytes.len() - 512..]);
    if be32(tail, 60) == 2 {
        assert_eq!(be64(tail, 48), bytes.len() - 512);
    } else {
        assert_eq!(head, tail);
        assert_eq!(be64(head, 48).div_ceil(BLOCK), be32(bytes, 512 + 28), "entries");
    }
    assert_eq!(be64(tail, 40), be64(tail, 48), "both sizes");
}
