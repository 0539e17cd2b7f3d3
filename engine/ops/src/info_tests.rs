//! Every field that `info` reports, from images built by hand.

extern crate std;

use super::*;
use crate::testing::{CLUSTER, L1, MemDisk, fresh_qcow2};
use std::vec::Vec;

fn run(disk: &mut MemDisk) -> (Result<ImageInfo, OpError>, Vec<InfoItem>) {
    let mut scratch = std::vec![0; SCRATCH_LEN];
    let mut items = Vec::new();
    let image = info(disk, &InfoRequest::default(), &mut scratch, &mut |item| items.push(item));
    (image, items)
}

#[test]
fn a_raw_disk_is_counted_in_sectors() {
    for (len, size) in [(0, 0), (1, 512), (512, 512), (513, 1024)] {
        let (image, items) = run(&mut MemDisk::new(len));
        let image = image.unwrap();
        assert_eq!((image.virtual_size, image.cluster_size, items.len()), (size, None, 0));
    }
}

#[test]
fn flags_come_from_the_feature_words() {
    let mut disk = fresh_qcow2();
    disk.put64(72, Incompatible::DIRTY | Incompatible::CORRUPT | Incompatible::EXTENDED_L2);
    disk.put64(80, COMPATIBLE_LAZY);
    let image = run(&mut disk).0.unwrap();
    let qcow2 = image.qcow2.unwrap();
    assert!(image.dirty && qcow2.corrupt && qcow2.lazy_refcounts && qcow2.extended_l2 && !qcow2.zstd);
    assert_eq!((qcow2.version, qcow2.refcount_bits, image.virtual_size), (3, 16, 1 << 20));
}

#[test]
fn names_come_from_header_and_extensions() {
    let mut disk = fresh_qcow2();
    disk.put64(72, Incompatible::DATA_FILE);
    disk.put64(88, AUTOCLEAR_RAW);
    disk.put64(8, 512);
    disk.put32(16, 8);
    disk.put(512, b"base.img");
    disk.put32(112, BACKING_FORMAT);
    disk.put32(116, 5);
    disk.put(120, b"qcow2");
    disk.put32(128, DATA_FILE);
    disk.put32(132, 3);
    disk.put(136, b"d.r");
    let image = run(&mut disk).0.unwrap();
    assert_eq!((&*image.backing_file, &*image.backing_format), (&b"base.img"[..], &b"qcow2"[..]));
    let qcow2 = image.qcow2.unwrap();
    assert_eq!(qcow2.data_file.as_deref(), Some(&b"d.r"[..]));
    assert!(qcow2.data_file_raw);
}

#[test]
fn tables_need_not_lie_in_the_file() {
    let mut disk = fresh_qcow2();
    disk.put64(40, 1 << 40);
    disk.put64(48, 1 << 41);
    assert!(run(&mut disk).0.is_ok());
}

#[test]
fn encryption_is_refused() {
    let mut disk = fresh_qcow2();
    disk.put32(32, 2);
    assert_eq!(run(&mut disk).0, Err(ImageError::NoCryptoHeader.into()));
}

#[test]
fn snapshots_are_listed_with_what_they_recorded() {
    let mut disk = fresh_qcow2();
    disk.put32(60, 2);
    disk.put64(64, CLUSTER as u64);
    disk.put(CLUSTER + 12, &[0, 1, 0, 3]);
    disk.put32(CLUSTER + 16, 77);
    disk.put32(CLUSTER + 32, 5);
    disk.put32(CLUSTER + 36, 24);
    disk.put64(CLUSTER + 40, 1 << 33);
    disk.put64(CLUSTER + 56, 9);
    disk.put(CLUSTER + 64, b"1one");
    let second = CLUSTER + 72;
    disk.put(second + 12, &[0, 1, 0, 0]);
    disk.put32(second + 32, 5);
    disk.put(second + 40, b"2");
    let (image, items) = run(&mut disk);
    image.unwrap();
    let [InfoItem::Snapshot(a), InfoItem::Snapshot(b)] = &items[..] else { panic!("{items:?}") };
    assert_eq!((&*a.id, &*a.name, a.date_sec), (&b"1"[..], &b"one"[..], 77));
    assert_eq!((a.vm_state_size, a.icount), (1 << 33, Some(9)));
    assert_eq!((&*b.id, &*b.name, b.vm_state_size, b.icount), (&b"2"[..], &b""[..], 5, None));
}

#[test]
fn no_snapshot_is_listed_beside_a_data_file() {
    let mut disk = fresh_qcow2();
    disk.put64(72, 4);
    disk.put32(60, 1);
    let (image, items) = run(&mut disk);
    image.unwrap();
    assert_eq!(items, []);
    // 2,000 bytes of extra data.
    disk.put64(64, disk.len() - 65536);
    disk.put32(usize::try_from(disk.len()).unwrap() - 65536 + 36, 2000);
    let refused = run(&mut disk).0.unwrap_err();
    assert_eq!(refused, ImageError::SnapshotExtra { entry: 0 }.into());
}

/// A bitmap "b" of 64 KiB granularity in a directory where the L1 table was.
fn with_bitmap() -> MemDisk {
    let mut disk = fresh_qcow2();
    disk.put64(88, 1);
    disk.put32(112, instar_formats::qcow2::extension::BITMAPS);
    disk.put32(116, 24);
    disk.put32(120, 1);
    disk.put64(128, 32);
    disk.put64(136, L1 as u64);
    disk.put64(L1, CLUSTER as u64);
    disk.put32(L1 + 8, 1);
    disk.put32(L1 + 12, 3);
    disk.put(L1 + 16, &[1, 16, 0, 1]);
    disk.put(L1 + 24, b"b");
    disk
}

#[test]
fn bitmaps_are_listed() {
    let (image, items) = run(&mut with_bitmap());
    image.unwrap();
    let [InfoItem::Bitmap(b)] = &items[..] else { panic!("{items:?}") };
    assert_eq!((&*b.name, b.granularity, b.in_use, b.auto), (&b"b"[..], 65536, true, true));
}

#[test]
fn bitmaps_that_cannot_be_right_are_refused() {
    type Change<'a> = &'a dyn Fn(&mut MemDisk);
    let changes: [Change; 9] = [
        &|d| d.put32(116, 23),
        &|d| d.put32(120, 0),
        &|d| d.put32(120, 2),
        &|d| d.put64(128, 40),
        &|d| d.put64(136, L1 as u64 + 8),
        &|d| d.put32(L1 + 12, 8),
        &|d| d.put(L1 + 16, &[2]),
        &|d| d.put(L1 + 17, &[32]),
        &|d| d.put32(L1 + 8, 0),
    ];
    for (i, change) in changes.iter().enumerate() {
        let mut disk = with_bitmap();
        change(&mut disk);
        let (image, _) = run(&mut disk);
        assert!(matches!(image, Err(OpError::Image(ImageError::BitmapDirectory { .. }))), "{i}: {image:?}");
    }
    let mut forgotten = with_bitmap();
    forgotten.put64(88, 0);
    assert!(run(&mut forgotten).1.is_empty(), "without the autoclear bit the bitmaps are stale");
}
