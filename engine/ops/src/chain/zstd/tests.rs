//! Frames of the `zstd` program, frames made by hand, and frames that are none.

extern crate std;

use super::*;
use std::vec::Vec;

/// What the frames of [`FRAMES`] hold: words, runs and noise, enough for every kind of table.
fn content(len: usize) -> Vec<u8> {
    const WORDS: [&[u8]; 10] = [
        b"cluster",
        b"table",
        b"refcount",
        b"zero",
        b"offset",
        b"header",
        b" ",
        b"\n",
        b"bitmap, ",
        b"snapshot ",
    ];
    let (mut state, mut out) = (1_u64, Vec::new());
    while out.len() < len {
        // Knuth's multiplier: any full-period generator would do.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = u32::try_from(state >> 33).unwrap();
        let byte = random.to_le_bytes()[1];
        match random % 10 {
            0..6 => out.extend(WORDS[usize::try_from(random / 16 % 10).unwrap()]),
            6 => out.push(byte),
            7 => out.extend(std::vec![byte; usize::try_from((random >> 16) % 300).unwrap()]),
            _ => out.extend(random.to_le_bytes()),
        }
    }
    out.truncate(len);
    out
}

/// `zstd --no-check` of [`content`], levels 1 and 19.
const FRAMES: [&[u8]; 2] = [include_bytes!("vectors/fast.zst"), include_bytes!("vectors/hard.zst")];
const LEN: usize = 65536;

fn unpacked(bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut out = std::vec![0xaa; len];
    let mut literals = std::vec![0; BLOCK_LEN];
    unpack(bytes, &mut out, &mut literals).map(|()| out)
}

#[test]
fn frames_of_the_real_program() {
    for frame in FRAMES {
        assert!(unpacked(frame, LEN) == Some(content(LEN)));
        // A cluster's packed bytes go on to the end of a sector.
        let longer = [frame, &[0; 511]].concat();
        assert!(unpacked(&longer, LEN) == Some(content(LEN)));
        assert_eq!(unpacked(frame, LEN - 1), None);
        assert_eq!(unpacked(frame, LEN + 1), None);
    }
}

#[test]
fn blocks_that_are_not_compressed() {
    // Single segment, content of 8 bytes: 3 raw ones, then 5 times the same.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 8, 3 << 3, 0, 0, b'a', b'b', b'c', 5 << 3 | 3, 0, 0, b'd'];
    assert_eq!(unpacked(&frame, 8).as_deref(), Some(&b"abcddddd"[..]));
    for len in 0..frame.len() {
        assert_eq!(unpacked(&frame[..len], 8), None, "{len} bytes of it");
    }
}

#[test]
fn any_bytes_come_to_an_end() {
    let mut state = 7_u64;
    let mut good = 0;
    for frame in FRAMES.into_iter().cycle().take(400) {
        let mut bytes = frame.to_vec();
        for _ in 0..2 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let [a, b, c, ..] = state.to_be_bytes();
            let at = usize::from(u16::from_be_bytes([a, b])) % bytes.len();
            // Half of them near the start, where the tables are.
            let at = if c & 1 == 0 { at % 256 } else { at };
            bytes[at] ^= c | 1;
        }
        good += usize::from(unpacked(&bytes, LEN) == Some(content(LEN)));
    }
    assert!(good < 40, "{good} of 400 spoilt frames unpack to the same");
    for len in 0..64 {
        assert_eq!(unpacked(&FRAMES[0][..len * 100], LEN), None);
    }
}
