use super::*;
use crate::ImageError;
use crate::bytes::{put, put_be32};

/// A header as `qemu-img create` writes it: AES-256 in XTS mode, one slot in use.
fn sample() -> [u8; HEADER_LEN] {
    let mut head = [0; HEADER_LEN];
    put(&mut head, 0, b"LUKS\xba\xbe\0\x01aes");
    put(&mut head, 40, b"xts-plain64");
    put(&mut head, 72, b"sha256");
    put_be32(&mut head, 104, 4040);
    put_be32(&mut head, 108, 64);
    put_be32(&mut head, 164, 1000);
    for slot in 0..8_u32 {
        let at = 208 + 48 * slot as usize;
        put_be32(&mut head, at, if slot == 0 { 0x00ac_71f3 } else { 0xdead });
        put_be32(&mut head, at + 4, if slot == 0 { 2000 } else { 0 });
        put_be32(&mut head, at + 40, 8 + 504 * slot);
        put_be32(&mut head, at + 44, 4000);
    }
    head
}

#[test]
fn a_header_says_what_it_should() {
    let header = Header::parse(&sample()).unwrap();
    assert_eq!((header.cipher, header.mode, header.ivgen), (Cipher::Aes, Mode::Xts, IvGen::Plain64));
    assert_eq!((header.hash, header.key_len, header.cipher_key_len()), (Hash::Sha256, 64, 32));
    assert_eq!((header.payload_offset, header.slots[1].material), (2_068_480, 262_144));
    assert!(header.slots[0].active && !header.slots[7].active);
    assert_eq!(header.virtual_size(2_068_481), Ok(512));
    assert_eq!(header.virtual_size(2_000_000), Err(ImageError::LuksTooShort));
}

#[test]
fn what_makes_no_sense_is_named() {
    let table: [(usize, &[u8], ImageError); 14] = [
        (0, b"M", ImageError::NotLuks),
        (7, &[2], ImageError::LuksVersion { version: 2 }),
        (8, &[b'x'; 32], ImageError::LuksCipherName),
        (40, &[b'x'; 32], ImageError::LuksModeName),
        (72, &[b'x'; 32], ImageError::LuksHashName),
        (104, &[0, 0, 0, 7], ImageError::LuksPayload),
        (164, &[0; 4], ImageError::LuksRounds),
        (208 + 47, &[1], ImageError::LuksStripes { slot: 0, stripes: 3841 }),
        (208 + 40, &[0, 0, 0, 7], ImageError::LuksSlotOverHeader { slot: 0 }),
        (256, &[0, 0, 0, 0], ImageError::LuksSlotState { slot: 1 }),
        (212, &[0, 0, 0, 0], ImageError::LuksSlotRounds { slot: 0 }),
        (208 + 41, &[1], ImageError::LuksSlotOverPayload { slot: 0 }),
        (256 + 40, &[0, 0, 0, 9], ImageError::LuksSlotsOverlap { first: 0, second: 1 }),
        (108, &[0xff; 4], ImageError::LuksSlotOverPayload { slot: 0 }),
    ];
    for (at, bytes, error) in table {
        let mut head = sample();
        put(&mut head, at, bytes);
        assert_eq!(Header::parse(&head), Err(error), "{bytes:x?} at {at}");
    }
}

#[test]
fn algorithms_have_names_and_numbers() {
    for number in 1..=8 {
        let hash = Hash::from_number(number).unwrap();
        assert_eq!((hash.number(), Hash::parse(hash.name().as_bytes())), (number, Ok(hash)));
    }
    assert_eq!(Hash::from_number(0), None);
    assert_eq!(Cipher::from_number(5), None);
    let mode = algorithm::parse_mode;
    assert_eq!(mode(b"cbc-essiv:md5"), Ok((Mode::Cbc, IvGen::Essiv(Hash::Md5))));
    assert_eq!(mode(b"ctr-plain"), Ok((Mode::Ctr, IvGen::Plain)));
    assert_eq!(mode(b"xts"), Err(ImageError::LuksMode));
    let name = u64::from_be_bytes(*b"benbi\0\0\0");
    assert_eq!(mode(b"cbc-benbi"), Err(ImageError::LuksAlgorithm { name, more: 0 }));
}

#[test]
fn keys_must_fit_their_cipher() {
    for (cipher, mode, len, fine) in [
        ("aes", "xts-plain64", 48, true),
        ("aes", "cbc-plain64", 24, true),
        ("aes", "cbc-plain64", 64, false),
        ("aes", "xts-plain64", 33, false),
        ("cast5", "cbc-plain", 16, true),
        ("cast5", "xts-plain", 32, false),
        ("serpent", "ecb-plain", 0, false),
    ] {
        let mut head = sample();
        put(&mut head, 8, &[0; 32]);
        put(&mut head, 8, cipher.as_bytes());
        put(&mut head, 40, &[0; 32]);
        put(&mut head, 40, mode.as_bytes());
        put_be32(&mut head, 108, len);
        assert_eq!(Header::parse(&head).is_ok(), fine, "{cipher} {mode} {len}");
    }
}
