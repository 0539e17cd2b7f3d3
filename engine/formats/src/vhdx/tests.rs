//! Structures there and back, and logs built by hand.

extern crate std;

use super::log::{
    Change, EntryHeader, SECTOR, SECTOR_LEN, descriptor_sectors, each_change, encode_entry, find,
};
use super::*;
use crate::ImageError;
use crate::bytes::{put, put_le32};
use crate::io::{IoError, ReadAt};
use std::vec;
use std::vec::Vec;

/// A file in memory.
struct File(Vec<u8>);

impl ReadAt for File {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let at = usize::try_from(offset).unwrap().min(self.0.len());
        let n = buf.len().min(self.0.len() - at);
        buf[..n].copy_from_slice(&self.0[at..at + n]);
        buf[n..].fill(0);
        Ok(())
    }
}

const GUID: Guid = [7; 16];

fn header() -> FileHeader {
    FileHeader {
        sequence: 5,
        file_write_guid: [1; 16],
        data_write_guid: [2; 16],
        log_guid: GUID,
        log_version: 0,
        log_len: MIB,
        log_offset: MIB,
    }
}

#[test]
fn checksums_are_castagnoli() {
    let mut crc = Crc32c::new();
    crc.update(b"123456789");
    assert_eq!(crc.finish(), 0xe306_9283);
    assert_eq!(crc32c(b"head????tail"), crc32c(b"head\0\0\0\0tail"));
}

#[test]
fn headers_come_back_and_break() {
    let good = header().encode();
    assert_eq!(FileHeader::parse(&good), Some(header()));
    for at in [0, 4, 8, 70, 4095] {
        let mut bad = good;
        bad[at] ^= 1;
        assert_eq!(FileHeader::parse(&bad), None, "{at}");
    }
}

#[test]
fn the_newer_header_counts() {
    let (old, new) = (header(), FileHeader { sequence: 6, ..header() });
    let other = FileHeader { log_len: 2 * MIB, ..old };
    assert_eq!(current(&[Some(old), Some(new)]), Ok((new, 1)));
    assert_eq!(current(&[Some(new), Some(old)]), Ok((new, 0)));
    assert_eq!(current(&[Some(old), None]), Ok((old, 0)));
    assert_eq!(current(&[Some(old), Some(old)]), Ok((old, 0)));
    assert_eq!(current(&[Some(old), Some(other)]), Err(ImageError::VhdxHeaders));
    assert_eq!(current(&[None, None]), Err(ImageError::VhdxHeaders));
}

/// Block sizes, and the numbers of "BAT" in the specification.
#[test]
fn every_entry_has_its_place() {
    for (block_size, sector, chunk) in [
        (MIB, 512, 4096),
        (8 * MIB, 512, 512),
        (256 * MIB, 512, 16),
        (MIB, 4096, 32768),
        (256 * MIB, 4096, 128),
    ] {
        let geometry = Geometry::new(block_size, sector);
        assert_eq!(geometry.chunk, chunk);
        for block in [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk - 1, 3 * chunk, 1 << 26] {
            let entry = geometry.entry_of(block);
            assert_eq!((entry, geometry.block_of(entry)), (block + block / chunk, Some(block)));
        }
        assert_eq!(geometry.block_of(chunk), None);
        assert_eq!(geometry.block_of(2 * chunk + 1), None);
        // No sector bitmap behind the last chunk that is full.
        assert_eq!(geometry.entries(chunk * block_size), chunk);
        assert_eq!(geometry.entries(chunk * block_size + 1), chunk + 2);
    }
    assert_eq!(Geometry::new(MIB, 512).region_len(64 << 40), 513 * MIB);
    assert_eq!(Geometry::new(64 * MIB, 512).region_len(64 << 40), 9 * MIB);
}

#[test]
fn region_tables_come_back_and_break() {
    let (bat, metadata) = (Region { offset: 2 * MIB, len: MIB }, Region { offset: 3 * MIB, len: MIB });
    let mut file = File(vec![0; 64 << 10]);
    encode_region_table(&[(BAT, bat), (METADATA, metadata)], &mut file.0);
    let table = RegionTable::read(&mut file, 0).unwrap();
    assert_eq!((table.find(&BAT), table.find(&METADATA), table.unknown), (Ok(bat), Ok(metadata), false));
    let moved = Region { offset: 9 * MIB, len: 4 * MIB };
    move_bat(&mut file.0, moved);
    let table = RegionTable::read(&mut file, 0).unwrap();
    assert_eq!((table.find(&BAT), table.find(&METADATA)), (Ok(moved), Ok(metadata)));
    file.0[60_000] ^= 1;
    assert_eq!(RegionTable::read(&mut file, 0), Err(ImageError::VhdxRegionTable.into()));
}

#[test]
fn metadata_comes_back() {
    let region = Region { offset: 512, len: MIB };
    let metadata = Metadata {
        block_size: 2 * MIB,
        fixed: true,
        has_parent: false,
        disk_size: 77 << 30,
        disk_size_at: 512 + 0x1_0008,
        logical_sector: 512,
        physical_sector: 512,
    };
    let mut file = File(vec![0; 512 + (68 << 10)]);
    encode_metadata(&metadata, &GUID, &mut file.0[512..]);
    assert_eq!(Metadata::read(&mut file, region), Ok(metadata));
    assert_eq!(
        Metadata::read(&mut file, Region { len: 0x1_0010, ..region }),
        Err(ImageError::VhdxItem { item: 2 }.into())
    );
}

/// A log, and where its next entry goes.
struct Log {
    file: File,
    at: u64,
}

