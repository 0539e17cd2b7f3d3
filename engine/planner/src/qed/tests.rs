//! Plans for images built by hand, and every crash of one.

extern crate std;

use super::*;
use crate::{Preallocation, ReadAt, SCRATCH_LEN, SizeRequest};
use instar_formats::bytes::{le64, put_le32};
use instar_formats::qed::PARSE_LEN;
use std::vec;
use std::vec::Vec;

const CLUSTER: usize = 65536;
/// Where the tables of [`Image::new`] lie; the data clusters follow.
const L1: usize = CLUSTER;
const L2: usize = 5 * CLUSTER;
const DATA: usize = 9 * CLUSTER;
/// A disk of this size has 64 clusters.
const DISK: u64 = 4 << 20;

#[derive(Clone, PartialEq, Debug)]
struct Image {
    bytes: Vec<u8>,
    /// Every write, and `None` for a barrier.
    patches: Vec<Option<(usize, Vec<u8>)>>,
}

impl Image {
    /// Two data clusters, the first and the 33rd of the disk.
    fn new() -> Self {
        let mut image = Self { bytes: vec![0; DATA + 2 * CLUSTER], patches: Vec::new() };
        image.bytes[..4].copy_from_slice(b"QED\0");
        put_le32(&mut image.bytes, at::CLUSTER_SIZE, 65536);
        put_le32(&mut image.bytes, at::TABLE_SIZE, 4);
        put_le32(&mut image.bytes, at::HEADER_SIZE, 1);
        image.put(at::L1_OFFSET, L1).put(at::L1_OFFSET + 8, 4 << 20);
        image.put(L1, L2).put(L2, DATA).put(L2 + 32 * 8, DATA + CLUSTER);
        image
    }

    fn put(&mut self, at: usize, value: usize) -> &mut Self {
        put_le64(&mut self.bytes, at, value as u64);
        self
    }

    fn cut(&mut self, len: usize) -> &mut Self {
        self.bytes.truncate(len);
        self
    }

    fn header(&self) -> Header {
        Header::parse(&self.bytes[..PARSE_LEN], self.bytes.len() as u64).unwrap()
    }

    fn counts(&mut self) -> Counts {
        let header = self.header();
        walk(self, &header, &mut vec![0; SCRATCH_LEN], &mut |_, _, _| Ok(())).unwrap()
    }

    fn grow(&mut self) {
        let (size, mut scratch) = (request(SizeRequest::Absolute(2 * DISK)), vec![0; SCRATCH_LEN]);
        plan_resize(&self.header(), &size, None, &scratch).unwrap().run(self, &mut scratch).unwrap();
    }
}

impl ReadAt for Image {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let offset = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&self.bytes[offset..offset + buf.len()]);
        Ok(())
    }
}

impl Target for Image {
    fn apply(&mut self, patch: Patch<'_>) -> Result<(), IoError> {
        match patch {
            Patch::Write { offset, data } => {
                let offset = usize::try_from(offset).unwrap();
                assert!(offset / 512 == (offset + data.len() - 1) / 512, "one sector at a time");
                self.bytes[offset..offset + data.len()].copy_from_slice(data);
                self.patches.push(Some((offset, data.to_vec())));
            }
            Patch::Barrier => self.patches.push(None),
            Patch::ZeroFill { .. } => panic!("nothing is filled"),
        }
        Ok(())
    }
}

const fn request(size: SizeRequest) -> Request {
    Request { size, shrink: false, preallocation: Preallocation::Off }
}

#[test]
fn refusals_in_the_order_of_qemu_img() {
    use Preallocation::{Full, Off};
    use ResizeError as E;
    let (header, scratch) = (Image::new().header(), vec![0; SCRATCH_LEN]);
    let plan = |size, shrink, preallocation, backing| {
        let request = Request { size: SizeRequest::Absolute(size), shrink, preallocation };
        plan_resize(&header, &request, backing, &scratch).map(|plan| plan.action)
    };
    assert_eq!(plan(2 * DISK, false, Off, Some(DISK)), Ok(ResizeAction::Grow));
    assert_eq!(plan(64 << 40, false, Off, None), Ok(ResizeAction::Grow));
    assert_eq!(plan(DISK, false, Off, Some(2 * DISK)), Ok(ResizeAction::NoOp));
    assert_eq!(plan(DISK - 1, false, Full, None), Err(E::PreallocationNotGrowing));
    assert_eq!(plan(DISK - 1, false, Off, None), Err(E::ShrinkWithoutFlag));
    assert_eq!(plan(DISK + 1, false, Full, Some(DISK + 512)), Err(E::QedBackingLonger));
    assert_eq!(plan(DISK + 1, false, Full, None), Err(E::QedPreallocationFull));
    assert_eq!(plan(DISK + 1, false, Off, None), Err(E::QedSize));
    assert_eq!(plan((64 << 40) + 512, false, Off, None), Err(E::QedSize));
    assert_eq!(plan(DISK - 1, true, Off, None), Err(E::QedSize));
    assert_eq!(plan(DISK - 512, true, Off, Some(2 * DISK)), Err(E::QedShrink));
}

#[test]
fn growing_writes_one_sector_and_nothing_else() {
    let before = Image::new();
    let mut image = before.clone();
    image.put(at::AUTOCLEAR, 7).put(at::COMPATIBLE, 9);
    image.grow();
    assert_eq!(image.patches.len(), 2);
    assert_eq!(
        (image.header().image_size, image.header().autoclear, image.header().compatible),
        (2 * DISK, 0, 9)
    );
    assert_eq!(image.bytes[64..], before.bytes[64..]);
    image.patches.clear();
    let plan = plan_resize(&image.header(), &request(SizeRequest::Grow(0)), None, &[]).unwrap();
    plan.run(&mut image, &mut []).unwrap();
    assert!(image.patches.is_empty(), "the same size writes nothing");
}

