extern crate std;

use super::*;
use crate::{PlanError, Preallocation, ReadAt};
use instar_formats::ImageError;
use instar_formats::bytes::{le32, put_le32};
use instar_formats::io::IoError;
use instar_formats::vmdk::header::flags;
use instar_formats::vmdk::{Layout, SECTOR, SparseHeader};
use std::vec::Vec;
use std::{assert, assert_eq, panic, vec};

const MIB: u64 = 1 << 20;
const GRAIN: usize = 64 << 10;
const SCRATCH: usize = crate::SCRATCH_LEN;

/// A change of a file: bytes at an offset.
type Write = (usize, Vec<u8>);

/// A file in memory that remembers what was done to it, epoch by epoch.
#[derive(Clone)]
struct File {
    bytes: Vec<u8>,
    len: u64,
    epochs: Vec<Vec<Write>>,
}

impl ReadAt for File {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        for (n, byte) in buf.iter_mut().enumerate() {
            *byte = self.bytes.get(offset as usize + n).copied().unwrap_or(0);
        }
        Ok(())
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset + data.len() {
        bytes.resize(offset + data.len(), 0);
    }
    bytes[offset..offset + data.len()].copy_from_slice(data);
}

impl crate::Target for File {
    fn apply(&mut self, patch: crate::Patch<'_>) -> Result<(), IoError> {
        let (offset, data) = match patch {
            crate::Patch::Write { offset, data } => (offset as usize, data.to_vec()),
            crate::Patch::ZeroFill { offset, len, unmap } => {
                let inside = (self.bytes.len() as u64).saturating_sub(offset).min(len);
                (offset as usize, vec![0; if unmap { inside } else { len } as usize])
            }
            crate::Patch::Barrier => {
                self.epochs.push(Vec::new());
                return Ok(());
            }
        };
        put(&mut self.bytes, offset, &data);
        // Torn at sectors.
        let epoch = self.epochs.last_mut().expect("an epoch");
        let mut at = 0;
        while at < data.len() {
            let len = (512 - (offset + at) % 512).min(data.len() - at);
            epoch.push((offset + at, data[at..at + len].to_vec()));
            at += len;
        }
        Ok(())
    }
}

impl From<Vec<u8>> for File {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len() as u64, bytes, epochs: vec![Vec::new()] }
    }
}

impl File {
    /// An empty extent of so many bytes.
    fn new(size: u64) -> Self {
        let mut file = Self::from(Vec::new());
        let len =
            create::run(&mut file, size / SECTOR, 3, b"# text\n", &mut vec![0; SCRATCH]).expect("created");
        file.bytes.resize(len as usize, 0);
        Self::from(file.bytes)
    }

    fn header(&self) -> SparseHeader {
        SparseHeader::parse(&self.bytes[..512], self.bytes.len() as u64).expect("a header")
    }

    fn word(&self, sector: u64, n: u64) -> u64 {
        u64::from(le32(&self.bytes, (sector * 512 + n * 4) as usize))
    }

    /// Gives grain `g` its place at the end, filled with `fill`.
    fn write_grain(&mut self, g: u64, fill: u8) {
        let at = self.bytes.len().next_multiple_of(GRAIN);
        put(&mut self.bytes, at, &[fill; GRAIN]);
        let header = self.header();
        for directory in [header.directory, header.redundant] {
            let table = self.word(directory, g / 512);
            put_le32(&mut self.bytes, (table * 512 + g % 512 * 4) as usize, (at / 512) as u32);
        }
        self.len = self.bytes.len() as u64;
    }

    /// With data in every `step`th grain of the first `grains`, the last of them first.
    fn populated(size: u64, grains: u64, step: usize) -> Self {
        let mut file = Self::new(size);
        for g in (0..grains).rev().step_by(step) {
            file.write_grain(g, g as u8 | 1);
        }
        file
    }

