//! A memory image against plain bytes.

use super::*;
use oracle_case::seed::SplitMix64;

fn bytes(image: &impl Store) -> Vec<u8> {
    let mut buf = vec![9; to_usize(image.len())];
    image.read(0, &mut buf);
    buf
}

/// One random change, made to an image and to plain bytes.
fn change(rng: &mut SplitMix64, image: &mut Memory, plain: &mut Vec<u8>) {
    let (offset, len) = (rng.below(200_000), rng.below(9_000));
    let end = to_usize(offset + len);
    let grow = |plain: &mut Vec<u8>| plain.resize(plain.len().max(end), 0);
    match rng.below(5) {
        0 | 1 => {
            let data = vec![u8::try_from(rng.below(3)).expect("small"); to_usize(len)];
            if len > 0 {
                grow(plain);
            }
            plain[to_usize(offset)..][..data.len()].copy_from_slice(&data);
            if rng.below(2) == 0 {
                image.write(offset, &data);
            } else {
                image.fill(offset, len, data.first().copied().unwrap_or(0));
            }
        }
        2 => {
            grow(plain);
            plain[to_usize(offset)..end].fill(0);
            image.zero(offset, len, false);
        }
        3 => {
            let (from, to) = (to_usize(offset).min(plain.len()), end.min(plain.len()));
            plain[from..to].fill(0);
            image.zero(offset, len, true);
        }
        _ => {
            plain.resize(to_usize(offset), 0);
            image.set_len(offset);
        }
    }
}

#[test]
fn agrees_with_plain_bytes_and_comes_back() {
    let mut rng = SplitMix64::new(7);
    let mut image = Memory::default();
    for round in 0..60 {
        image.empty();
        let mut plain = Vec::new();
        (0..4).for_each(|_| change(&mut rng, &mut image, &mut plain));
        assert_eq!(bytes(&image), plain, "round {round}");
        image.mark();
        for _ in 0..2 {
            let mut now = plain.clone();
            for _ in 0..4 {
                change(&mut rng, &mut image, &mut now);
                assert_eq!(bytes(&image), now, "round {round}");
                assert_eq!(bytes(&Then(&image)), plain, "round {round}");
            }
            image.rewind();
            assert_eq!(bytes(&image), plain, "round {round}");
        }
    }
}

#[test]
fn parts_are_read_as_the_whole_is() {
    let mut rng = SplitMix64::new(8);
    let (mut image, mut plain) = (Memory::default(), Vec::new());
    (0..6).for_each(|_| change(&mut rng, &mut image, &mut plain));
    for _ in 0..200 {
        let mut buf = vec![9; to_usize(rng.below(70_000))];
        let offset = rng.below(210_000);
        image.read(offset, &mut buf);
        let there = plain.get(to_usize(offset)..).unwrap_or_default();
        let there = &there[..there.len().min(buf.len())];
        assert!(buf.starts_with(there) && are_zeros(&buf[there.len()..]));
    }
}

#[test]
fn what_is_far_away_takes_no_more_than_what_is_near() {
    let mut image = Memory::default();
    image.write((1 << 47) + 5, b"far");
    image.zero(0, 1 << 46, false);
    let mut buf = [9; 8];
    image.read((1 << 47) + 3, &mut buf);
    assert_eq!((&buf, image.used, image.held), (b"\0\0far\0\0\0", 1, 1));
}
