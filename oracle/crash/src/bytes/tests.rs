//! Bytes in their places, and not quite.

use super::*;

#[test]
fn what_is_encrypted_stays_where_it_is() {
    let mut image = Image::default();
    image.write(4096, &[7; 4096]);
    image.write(8192, &[7; 4096]);
    let was = Bytes::Encrypted(Place::Host(4096), 1000, Arc::new(image.clone()));
    let header = Header { cluster_bits: 12, ..Header::default() };
    let is_held = |image: &Image, place| holds(image, place, 4096, &header, Some(&was));
    assert!(is_held(&image, Place::Host(4096)));
    assert!(!is_held(&image, Place::Host(8192)), "the same bytes elsewhere mean something else");
    assert!(!is_held(&image, Place::Zeros));
    image.write(4096 + 1000, &[0]);
    assert!(is_held(&image, Place::Host(4096)), "what is behind the end is nobody's");
    image.write(4096 + 999, &[0]);
    assert!(!is_held(&image, Place::Host(4096)));
}

/// A raw deflate stream of one block that is not compressed (RFC 1951, 3.2.4), in whole sectors.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("short");
    let mut packed = [&[1][..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes].concat();
    packed.resize(packed.len().next_multiple_of(512), 0);
    packed
}

/// The same in two blocks.
fn in_two(bytes: &[u8]) -> Vec<u8> {
    let (one, two) = bytes.split_at(1000);
    let block = |last: u8, bytes: &[u8]| {
        let len = u16::try_from(bytes.len()).expect("short");
        [&[last][..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes].concat()
    };
    let mut packed = [block(0, one), block(1, two)].concat();
    packed.resize(packed.len().next_multiple_of(512), 0);
    packed
}

#[test]
fn what_is_compressed_is_what_a_guest_reads() {
    let header = Header { cluster_bits: 12, ..Header::default() };
    let mut plain = vec![0; 4096];
    plain[..3000].fill(5);
    let mut image = Image::default();
    let mut put = |at: u64, bytes: &[u8]| {
        image.write(at, bytes);
        Place::Compressed(at, at + bytes.len() as u64)
    };
    let (one, other) = (put(0, &stored(&plain)), put(8192, &in_two(&plain)));
    let unpacked = put(16384, &plain);
    let Place::Compressed(raw, _) = unpacked else { panic!("{unpacked:?}") };
    plain[2999] = 6;
    let wrong = put(24576, &in_two(&plain));
    let was = |may_change| {
        let packed =
            Packed::new(read(&image, 0, 4608), &header, Bytes::Runs(3000, vec![(0, 3000, 5)]), may_change);
        Bytes::Compressed(packed)
    };
    let is_held = |place, len, was: &Bytes| holds(&image, place, len, &header, Some(was));
    for place in [one, other, Place::Host(raw)] {
        assert!(is_held(place, 4096, &was(false)), "{place:?}");
    }
    assert!(!is_held(wrong, 4096, &was(false)) && !is_held(Place::Zeros, 4096, &was(false)));
    assert!(is_held(wrong, 2999, &was(false)), "what is behind the end is nobody's");
    assert!(!is_held(unpacked, 4096, &was(true)), "no stream");
    // Of another kind of compression, only the same sectors are good.
    let header = Header { other_packing: true, ..header };
    let was = Bytes::Compressed(Packed::new(
        read(&image, 0, 4608),
        &header,
        Bytes::Runs(3000, vec![(0, 3000, 5)]),
        false,
    ));
    let is_held = |place| holds(&image, place, 4096, &header, Some(&was));
    assert!(is_held(one) && !is_held(other) && !is_held(Place::Host(raw)));
}

#[test]
fn what_a_packed_cluster_holds_behind_the_end_must_not_show() {
    let header = Header { cluster_bits: 12, ..Header::default() };
    let mut image = Image::default();
    image.write(0, &stored(&[5; 4096]));
    let was = Bytes::Compressed(Packed::new(
        read(&image, 0, 4608),
        &header,
        Bytes::Runs(3000, vec![(0, 3000, 5)]),
        false,
    ));
    let place = Place::Compressed(0, 4608);
    assert!(holds(&image, place, 3000, &header, Some(&was)));
    assert!(!holds(&image, place, 4096, &header, Some(&was)), "after a grow, a guest reads it");
}

#[test]
fn runs_are_held_byte_for_byte() {
    let runs = vec![(100, 200, 5), (200, 300, 6), (3000, 3500, 7)];
    let expected = Bytes::Runs(4000, runs);
    let mut image = Image::default();
    for (from, len, byte) in [(100, 100, 5), (200, 100, 6), (3000, 500, 7), (4000, 96, 8)] {
        image.write(4096 + from, &vec![byte; len]);
    }
    let header = Header { cluster_bits: 12, ..Header::default() };
    let (whole, all) = (Place::Host(4096), Place::Subclusters(4096, 0xffff_ffff));
    let is_held = |image: &Image, place, len| holds(image, place, len, &header, Some(&expected));
    assert!(is_held(&image, whole, 4000) && is_held(&image, all, 4000));
    assert!(!is_held(&image, whole, 4096) && !is_held(&image, all, 4096), "zeros behind the end");
    // Subclusters of 128 bytes, the second of which has bytes of two runs.
    assert!(!is_held(&image, Place::Subclusters(4096, !2), 4000));
    assert!(is_held(&image, Place::Subclusters(4096, !(1 << 12)), 4000), "zeros have no place");
    for at in [0, 99, 100, 199, 200, 299, 300, 2999, 3000, 3499, 3500, 3999] {
        let mut wrong = image.clone();
        wrong.write(4096 + at, &[9]);
        assert!(!is_held(&wrong, whole, 4000) && !is_held(&wrong, all, 4000), "byte {at}");
    }
}