#[test]
fn counts_are_those_of_qemu_img() {
    let counts = |change: &dyn Fn(&mut Image) -> &mut Image| {
        let mut image = Image::new();
        change(&mut image);
        let Counts { complete, allocated, fragmented, invalid, shared, leaks } = image.counts();
        assert!(complete);
        [allocated, fragmented, invalid, shared, leaks]
    };
    assert_eq!(counts(&|i| i), [2, 0, 0, 0, 0]);
    assert_eq!(counts(&|i| i.put(L2, 1 << 30)), [2, 1, 1, 0, 1]);
    assert_eq!(counts(&|i| i.put(L2, DATA + 512)), [2, 1, 1, 0, 1]);
    assert_eq!(counts(&|i| i.put(L2, DATA + CLUSTER)), [2, 1, 0, 1, 1]);
    assert_eq!(counts(&|i| i.put(L2, L1)), [2, 1, 0, 1, 1]);
    assert_eq!(counts(&|i| i.put(L2, 1)), [1, 0, 0, 0, 1]);
    assert_eq!(counts(&|i| i.put(L1, 1)), [0, 0, 1, 0, 6]);
    assert_eq!(counts(&|i| i.put(L1 + 8, L2)), [2, 0, 0, 4, 0]);
    assert_eq!(counts(&|i| i.put(L2 + 100 * 8, DATA)), [3, 1, 0, 1, 0]);
    assert_eq!(counts(&|i| i.cut(DATA + CLUSTER + 1)), [2, 0, 1, 0, 0]);
}

#[test]
fn a_file_with_too_many_clusters_is_not_walked() {
    let mut image = Image::new();
    image.put(at::FEATURES, 2);
    let header = image.header();
    let mut scratch = vec![0; (1 << 20) + 1];
    assert!(!fits(&header, &scratch));
    assert!(!walk(&mut image, &header, &mut scratch, &mut |_, _, _| Ok(())).unwrap().complete);
    let plan = plan_resize(&header, &request(SizeRequest::Grow(512)), None, &scratch);
    assert_eq!(plan, Err(ResizeError::QedTooLargeToCheck));
    assert!(fits(&header, &[0; (1 << 20) + 2]));
}

#[test]
fn an_image_that_asks_for_it_is_mended_first() {
    let mut image = Image::new();
    image.put(at::FEATURES, 2).put(L2, 1 << 30).put(L2 + 1000 * 8, 7).put(L1 + 8, DATA + 3).grow();
    let Counts { invalid, shared, leaks, .. } = image.counts();
    assert_eq!((invalid, shared, leaks), (0, 0, 1));
    assert_eq!((image.header().features, image.header().image_size), (0, 2 * DISK));
    assert_eq!(le64(&image.bytes, L2 + 32 * 8), (DATA + CLUSTER) as u64, "good entries stay");
}

#[test]
fn a_repair_changes_entries_and_one_bit() {
    let mut image = Image::new();
    let fine = image.clone();
    let header = image.put(at::FEATURES, 2).put(L2 + 8, 1 << 30).put(L1 + 8, 1).header();
    let found = repair(&mut image, &header, &mut vec![0; SCRATCH_LEN]).unwrap();
    assert_eq!((found.invalid, image.bytes == fine.bytes), (2, true));
}

#[test]
fn an_image_with_shared_clusters_keeps_them_and_its_question() {
    let mut image = Image::new();
    image.put(at::FEATURES, 2).put(L2 + 8, DATA).put(L2 + 16, 1 << 30);
    let before = image.bytes.clone();
    image.grow();
    assert_eq!(image.bytes[64..], before[64..]);
    assert_eq!((image.header().features, image.header().image_size), (2, 2 * DISK));
}

/// Whatever of the writes before a barrier has reached the disk: good entries are there, the old size asks
/// to be checked, the new one need not.
#[test]
fn every_crash_leaves_an_image_that_is_good_or_asks_to_be_checked() {
    let mut before = Image::new();
    before.put(at::FEATURES, 2).put(L2, 1 << 30).put(L2 + 1000 * 8, 7).put(L1 + 8, DATA + 3);
    let mut after = before.clone();
    after.grow();
    let (mut durable, mut states) = (before.bytes.clone(), 0);
    for epoch in after.patches.split(|patch| patch.is_none()) {
        let writes: Vec<_> = epoch.iter().flatten().collect();
        for subset in 0..1_u32 << writes.len() {
            let mut crashed = Image { bytes: durable.clone(), patches: Vec::new() };
            for (_, (at, data)) in writes.iter().enumerate().filter(|(i, _)| subset & 1 << i != 0) {
                crashed.bytes[*at..*at + data.len()].copy_from_slice(data);
            }
            let (header, counts) = (crashed.header(), crashed.counts());
            let old = (header.image_size, header.features) == (DISK, 2);
            let new = (header.image_size, header.features, counts.invalid) == (2 * DISK, 0, 0);
            assert!((old || new) && counts.shared == 0, "{header:?} {counts:?}");
            assert_eq!(le64(&crashed.bytes, L2 + 32 * 8), (DATA + CLUSTER) as u64);
            states += 1;
        }
        for (at, data) in writes {
            durable[*at..*at + data.len()].copy_from_slice(data);
        }
    }
    assert!(states >= 10, "{states}");
    assert_eq!(durable, after.bytes);
}
