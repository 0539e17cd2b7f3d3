//! Each tweak on a small image of our own, looked at byte by byte.

use std::fs;

use super::super::{Tools, build};
use crate::child::Tool;
use crate::{Fixture, FormatOptions, Maker, Qcow2, Tweak, Write, WriteKind};

const CLUSTER: usize = 512;

/// The file of a one-sector image with these tweaks, and its bytes without them.
fn with(tweaks: &[Tweak]) -> (Vec<u8>, Vec<u8>) {
    let options = Qcow2 { cluster_bits: 9, ..Qcow2::default() };
    let data = Write { kind: WriteKind::Data, pattern: 0x11, offset: 0, len: 100 };
    let plain = Fixture::new(FormatOptions::Qcow2(options), 512);
    let fixture = Fixture { maker: Maker::Own, writes: vec![data], ..plain };
    let dir = tempfile::tempdir().unwrap();
    let none = Tools { qemu_img: Tool::new("none"), qemu_io: Tool::new("none") };
    let plain = fs::read(build(&fixture, dir.path(), &none).unwrap()).unwrap();
    // The same fixture gives the same bytes.
    assert_eq!(fs::read(build(&fixture, dir.path(), &none).unwrap()).unwrap(), plain);
    let path = dir.path().join("plain");
    fs::write(&path, &plain).unwrap();
    super::apply(tweaks, &path).unwrap();
    (fs::read(path).unwrap(), plain)
}

/// Offsets of the bytes that differ, a longer file's surplus left out.
fn changed(one: &[u8], other: &[u8]) -> Vec<usize> {
    one.iter().zip(other).enumerate().filter(|(_, (a, b))| a != b).map(|(place, _)| place).collect()
}

#[test]
fn a_dirty_image_has_its_bit_and_lost_a_refcount() {
    let (tweaked, plain) = with(&[Tweak::Dirty { lost: 1 }, Tweak::Corrupt]);
    assert_eq!(tweaked[79], plain[79] | 0b11);
    let places = changed(&tweaked, &plain);
    assert!(places.len() == 2 && places[0] == 79, "{places:?}");
    assert_eq!((plain[places[1]], tweaked[places[1]]), (1, 0));
}

#[test]
fn feature_bits_are_set_and_nothing_else() {
    let (tweaked, plain) = with(&[Tweak::CompatibleBit { bit: 63 }, Tweak::AutoclearBit { bit: 8 }]);
    assert_eq!(changed(&tweaked, &plain), [80, 94]);
    assert_eq!((tweaked[80], tweaked[94]), (0x80, 1));
}

#[test]
fn an_extension_follows_the_header() {
    let (tweaked, plain) = with(&[Tweak::HeaderExtension { kind: 0x0102_0304, len: 3 }]);
    let at = usize::from(plain[103]);
    assert_eq!(&tweaked[at..at + 11], [1, 2, 3, 4, 0, 0, 0, 3, 0x5a, 0x5b, 0x58]);
    assert_eq!(tweaked[at + 11..CLUSTER], plain[at + 11..CLUSTER]);
    assert_eq!(tweaked[CLUSTER..], plain[CLUSTER..]);
}

#[test]
fn leaks_are_counted_behind_the_end() {
    let (tweaked, plain) = with(&[Tweak::Leak { clusters: 2 }]);
    assert_eq!(tweaked.len(), plain.len() + 2 * CLUSTER);
    // Two 16-bit counts of one.
    let counts = changed(&tweaked, &plain);
    assert_eq!(counts.len(), 2);
    assert_eq!(counts[1] - counts[0], 2);
}

#[test]
fn spare_entries_stop_at_the_cluster() {
    let (tweaked, plain) = with(&[Tweak::SpareL1 { entries: 1000 }]);
    assert_eq!(changed(&tweaked, &plain), [39]);
    assert_eq!((plain[39], tweaked[39]), (1, 64));
}

#[test]
fn trailing_bytes_begin_at_a_cluster() {
    let (tweaked, plain) = with(&[Tweak::ShortTail, Tweak::TrailingBytes { len: 5 }]);
    assert_eq!(tweaked.len(), plain.len() + 5);
    assert_eq!(tweaked[..plain.len()], plain);
    assert!(tweaked[plain.len()..].iter().all(|byte| *byte == super::GARBAGE));
}