impl Log {
    fn new() -> Self {
        Self { file: File(vec![0; 2 << 20]), at: 0 }
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        for (i, sector) in bytes.chunks(SECTOR).enumerate() {
            let at = (at + i as u64 * SECTOR_LEN) % MIB + MIB;
            put(&mut self.file.0, usize::try_from(at).unwrap(), sector);
        }
    }

    /// Adds an entry that puts sectors of `bytes` at 8 MiB and onwards, and zeros at 16 MiB. Returns where it is.
    fn add(&mut self, sequence: u64, tail: u64, bytes: &[u8]) -> u64 {
        let head = EntryHeader {
            len: 0,
            tail,
            sequence,
            descriptors: 0,
            log_guid: GUID,
            flushed_file_offset: 0,
            last_file_offset: 0,
        };
        let mut entry = vec![0xee; 64 * SECTOR];
        let data = usize::try_from(descriptor_sectors(bytes.len() as u64 + 1)).unwrap();
        for (byte, sector) in bytes.iter().zip(entry[data..].chunks_exact_mut(SECTOR)) {
            sector.fill(*byte);
        }
        let places: Vec<u64> = (0..bytes.len() as u64).map(|i| 8 * MIB + i * SECTOR_LEN).collect();
        let len = encode_entry(&head, &[(16 * MIB, 2 * SECTOR_LEN)], &places, &mut entry);
        let at = self.at;
        self.put(at, &entry[..usize::try_from(len).unwrap()]);
        self.at = (at + len) % MIB;
        at
    }

    /// The first byte of each sector that is replayed, in order; 0 for zeros.
    fn replayed(&mut self) -> Option<Vec<u8>> {
        let sequence = find(&mut self.file, &header()).unwrap()?;
        let mut all = Vec::new();
        each_change(&mut self.file, &sequence, &mut |_, change| {
            match change {
                Change::Sector(offset, sector) => {
                    assert!(sector.iter().all(|byte| *byte == sector[0]) && offset >= 8 * MIB);
                    all.push(sector[0]);
                }
                Change::Zeros(offset, len) => {
                    assert_eq!((offset, len), (16 * MIB, 2 * SECTOR_LEN));
                    all.push(0);
                }
            }
            Ok(())
        })
        .unwrap();
        Some(all)
    }
}

#[test]
fn an_empty_log_has_nothing_to_replay() {
    let mut log = Log::new();
    assert_eq!(log.replayed(), None);
    log.add(1, 0, &[3]);
    let clean = FileHeader { log_guid: NO_GUID, ..header() };
    assert_eq!(find(&mut log.file, &clean), Ok(None));
    let other = FileHeader { log_guid: [8; 16], ..header() };
    assert_eq!(find(&mut log.file, &other), Ok(None), "the entry is another session's");
}

#[test]
fn sequences_are_replayed_from_their_tail() {
    let mut log = Log::new();
    let first = log.add(3, 0, &[3, 4]);
    assert_eq!(log.replayed(), Some(vec![0, 3, 4]));
    log.add(4, first, &[5]);
    assert_eq!(log.replayed(), Some(vec![0, 3, 4, 0, 5]));
    let last = log.at;
    log.add(5, last, &[6]);
    assert_eq!(log.replayed(), Some(vec![0, 6]), "the newest wants no other");
    log.add(9, 0, &[7]);
    assert_eq!(log.replayed(), Some(vec![0, 6]), "it does not follow the one before it, and needs that");
}

#[test]
fn sequences_go_round_the_ring() {
    let mut log = Log::new();
    log.at = MIB - 3 * SECTOR_LEN;
    let first = log.add(1, MIB - 3 * SECTOR_LEN, &[1]);
    log.add(2, first, &[2, 3, 4]);
    log.add(3, first, &[5; 200 / 4]);
    assert_eq!(log.replayed().map(|all| all.len()), Some(2 + 4 + 51));
}

/// An entry of more sectors of descriptors than one.
#[test]
fn entries_are_as_long_as_they_need_to_be() {
    assert_eq!((descriptor_sectors(126), descriptor_sectors(127)), (4096, 8192));
    assert_eq!((descriptor_sectors(254), descriptor_sectors(255)), (8192, 12288));
}

#[test]
fn no_byte_of_an_entry_is_trusted() {
    let mut log = Log::new();
    log.add(1, 0, &[1, 2]);
    let good = log.file.0.clone();
    assert!(log.replayed().is_some());
    for at in (0..3 * SECTOR).step_by(97).chain([0, 4, 8, 12, 16, 24, 32, 64, 4096, 3 * SECTOR - 1]) {
        log.file.0[(1 << 20) + at] ^= 0x10;
        assert_eq!(log.replayed(), None, "{at}");
        log.file.0.clone_from(&good);
    }
}

/// Every sector claims to begin an entry as long as the log: looking at all of that would take all day.
#[test]
fn a_hostile_log_does_not_take_long() {
    let mut log = Log::new();
    let mut sector = [0; SECTOR];
    put(&mut sector, 0, b"loge");
    put_le32(&mut sector, 8, 1 << 20);
    sector[16] = 1;
    put(&mut sector, 32, &GUID);
    (0..256).for_each(|i| log.put(i * SECTOR_LEN, &sector));
    assert_eq!(find(&mut log.file, &header()), Err(ImageError::VhdxLogTooLarge.into()));
    let large = FileHeader { log_len: 1 << 32, ..header() };
    assert_eq!(find(&mut log.file, &large), Err(ImageError::VhdxLogTooLarge.into()));
}
