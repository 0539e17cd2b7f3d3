//! Every refusal of a header, one field at a time.

use super::*;
use crate::bytes::{put_be32, put_be64};

/// A fresh 1 MiB image of 64 KiB clusters as `qemu-img create` of 5.1 and later writes it.
fn fresh() -> [u8; PARSE_LEN] {
    let mut h = [0; PARSE_LEN];
    put_be32(&mut h, 0, MAGIC);
    put_be32(&mut h, 4, 3);
    put_be32(&mut h, 20, 16);
    put_be64(&mut h, at::SIZE, 1 << 20);
    put_be32(&mut h, at::L1_SIZE, 1);
    put_be64(&mut h, at::L1_OFFSET, 0x30000);
    put_be64(&mut h, at::REFCOUNT_TABLE_OFFSET, 0x10000);
    put_be32(&mut h, at::REFCOUNT_TABLE_CLUSTERS, 1);
    put_be32(&mut h, 96, 4);
    put_be32(&mut h, 100, 112);
    h
}

fn with(change: impl FnOnce(&mut [u8; PARSE_LEN])) -> Result<Header, ImageError> {
    let mut h = fresh();
    change(&mut h);
    Header::parse(&h, 0x30008)
}

#[test]
fn a_fresh_header_parses() {
    let h = with(|_| ()).unwrap();
    assert_eq!((h.version, h.virtual_size(), h.l1_entries), (3, 1 << 20, 1));
    assert_eq!(h.geometry.refcounts_per_block(), 32768);
    h.check_against_file(0x30008).unwrap();
}

#[test]
fn each_field_is_refused_by_name() {
    use ImageError as E;
    type Change<'a> = &'a dyn Fn(&mut [u8; PARSE_LEN]);
    let table: [(E, Change); 25] = [
        (E::NotQcow2, &|h| put_be32(h, 0, 1)),
        (E::Version { version: 4 }, &|h| put_be32(h, 4, 4)),
        (E::ClusterSize { bits: 8 }, &|h| put_be32(h, 20, 8)),
        (E::ClusterSize { bits: 22 }, &|h| put_be32(h, 20, 22)),
        (E::HeaderTooShort, &|h| put_be32(h, 100, 103)),
        (E::HeaderTooLong, &|h| put_be32(h, 100, 65537)),
        (E::IncompatibleFeature { bits: 0x40 }, &|h| put_be64(h, 72, 0x40)),
        (E::CompressionBitSet, &|h| put_be64(h, 72, Incompatible::COMPRESSION)),
        (E::CompressionBitClear, &|h| h[104] = 1),
        (E::CompressionType { kind: 7 }, &|h| h[104] = 7),
        (E::RefcountWidth, &|h| put_be32(h, 96, 7)),
        (E::Encryption { method: 3 }, &|h| put_be32(h, 32, 3)),
        (E::NoRefcountTable, &|h| put_be32(h, at::REFCOUNT_TABLE_CLUSTERS, 0)),
        (E::RefcountTableTooLarge, &|h| put_be32(h, at::REFCOUNT_TABLE_CLUSTERS, 129)),
        (E::RefcountTableOffset { offset: 0x10200 }, &|h| put_be64(h, at::REFCOUNT_TABLE_OFFSET, 0x10200)),
        (E::RefcountTableOffset { offset: 0 }, &|h| put_be64(h, at::REFCOUNT_TABLE_OFFSET, 0)),
        (E::L1Offset { offset: 0x30200 }, &|h| put_be64(h, at::L1_OFFSET, 0x30200)),
        (E::L1TooLarge, &|h| put_be32(h, at::L1_SIZE, 4_194_305)),
        (E::L1TooSmall, &|h| put_be32(h, at::L1_SIZE, 0)),
        (E::TooBig, &|h| put_be64(h, at::SIZE, 1 << 62)),
        (E::BackingOffset, &|h| put_be64(h, 8, 65537)),
        (E::BackingTooLong, &|h| (put_be64(h, 8, 600), put_be32(h, 16, 1024)).0),
        (E::SnapshotsTooMany { overhanging: 1 }, &|h| put_be32(h, 60, 65537)),
        (E::SnapshotOffset, &|h| (put_be32(h, 60, 1), put_be64(h, 64, 3)).0),
        (E::SnapshotOffset, &|h| put_be64(h, 64, 3)),
    ];
    for (expected, change) in table {
        assert_eq!(with(change).unwrap_err(), expected);
    }
}

#[test]
fn a_size_between_sectors_is_floored() {
    assert_eq!(with(|h| put_be64(h, at::SIZE, 1000)).unwrap().virtual_size(), 512);
}

#[test]
fn tables_must_lie_in_the_file() {
    let h = with(|h| put_be64(h, at::L1_OFFSET, 1 << 40)).unwrap();
    assert_eq!(h.check_against_file(0x30008), Err(ImageError::TablePastEnd { offset: 1 << 40 }));
    let h = with(|h| put_be64(h, at::L1_OFFSET, 0x10000)).unwrap();
    assert_eq!(h.check_against_file(0x30008), Err(ImageError::Overlap { offset: 0x10000 }));
    assert_eq!(
        with(|_| ()).unwrap().check_against_file(0x30000),
        Err(ImageError::TablePastEnd { offset: 0x30000 }),
        "an L1 table that starts at the end of the file is not there"
    );
}

#[test]
fn a_file_shorter_than_its_header_is_refused() {
    assert_eq!(Header::parse(&fresh(), 103), Err(ImageError::HeaderTooShort));
    assert!(Header::parse(&fresh(), 104).is_ok());
}
