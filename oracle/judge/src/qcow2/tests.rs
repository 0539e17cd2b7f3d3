//! Tests of the reader on an image written by hand.

use super::*;
use crate::sparse::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const CLUSTER: u64 = 512;

/// 512-byte clusters: header, refcount table, refcount block, L1, L2, data; 1-bit refcounts.
fn image(dir: &tempfile::TempDir) -> PathBuf {
    let path = dir.path().join("image");
    let file = std::fs::File::create(&path).unwrap();
    let put = |at: u64, bytes: &[u8]| file.write_all_at(bytes, at).unwrap();
    put(0, b"QFI\xfb");
    put(4, &3u32.to_be_bytes());
    put(20, &9u32.to_be_bytes());
    put(24, &32768u64.to_be_bytes());
    put(36, &1u32.to_be_bytes());
    put(40, &(3 * CLUSTER).to_be_bytes());
    put(48, &CLUSTER.to_be_bytes());
    put(56, &1u32.to_be_bytes());
    put(100, &104u32.to_be_bytes());
    // An unknown extension of 5 bytes, padded to 8.
    put(104, &[0x12, 0x34, 0x56, 0x78, 0, 0, 0, 5]);
    put(112, b"hello\0\0\0");
    put(CLUSTER, &(2 * CLUSTER).to_be_bytes());
    put(2 * CLUSTER, &[0b0011_1111]);
    put(3 * CLUSTER, &((4 * CLUSTER) | (1 << 63)).to_be_bytes());
    put(4 * CLUSTER + 8, &((5 * CLUSTER) | (1 << 63)).to_be_bytes());
    put(5 * CLUSTER, &[7; 512]);
    path
}

fn problems(path: &std::path::Path) -> Vec<String> {
    audit(&walk(path).unwrap()).iter().map(Problem::field).collect()
}

#[test]
fn a_sound_image_has_no_problem() {
    let dir = tempfile::tempdir().unwrap();
    let layout = walk(&image(&dir)).unwrap();
    assert_eq!(audit(&layout), []);
    let extension = Extension { kind: 0x1234_5678, data: b"hello".into() };
    assert_eq!(layout.header.extensions, [extension]);
    assert_eq!(layout.roles.get(&5), Some(&Role::Data(1)));
    assert_eq!(layout.header.l1_needed(32769), 2);
}

#[test]
fn refcounts_below_a_byte_begin_at_its_lowest_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = image(&dir);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0b0101_1111], 2 * CLUSTER).unwrap();
    assert_eq!(problems(&path), ["refcount.data", "leak", "copied.data"]);
}

#[test]
fn a_table_past_the_end_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let path = image(&dir);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&(1u64 << 40).to_be_bytes(), 3 * CLUSTER).unwrap();
    assert!(problems(&path).contains(&"offset.l2".to_string()));
}

#[test]
fn a_compressed_entry_names_whole_sectors() {
    let dir = tempfile::tempdir().unwrap();
    let header = walk(&image(&dir)).unwrap().header;
    // x = 62 - (9 - 8) = 61: one bit above the offset counts additional sectors.
    let entry = Entry { value: (1 << 62) | (1 << 61) | 1000, bitmap: 0 };
    assert_eq!(entry.kind(&header), EntryKind::Compressed(Range { start: 1000, end: 1536 }));
}

#[test]
fn no_magic_is_no_image() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raw");
    std::fs::write(&path, [0; 512]).unwrap();
    assert!(matches!(walk(&path), Err(WalkError::Malformed(_))));
}
