//! Disks in several files, in memory.

extern crate std;

use crate::disk::{IoError, ReadAt};
use crate::testing::MemDisk;
use crate::*;
use std::cell::RefCell;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{assert, assert_eq, format, vec};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// The descriptor's number in a log.
const DESCRIPTOR: usize = usize::MAX;

/// What was done to which file: `true` for a change, `false` for a flush.
type Log = RefCell<Vec<(usize, bool)>>;

/// A sparse file that notes what is done to it: pieces at offsets, for files of gigabytes.
struct Noted<'l> {
    pieces: Vec<(u64, Vec<u8>)>,
    len: u64,
    number: usize,
    log: &'l Log,
}

impl<'l> Noted<'l> {
    fn new(number: usize, log: &'l Log) -> Self {
        Self { pieces: vec![], len: 0, number, log }
    }

    /// The file as the next job finds it.
    fn settle(&mut self) {
        let end = |(at, data): &(u64, Vec<u8>)| at + data.len() as u64;
        self.len = self.pieces.iter().map(end).max().unwrap_or(0).max(self.len);
    }
}

impl ReadAt for Noted<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        buf.fill(0);
        let end = offset + buf.len() as u64;
        for (at, data) in &self.pieces {
            let (from, to) = (offset.max(*at), end.min(at + data.len() as u64));
            for byte in from..to {
                buf[(byte - offset) as usize] = data[(byte - at) as usize];
            }
        }
        Ok(())
    }
}

impl Disk for Noted<'_> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.log.borrow_mut().push((self.number, true));
        self.pieces.push((offset, data.to_vec()));
        Ok(())
    }

    fn zero_at(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), IoError> {
        self.write_at(offset, &vec![0; len.min(self.len.saturating_sub(offset)) as usize])
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.log.borrow_mut().push((self.number, false));
        Ok(())
    }
}

/// A disk in several files.
struct Image<'l> {
    text: MemDisk,
    extents: Vec<Noted<'l>>,
    log: &'l Log,
}

impl<'l> Image<'l> {
    fn new(subformat: VmdkSubformat, size: u64, log: &'l Log) -> Self {
        let mut request = CreateRequest::new(Format::Vmdk, size);
        request.vmdk.subformat = subformat;
        request.vmdk.name = Label::new(b"d.vmdk").unwrap();
        let mut image = Self { text: MemDisk::new(0), extents: vec![], log };
        let alone = create(&mut image.text, &request, &mut vec![0; SCRATCH_LEN]);
        let count = new_extents(&request);
        assert_eq!(alone, Err(Refusal::ExtentsWanted { count }.into()));
        image.add(count);
        let mut disks: Vec<_> = image.extents.iter_mut().map(|disk| disk as &mut dyn Disk).collect();
        create_with(&mut image.text, &mut disks, &request, &mut vec![0; SCRATCH_LEN]).unwrap();
        image.settle();
        image
    }

    fn add(&mut self, count: u64) {
        for _ in 0..count {
            self.extents.push(Noted::new(self.extents.len(), self.log));
        }
    }

    fn settle(&mut self) {
        self.extents.iter_mut().for_each(Noted::settle);
        self.text = MemDisk::from(self.text.bytes.clone());
    }

    fn resize(&mut self, size: u64) -> Result<ResizeOutcome, OpError> {
        let request = ResizeRequest {
            format: Some(Format::Vmdk),
            size: SizeRequest::Absolute(size),
            shrink: true,
            preallocation: Preallocation::Off,
            identity: Identity::default(),
        };
        let before = self.text.bytes.clone();
        let mut disks: Vec<_> = self.extents.iter_mut().map(|disk| disk as &mut dyn Disk).collect();
        let mut companions = Companions { extents: &mut disks, ..Companions::default() };
        let done = resize_with(&mut self.text, &mut companions, &request, &mut vec![0; SCRATCH_LEN]);
        if self.text.bytes != before {
            self.log.borrow_mut().push((DESCRIPTOR, true));
        }
        if let Ok(outcome) = &done {
            self.text.bytes.resize(outcome.file_size_after as usize, 0);
        }
        self.settle();
        done
    }

    /// Extents by their sectors, and what a check has to say.
    fn said(&mut self) -> (Vec<String>, u64) {
        let mut disks: Vec<_> = self.extents.iter_mut().map(|disk| disk as &mut dyn Disk).collect();
        let request = CheckRequest { format: Some(Format::Vmdk), ..CheckRequest::default() };
        let scratch = &mut vec![0; SCRATCH_LEN];
        let report = check_with(&mut self.text, &mut disks, &request, scratch, &mut |_| {}).unwrap();
        let text = String::from_utf8(self.text.bytes.clone()).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("RW "));
        (lines.map(|line| line.split(' ').next().unwrap().to_string()).collect(), report.corruptions)
    }
}