    /// The first byte of each grain up to the capacity, read like everybody does; whole grains are alike.
    fn content(&self) -> Vec<u8> {
        let header = self.header();
        (0..header.grains_for(header.capacity))
            .map(|g| {
                let table = self.word(header.directory, g / 512);
                let sector = if table == 0 { 0 } else { self.word(table, g % 512) };
                if sector == 0 { 0 } else { self.bytes.get(sector as usize * 512).copied().unwrap_or(0xee) }
            })
            .collect()
    }

    /// Everything that a check says.
    fn findings(&mut self) -> Vec<walk::Finding> {
        let (header, mut all) = (self.header(), Vec::new());
        self.len = self.bytes.len() as u64;
        let walk = walk::whole(&header, self.len).expect("directories");
        let mut scratch = vec![0; SCRATCH];
        walk.run::<_, PlanError>(self, &mut scratch, &mut |finding| all.push(finding)).expect("walked");
        all
    }

    fn grow(&mut self, size: u64, mode: Preallocation) -> Grow {
        let mut scratch = vec![0; SCRATCH];
        let plan = grow::plan(self, &self.header(), size / SECTOR, mode, &mut scratch).expect("a plan");
        let len = plan.run(self, &mut scratch).expect("done");
        assert!(len as usize >= self.bytes.len(), "nothing is cut off");
        self.bytes.resize(len as usize, 0);
        plan
    }

    fn shrink(&mut self, size: u64) {
        let mut scratch = vec![0; SCRATCH];
        let plan = shrink::plan(self, &self.header(), size / SECTOR, &mut scratch).expect("a plan");
        plan.commit(self).expect("done");
        let len = plan.settle(self, &mut scratch).expect("done");
        self.bytes.resize(len as usize, 0);
    }
}

fn padded(mut content: Vec<u8>, size: u64) -> Vec<u8> {
    content.resize((size / GRAIN as u64) as usize, 0);
    content
}

#[test]
fn a_new_extent_is_that_of_qemu_img() {
    let mut file = File::new(64 * MIB);
    assert_eq!((file.bytes.len(), file.findings()), (65536, vec![]));
    assert_eq!((file.word(21, 0), file.word(21, 1), file.word(21, 2)), (22, 26, 0));
    assert_eq!((file.word(30, 0), file.word(30, 1), file.word(30, 2)), (31, 35, 0));
    assert_eq!(&file.bytes[512..520], b"# text\n\0");
    let large = Layout::new(2 << 31);
    let mut file = File::new(2 << 40);
    assert_eq!(file.word(large.directory, 65535), large.end - 4);
    assert_eq!((file.bytes.len() as u64, file.findings()), (large.overhead * 512, vec![]));
}

#[test]
fn every_way_of_growing() {
    for (from, to, moved, longer) in
        [(50, 64, false, false), (64, 200, false, false), (64, 1024, false, true), (64, 6144, true, true)]
    {
        let mut file = File::populated(from * MIB, 700, 3);
        let (before, len) = (file.content(), file.bytes.len());
        let old = file.header();
        file.grow(to * MIB, Preallocation::Off);
        assert_eq!(file.content(), padded(before, to * MIB), "{from} to {to}");
        assert_eq!(file.findings(), vec![], "{from} to {to}");
        assert_eq!((file.header().directory != old.directory, file.bytes.len() > len), (moved, longer));
        assert_eq!(file.bytes.len() % GRAIN, 0);
        for g in [0, 1, to * 16 - 1] {
            file.write_grain(g, 99);
            assert_eq!(file.content()[g as usize], 99);
        }
        assert_eq!(file.findings(), vec![]);
    }
}

#[test]
fn new_grains_have_places_where_they_were_asked_for() {
    for mode in [Preallocation::Metadata, Preallocation::Falloc, Preallocation::Full] {
        let mut file = File::populated(50 * MIB, 700, 5);
        let before = file.content();
        file.grow(300 * MIB, mode);
        assert_eq!((file.content(), file.findings()), (padded(before, 300 * MIB), vec![]));
        assert!(file.bytes.len() as u64 > 250 * MIB);
        let header = file.header();
        let last = file.word(file.word(header.directory, 9), 191);
        assert_eq!((last + 128) * 512, file.bytes.len() as u64);
        let first = file.word(file.word(header.redundant, 1), 288);
        assert_eq!(first, last - 3999 * 128, "{mode:?}");
    }
}

