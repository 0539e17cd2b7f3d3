//! Images that somebody has spoilt: refused with nothing written, or resized to something sound. Never a panic, a
//! write where nothing is known to be free, or a walk without an end.

extern crate std;

use super::*;
use crate::ReadAt;
use instar_formats::vhdx::log::{EntryHeader, encode_entry};
use instar_formats::vhdx::{HEADERS, Image};
use std::format;

/// How many images are spoilt.
const IMAGES: u64 = 1500;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A word as somebody would choose who wants to do harm.
    fn word(&mut self) -> u64 {
        let near = self.below(5).wrapping_sub(2);
        match self.below(6) {
            0 => near,
            1 => (1_u64 << self.below(64)).wrapping_add(near),
            2 => (self.below(30) << 20) + self.below(8),
            3 => self.below(30) << 20,
            4 => u64::MAX - self.below(1 << 21),
            _ => self.next(),
        }
    }
}

/// Spoils a structure, and puts its checksum right.
fn spoil(subject: &mut Subject, image: &Image, random: &mut Random) {
    let put = |disk: &mut Disk, at: u64, len: u64, word: u64| {
        disk.put(at, &word.to_le_bytes()[..usize::try_from(len).unwrap()]);
    };
    let (word, len) = (random.word(), 1 << random.below(4));
    match random.below(4) {
        0 => {
            let at = 8 + 4 * random.below(18);
            for header in HEADERS {
                put(&mut subject.disk, header + at, len, word);
                seal(&mut subject.disk, header, 4096);
            }
        }
        1 => {
            let at = 8 + 4 * random.below(22);
            for table in REGION_TABLES {
                put(&mut subject.disk, table + at, len, word);
                seal(&mut subject.disk, table, 65536);
            }
        }
        2 => {
            let items = [8 + 4 * random.below(46), (64 << 10) + 4 * random.below(10)];
            let at = items[usize::try_from(random.below(2)).unwrap()];
            put(&mut subject.disk, image.metadata_region.offset + at, len, word);
        }
        _ => put(&mut subject.disk, image.entry_at(random.below(14)), 8, word),
    }
}

fn seal(disk: &mut Disk, at: u64, len: usize) {
    let mut structure = vec![0; len];
    disk.read_at(at, &mut structure).unwrap();
    let crc = crc32c(&structure);
    disk.put(at + 4, &crc.to_le_bytes());
}

/// Resizes a spoilt image, and says whether that was refused.
fn resized(mut subject: Subject, to: u64) -> Result<bool, String> {
    subject.disk = subject.disk.forgetful();
    let before = subject.disk.end;
    if subject.recover().is_err() || subject.resize(to, Preallocation::Off).is_err() {
        let untouched = subject.disk.intervals.iter().all(Vec::is_empty);
        return if untouched { Ok(true) } else { Err("refused after it was changed".to_string()) };
    }
    let ends = subject.disk.intervals.iter().flatten().map(Change::end);
    if ends.max().unwrap_or(0) > before.max(subject.disk.end) {
        return Err("written past the end".to_string());
    }
    let image = Image::open(&mut subject.disk).map_err(|e| e.to_string())?;
    if image.virtual_size() != to {
        return Err(format!("{} bytes", image.virtual_size()));
    }
    // What is on the disk is another one, but it is sound.
    subject.data.clear();
    subject.size = to;
    subject.judge(&[to]).map(|_| false)
}

/// Writes a log with one entry, and headers that name it.
fn log_entry(subject: &mut Subject, last: u64, zeros: &[(u64, u64)], places: &[u64]) {
    let image = subject.image();
    let header = EntryHeader {
        len: 0,
        tail: 0,
        sequence: 1,
        descriptors: 0,
        log_guid: [3; 16],
        flushed_file_offset: 0,
        last_file_offset: last,
    };
    let mut entry = vec![0x11; 64 << 10];
    let len = encode_entry(&header, zeros, places, &mut entry);
    subject.disk.put(image.log().offset, &entry[..usize::try_from(len).unwrap()]);
    for offset in HEADERS {
        subject.disk.put(offset + 48, &[3; 16]);
        seal(&mut subject.disk, offset, 4096);
    }
    subject.disk = subject.disk.forgetful();
}

#[test]
fn a_log_changes_neither_itself_nor_the_headers() {
    let good = Subject::new(10 * MIB, &DYNAMIC);
    let end = good.disk.end;
    let replayed = |last: u64, zeros: &[(u64, u64)], places: &[u64]| {
        let mut subject = good.clone();
        log_entry(&mut subject, last, zeros, places);
        let done = subject.recover().is_ok();
        assert!(done || subject.disk.intervals.iter().all(Vec::is_empty), "refused after it was changed");
        done.then_some(subject.disk.end)
    };
    assert_eq!(replayed(end, &[], &[7 * MIB]), Some(end));
    assert_eq!(replayed(end + MIB, &[(7 * MIB, 1 << 40)], &[end]), Some(end + MIB));
    for place in [0, HEADERS[0], HEADERS[1], MIB, 2 * MIB - 4096, end, 1 << 50, u64::MAX - 4095] {
        assert_eq!(replayed(end, &[], &[7 * MIB, place]), None, "{place:#x}");
    }
    for zeros in [(0, MIB), (MIB, 4096), (4096, 1 << 40), (0, u64::MAX - 4095)] {
        assert_eq!(replayed(end, &[zeros], &[7 * MIB]), None, "{zeros:x?}");
    }
    // It does not make a file as long as it likes.
    let longest = 2 * end + (64 << 20);
    assert_eq!(replayed(1 << 60, &[], &[7 * MIB]), Some(longest));
    assert_eq!(replayed(1 << 60, &[], &[longest]), None);
}

#[test]
fn spoilt_images_do_no_harm() {
    let mut random = Random(1);
    let mut good = Subject::new(10 * MIB, &DYNAMIC);
    [3, 0, 9, 5].into_iter().for_each(|block| good.write(block, 1));
    let (image, mut refused) = (good.image(), 0);
    for i in 0..IMAGES {
        let mut subject = good.clone();
        (0..=random.below(2)).for_each(|_| spoil(&mut subject, &image, &mut random));
        if random.below(4) == 0 {
            subject.disk.set_len(subject.disk.end - random.below(3 * MIB));
        }
        let to = [MIB + 512, 12 * MIB, 140 * G][usize::try_from(random.below(3)).unwrap()];
        match resized(subject, to) {
            Ok(was_refused) => refused += u64::from(was_refused),
            Err(e) => panic!("image {i} to {to}: {e}"),
        }
    }
    assert!((IMAGES / 10..IMAGES * 9 / 10).contains(&refused), "{refused} of {IMAGES} were refused");
}
