//! Tests of the sparse-file tools.

use super::*;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

fn file(dir: &tempfile::TempDir, name: &str, len: u64, data: &[(u64, &[u8])]) -> PathBuf {
    let path = dir.path().join(name);
    let file = File::create(&path).unwrap();
    file.set_len(len).unwrap();
    for (at, bytes) in data {
        file.write_all_at(bytes, *at).unwrap();
    }
    path
}

#[test]
fn a_copy_reads_the_same_and_stays_sparse() {
    let dir = tempfile::tempdir().unwrap();
    let from = file(&dir, "a", 1 << 40, &[(5, b"head"), ((1 << 40) - 3, b"end")]);
    let to = dir.path().join("b");
    copy(&from, &to).unwrap();
    assert_eq!(fingerprint(&from).unwrap(), fingerprint(&to).unwrap());
    assert!(diff(&from, &to, 10).unwrap().is_empty());
    let allocated: u64 = segments(&File::open(&to).unwrap()).unwrap().iter().map(|r| r.len()).sum();
    assert!(allocated < 1 << 20, "{allocated} bytes allocated");
}

#[test]
fn a_fingerprint_ignores_holes_but_not_length() {
    let dir = tempfile::tempdir().unwrap();
    let hole = file(&dir, "hole", 100_000, &[(7, b"x")]);
    let zeros = file(&dir, "zeros", 0, &[(0, &[0; 100_000]), (7, b"x")]);
    let longer = file(&dir, "longer", 100_001, &[(7, b"x")]);
    assert_eq!(fingerprint(&hole).unwrap(), fingerprint(&zeros).unwrap());
    assert_ne!(fingerprint(&hole).unwrap(), fingerprint(&longer).unwrap());
}

#[test]
fn a_difference_is_found_exactly_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let a = file(&dir, "a", 1 << 30, &[(CHUNK as u64 - 1, b"ab"), (1 << 29, b"q")]);
    let b = file(&dir, "b", 1 << 20, &[]);
    let at = CHUNK as u64 - 1;
    let expect = vec![Range { start: at, end: at + 2 }, Range { start: 1 << 29, end: (1 << 29) + 1 }];
    assert_eq!(diff(&a, &b, 10).unwrap(), expect);
    assert_eq!(diff(&a, &b, 1).unwrap(), expect[..1]);
}