#[test]
fn holes_in_directories_are_filled() {
    let mut file = File::populated(200 * MIB, 500, 9);
    let (header, before) = (file.header(), file.content());
    for (directory, n) in [(header.directory, 3), (header.redundant, 6), (header.redundant, 3)] {
        put_le32(&mut file.bytes, (directory * 512 + n * 4) as usize, 0);
    }
    let no_table = |redundant, index| walk::Finding::NoTable { redundant, index };
    assert_eq!(file.findings(), [no_table(false, 3), no_table(true, 3), no_table(true, 6)]);
    file.grow(300 * MIB, Preallocation::Falloc);
    assert_eq!((file.content(), file.findings()), (padded(before, 300 * MIB), vec![]));
}

#[test]
fn what_is_left_behind_the_end_is_gone_after_growing() {
    let mut file = File::populated(64 * MIB, 1024, 2);
    let mut header = file.header();
    header.capacity = (40 * MIB + 4096) / SECTOR;
    let mut head = file.bytes[..512].to_vec();
    header.encode_resized(&mut head);
    file.bytes[..512].copy_from_slice(&head);
    let before = file.content();
    let straddling = file.word(file.word(header.directory, 1), 128);
    file.write_grain(640, 9);
    file.grow(128 * MIB, Preallocation::Off);
    assert_eq!(file.content()[..640], before[..640]);
    assert!(file.content()[641..].iter().all(|byte| *byte == 0));
    let at = file.word(file.word(header.directory, 1), 128) as usize * 512;
    assert!(file.bytes[at..at + 4096].iter().all(|byte| *byte == 9) && straddling == 0);
    assert!(file.bytes[at + 4096..at + GRAIN].iter().all(|byte| *byte == 0));
}

#[test]
fn shrinking_moves_grains_and_cuts_the_file() {
    let mut file = File::populated(128 * MIB, 2048, 7);
    let before = file.content();
    file.shrink(31 * MIB + 4096);
    assert_eq!((file.content(), file.findings()), (before[..497].to_vec(), vec![]));
    let used = before[..497].iter().filter(|byte| **byte != 0).count();
    assert_eq!(file.bytes.len(), (used + 1) * GRAIN);
    file.grow(128 * MIB, Preallocation::Off);
    assert_eq!((file.content(), file.findings()), (padded(before[..497].to_vec(), 128 * MIB), vec![]));
    let empty = &mut File::new(200 * MIB);
    empty.shrink(512);
    assert_eq!((empty.bytes.len(), empty.findings()), (65536, vec![]));
}

#[test]
fn no_image_gets_more_tables_than_can_be_opened() {
    let mut file = File::populated(64 * MIB, 10, 3);
    let (header, mut scratch) = (file.header(), vec![0; SCRATCH]);
    let most = (32_u64 << 20) * 65536;
    let refused = grow::plan(&mut file, &header, most + 1, Preallocation::Off, &mut scratch);
    assert_eq!(refused, Err(crate::ResizeError::VmdkTooLarge.into()));
    assert!(grow::plan(&mut file, &header, most, Preallocation::Off, &mut scratch).is_ok());
}

/// Whatever of the writes before a barrier has reached the disk: old or new size, all that both have intact.
fn crash(before: &File, after: &File, draws: u32) -> usize {
    let (mut durable, mut states, mut seed) = (before.bytes.clone(), 0, 12345_u64);
    let (old, new) = (before.header().capacity, after.header().capacity);
    let (kept, content) = (old.min(new) as usize / 128, before.content());
    for epoch in &after.epochs {
        for _ in 0..draws.min(1 << epoch.len().min(20)) {
            let mut crashed = File::from(durable.clone());
            let mostly = seed >> 60;
            for (at, data) in epoch {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if seed >> 60 > mostly {
                    put(&mut crashed.bytes, *at, data);
                }
            }
            let capacity = crashed.header().capacity;
            assert!(capacity == old || capacity == new, "{capacity}");
            let found = crashed.content();
            assert_eq!(found[..kept], content[..kept]);
            assert!(capacity == old || found[kept..].iter().all(|byte| *byte == 0));
            if capacity == old {
                assert_eq!(found[kept..], content[kept..]);
            }
            let harmless = |finding: &walk::Finding| matches!(finding, walk::Finding::Differs { .. });
            assert!(crashed.findings().iter().all(harmless), "{:?}", crashed.findings());
            states += 1;
        }
        for (at, data) in epoch {
            put(&mut durable, *at, data);
        }
    }
    assert_eq!(durable.len().min(after.bytes.len()), after.bytes.len().min(durable.len()));
    states
}