#[test]
fn extents_come_before_the_descriptor() {
    for subformat in [VmdkSubformat::TwoGbMaxExtentFlat, VmdkSubformat::TwoGbMaxExtentSparse] {
        let log = Log::default();
        let mut image = Image::new(subformat, 3 * GIB, &log);
        assert_eq!(image.said(), (vec!["4194304".into(), "2097152".into()], 0));
        log.borrow_mut().clear();
        assert_eq!(image.resize(5 * GIB), Err(Refusal::ExtentsWanted { count: 1 }.into()));
        assert!(log.borrow().is_empty(), "{subformat:?}: a refusal writes nothing");
        image.add(1);
        assert_eq!(image.resize(5 * GIB).unwrap().action, ResizeAction::Grow);
        assert_eq!(image.said(), (vec!["4194304".into(), "4194304".into(), "2097152".into()], 0));
        let log = log.borrow();
        let (last, extents) = log.split_last().unwrap();
        assert_eq!(*last, (DESCRIPTOR, true), "{subformat:?}");
        for file in [1, 2] {
            let own: Vec<_> = extents.iter().filter(|(number, _)| *number == file).collect();
            assert_eq!(own.last(), Some(&&(file, false)), "{subformat:?}: it ends with a flush");
        }
        assert!(extents.iter().all(|(number, _)| *number != 0), "{subformat:?}: full ones stay as they are");
    }
}

#[test]
fn the_descriptor_comes_before_extents_that_are_cut() {
    let log = Log::default();
    let mut image = Image::new(VmdkSubformat::TwoGbMaxExtentSparse, 5 * GIB, &log);
    log.borrow_mut().clear();
    let size = 2 * GIB + 40 * MIB;
    let first = image.resize(size).unwrap().extents_after;
    assert_eq!(first, Some(ExtentsAfter { kept: 2, last_len: None, again: true }));
    assert_eq!(*log.borrow(), [(DESCRIPTOR, true)], "nothing else is written");
    image.extents.truncate(2);
    let outcome = image.resize(size).unwrap();
    assert_eq!((outcome.action, outcome.new_virtual_size), (ResizeAction::Shrink, size));
    let after = outcome.extents_after.unwrap();
    assert!(after.kept == 2 && !after.again && after.last_len.is_some());
    assert_eq!(image.said(), (vec!["4194304".into(), "81920".into()], 0));
    assert_eq!(image.resize(size).unwrap().action, ResizeAction::NoOp);

    let log = Log::default();
    let mut image = Image::new(VmdkSubformat::TwoGbMaxExtentFlat, 5 * GIB, &log);
    let after = image.resize(GIB).unwrap().extents_after;
    assert_eq!(after, Some(ExtentsAfter { kept: 1, last_len: Some(GIB), again: false }));
}

#[test]
fn descriptors_that_make_no_sense() {
    let log = Log::default();
    let refused = |from: &str, to: &str, open: bool| {
        let mut image = Image::new(VmdkSubformat::MonolithicFlat, 64 * MIB, &log);
        let text = String::from_utf8(image.text.bytes.clone()).unwrap();
        image.text = MemDisk::from(text.replace(from, to).into_bytes());
        if !open {
            image.extents.clear();
        }
        log.borrow_mut().clear();
        let refusal = image.resize(128 * MIB).unwrap_err();
        assert!(log.borrow().is_empty(), "{to}");
        refusal
    };
    let line = "RW 131072 FLAT \"d-flat.vmdk\" 0\n";
    assert_eq!(refused("", "", false), Refusal::ExtentsClosed.into());
    assert_eq!(refused(line, "", true), ImageError::VmdkNoExtents.into());
    assert_eq!(refused("RW 1", "RDONLY 1", true), ImageError::VmdkExtentKind.into());
    assert_eq!(refused("131072", "0", true), ImageError::VmdkExtentLine.into());
    assert_eq!(refused("131072", "99999999999999999999", true), ImageError::VmdkExtentLine.into());
    assert_eq!(refused("parentCID=ffffffff", "parentCID=5", true), ResizeError::VmdkParent.into());
    assert_eq!(refused("monolithicFlat", "custom", true), ImageError::VmdkType.into());
    assert_eq!(
        refused("FLAT \"d-flat.vmdk\" 0", "SPARSE \"d-flat.vmdk\"", true),
        ImageError::VmdkNotSparse.into()
    );
    let many = format!("{line}{}", line.repeat(MAX_EXTENTS));
    assert_eq!(refused(line, &many, true), Refusal::ExtentsClosed.into());
}
