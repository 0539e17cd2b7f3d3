//! Headers that make sense, and the ways in which they do not.

use super::*;
use crate::ImageError;
use crate::bytes::{put_le32, put_le64};

/// Five clusters: what `qemu-img create -f qed` makes of 4 MiB.
const FILE: u64 = 5 * 65536;

fn fresh() -> [u8; PARSE_LEN] {
    let mut head = [0; PARSE_LEN];
    head[..4].copy_from_slice(b"QED\0");
    put_le32(&mut head, at::CLUSTER_SIZE, 65536);
    put_le32(&mut head, at::TABLE_SIZE, 4);
    put_le32(&mut head, at::HEADER_SIZE, 1);
    put_le64(&mut head, at::L1_OFFSET, 65536);
    put_le64(&mut head, at::IMAGE_SIZE, 4 << 20);
    head
}

/// What becomes of a fresh header with one change.
fn changed(change: impl Fn(&mut [u8])) -> Result<Header, ImageError> {
    let mut head = fresh();
    change(&mut head);
    Header::parse(&head, FILE)
}

#[test]
fn a_fresh_header() {
    let header = Header::parse(&fresh(), FILE).unwrap();
    assert_eq!((header.table_len, header.entries(), header.l2_coverage()), (1 << 18, 1 << 15, 1 << 31));
    assert_eq!((header.file_end, header.image_size), (FILE, 4 << 20));
    assert!(header.is_size(64 << 40) && !header.is_size((64 << 40) + 512) && !header.is_size(513));
}

#[test]
fn what_qemu_refuses() {
    use ImageError as E;
    let word = |at, value| changed(|head| put_le32(head, at, value));
    let long = |at, value| changed(|head| put_le64(head, at, value));
    assert_eq!(word(0, 0), Err(E::NotQed));
    assert_eq!(long(at::FEATURES, 0x32), Err(E::QedFeatures { bits: 0x30 }));
    for size in [0, 2048, 65537, 1 << 27] {
        assert_eq!(word(at::CLUSTER_SIZE, size), Err(E::QedClusterSize), "{size}");
    }
    for size in [0, 3, 32] {
        assert_eq!(word(at::TABLE_SIZE, size), Err(E::QedTableSize), "{size}");
    }
    assert_eq!(word(at::TABLE_SIZE, 1), Err(E::QedTableOffset), "QEMU opens none with tables of one cluster");
    assert_eq!(word(at::CLUSTER_SIZE, 1 << 26), Err(E::QedImageSize), "more than 2^64 bytes mapped");
    for size in [513, (64 << 40) + 512, u64::MAX] {
        assert_eq!(long(at::IMAGE_SIZE, size), Err(E::QedImageSize), "{size}");
    }
    for offset in [0, 65537, 2 * 65536, 1 << 40, !65535] {
        assert_eq!(long(at::L1_OFFSET, offset), Err(E::QedTableOffset), "{offset}");
    }
    assert_eq!(word(at::HEADER_SIZE, u32::MAX), Err(E::QedTableOffset));
    assert!(word(at::HEADER_SIZE, 0).is_ok() && long(at::COMPATIBLE, 99).is_ok());
}

#[test]
fn a_file_ends_with_a_sector_and_holds_whole_clusters() {
    for (len, end) in
        [(FILE - 512, FILE - 65536), (FILE - 511, FILE), (FILE + 65024, FILE), (FILE + 65025, FILE + 65536)]
    {
        let parsed = Header::parse(&fresh(), len).map(|header| header.file_end);
        assert_eq!(parsed.ok(), (end >= FILE).then_some(end), "{len}");
    }
    assert!(Header::parse(&fresh(), u64::MAX).is_ok());
}

#[test]
fn the_name_of_a_backing_file_lies_in_the_header() {
    let named = |offset, len| {
        changed(|head| {
            put_le64(head, at::FEATURES, features::BACKING_FILE);
            put_le32(head, at::BACKING_OFFSET, offset);
            put_le32(head, at::BACKING_LEN, len);
        })
    };
    assert_eq!(named(65533, 3).map(|header| (header.backing_offset, header.backing_len)), Ok((65533, 3)));
    assert_eq!(named(65533, 4), Err(ImageError::QedBackingOffset));
    assert_eq!(named(u32::MAX, 2), Err(ImageError::QedBackingOffset));
    assert_eq!(named(64, 1024), Err(ImageError::BackingTooLong));
    let silent = changed(|head| put_le32(head, at::BACKING_LEN, u32::MAX));
    assert_eq!(silent.map(|header| header.backing_len), Ok(0), "no feature, no name");
}

#[test]
fn entries_name_clusters_of_the_file() {
    let header = Header::parse(&fresh(), FILE).unwrap();
    assert_eq!(header.cluster(0), Cluster::Unallocated);
    assert_eq!(header.cluster(1), Cluster::Zero);
    assert_eq!(header.cluster(4 * 65536), Cluster::At(4 * 65536));
    for entry in [2, 512, 65536 + 512, FILE, u64::MAX] {
        assert_eq!(header.cluster(entry), Cluster::Invalid, "{entry}");
    }
    assert!(header.is_table(65536) && !header.is_table(2 * 65536) && !header.is_table(!65535));
}