#[test]
fn every_crash_leaves_the_old_or_the_new_disk() {
    let mut states = 0;
    for to in [64, 200, 1024, 6144] {
        let before = File::populated(50 * MIB, 700, 13);
        let mut after = before.clone();
        after.grow(to * MIB, Preallocation::Off);
        states += crash(&before, &after, 40);
    }
    for to in [8 * MIB, 31 * MIB + 4096, 60 * MIB] {
        let before = File::populated(64 * MIB, 1024, 37);
        let mut after = before.clone();
        after.shrink(to);
        states += crash(&before, &after, 40);
    }
    assert!(states > 300, "{states}");
}

#[test]
fn a_directory_that_comes_too_late_is_noticed() {
    let before = File::populated(64 * MIB, 700, 13);
    let mut after = before.clone();
    after.grow(6144 * MIB, Preallocation::Off);
    // The header before what it names.
    let last = after.epochs.len() - 2;
    after.epochs.swap(last, last - 1);
    assert!(panic::catch_unwind(|| crash(&before, &after, 40)).is_err());
}

#[test]
fn images_that_make_no_sense_are_refused_before_a_write() {
    let good = File::populated(64 * MIB, 100, 9);
    let header = good.header();
    let refusals = |change: &dyn Fn(&mut File)| {
        let (mut file, mut scratch) = (good.clone(), vec![0; SCRATCH]);
        change(&mut file);
        let header = file.header();
        let grown = grow::plan(&mut file, &header, 1 << 20, Preallocation::Off, &mut scratch).map(drop);
        let shrunk = shrink::plan(&mut file, &header, 70_000, &mut scratch).map(drop);
        assert!(file.epochs.iter().all(Vec::is_empty));
        (grown, shrunk)
    };
    let word = |sector: u64, n: u64, value: u32| {
        move |file: &mut File| put_le32(&mut file.bytes, (sector * 512 + n * 4) as usize, value)
    };
    let field = |at: usize, value: u64| move |file: &mut File| put(&mut file.bytes, at, &value.to_le_bytes());
    let err = |error: ImageError| Err(PlanError::from(error));
    assert_eq!(refusals(&|_| {}), (Ok(()), Ok(())));
    let outside = err(ImageError::VmdkDirectoryTable { index: 1, sector: 1 << 30 });
    assert_eq!(refusals(&word(header.directory, 1, 1 << 30)), (outside, outside));
    assert_eq!(refusals(&word(header.redundant, 1, 1 << 30)), (outside, outside));
    let head = err(ImageError::VmdkDirectoryTable { index: 0, sector: 20 });
    assert_eq!(refusals(&word(header.directory, 0, 20)), (head, head));
    let gone = err(ImageError::VmdkDirectoryOffset { sector: 1 << 40 });
    assert_eq!(refusals(&field(56, 1 << 40)), (gone, gone));
    let over = err(ImageError::VmdkOverlap { sector: header.directory });
    assert_eq!(refusals(&field(48, header.directory)), (over, over));
    let table = good.word(header.directory, 0);
    let grain = err(ImageError::VmdkGrainEntry { grain: 7, sector: 3 });
    assert_eq!(refusals(&word(table, 7, 3)), (Ok(()), grain));
    let first = good.word(table, 0);
    let twice = err(ImageError::VmdkOverlap { sector: first });
    assert_eq!(refusals(&word(table, 7, first as u32)), (Ok(()), twice));
    assert!(!header.has(flags::COMPRESSED));
}
