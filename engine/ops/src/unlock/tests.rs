//! Vectors of published standards, and a volume that this module's own inverse makes.

use super::slots::{DIGEST, MAX_KEY, master_key};
use super::*;
use crate::testing::{CLUSTER, L1, MemDisk, fresh_qcow2};
use crate::{Format, Layer, Refusal};
use instar_formats::bytes::{put, put_be32};
use instar_formats::luks::{Cipher, HEADER_LEN, Hash};
use instar_formats::qcow2::entry::COPIED;

extern crate std;
use std::vec;

/// A LUKS header with one slot of one round, in the cipher mode `mode`.
fn volume(cipher: &str, mode: &str, hash: &str, key_len: u32) -> [u8; HEADER_LEN] {
    let mut head = [0; HEADER_LEN];
    put(&mut head, 0, b"LUKS\xba\xbe\0\x01");
    put(&mut head, 8, cipher.as_bytes());
    put(&mut head, 40, mode.as_bytes());
    put(&mut head, 72, hash.as_bytes());
    put_be32(&mut head, 104, 4040);
    put_be32(&mut head, 108, key_len);
    put_be32(&mut head, 164, 1);
    for slot in 0..8_u32 {
        let at = 208 + 48 * slot as usize;
        put_be32(&mut head, at, if slot == 3 { 0x00ac_71f3 } else { 0xdead });
        put_be32(&mut head, at + 4, u32::from(slot == 3));
        put_be32(&mut head, at + 40, 8 + 504 * slot);
        put_be32(&mut head, at + 44, 4000);
    }
    head
}

#[test]
fn pbkdf2_of_rfc_6070() {
    let mut out = [0; 20];
    hashes::pbkdf2(Hash::Sha1, b"password", b"salt", 2, &mut out);
    let expected = [
        0xea, 0x6c, 0x01, 0x4d, 0xc7, 0x2d, 0x6f, 0x8c, 0xcd, 0x1e, 0xd9, 0x2a, 0xce, 0x1d, 0x41, 0xf0, 0xd8,
        0xde, 0x89, 0x57,
    ];
    assert_eq!(out, expected);
}

#[test]
fn aes_of_fips_197() {
    let key: [u8; 16] = core::array::from_fn(|i| u8::try_from(i).unwrap_or(0));
    let mut block: [u8; 16] = core::array::from_fn(|i| u8::try_from(i * 0x11).unwrap_or(0));
    blocks::encrypt(Cipher::Aes, &key, &mut block);
    assert_eq!(block[..4], [0x69, 0xc4, 0xe0, 0xd8]);
}

/// The digest of whatever master key the slot comes to is put into the header: then it opens with that
/// passphrase and no other.
#[test]
fn a_volume_opens_with_its_passphrase_only() {
    let cases = [
        ("aes", "xts-plain64", "sha256", 64),
        ("aes", "cbc-essiv:sha256", "sha1", 16),
        ("serpent", "ctr-plain", "ripemd160", 32),
        ("twofish", "ecb-plain64", "sha512", 24),
        ("cast5", "cbc-plain64", "sm3", 16),
    ];
    for (cipher, mode, hash, key_len) in cases {
        let mut scratch = vec![0; 1 << 20];
        let mut disk = MemDisk::new(2_068_480);
        disk.put(0, &volume(cipher, mode, hash, key_len));
        let request = UnlockRequest::default();
        let wrong = Err(ImageError::Password.into());
        assert_eq!(unlock(&mut disk, &request, Some(b"pw"), &mut scratch), wrong, "{cipher} {mode}");
        let header = crate::encryption::luks_header(&mut disk, 0).unwrap();
        let (mut key, mut digest) = ([0; MAX_KEY], [0; DIGEST]);
        let master = &mut key[..header.key_len];
        master_key(&mut disk, (&header, 0), &header.slots[3], b"pw", (master, &mut scratch)).unwrap();
        hashes::pbkdf2(header.hash, master, &header.digest_salt, 1, &mut digest);
        disk.put(112, &digest);
        assert_eq!(unlock(&mut disk, &request, Some(b"pw"), &mut scratch), Ok(Encryption::Luks));
        assert!(scratch.iter().all(|b| *b == 0), "the key material is still there");
        assert_eq!(unlock(&mut disk, &request, Some(b"pw\n"), &mut scratch), wrong, "{cipher} {mode}");
    }
}

#[test]
fn another_encryption_than_expected_is_refused() {
    let mut disk = MemDisk::new(2_068_480);
    disk.put(0, &volume("aes", "xts-plain64", "sha256", 64));
    for expected in [Encryption::None, Encryption::Aes] {
        let request = UnlockRequest { expected: Some(expected), ..UnlockRequest::default() };
        assert_eq!(unlock(&mut disk, &request, None, &mut []), Err(ImageError::ReportsLuks.into()));
    }
    let mut raw = MemDisk::new(4096);
    assert_eq!(unlock(&mut raw, &UnlockRequest::default(), None, &mut []), Ok(Encryption::None));
}

/// One sector of a disk, encrypted as qcow2's own encryption has it: chained from the number of the sector.
fn aes_sector(key: &[u8; 16], number: u64, plain: u8) -> [u8; SECTOR] {
    let (mut sector, mut before) = ([0; SECTOR], [0; 16]);
    before[..8].copy_from_slice(&number.to_le_bytes());
    for block in sector.chunks_exact_mut(16) {
        let mut text = before.map(|byte| byte ^ plain);
        blocks::encrypt(Cipher::Aes, key, &mut text);
        block.copy_from_slice(&text);
        before = text;
    }
    sector
}

#[test]
fn what_an_overlay_must_keep_is_written_where_it_belongs() {
    const DATA: usize = 5 * CLUSTER;
    let mut disk = fresh_qcow2();
    disk.bytes.resize(DATA, 0);
    let key = *b"pw\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let first = (CLUSTER / SECTOR) as u64;
    for number in 0..4 {
        disk.bytes.extend(aes_sector(&key, first + number, 0x40 + u8::try_from(number).unwrap()));
    }
    let mut disk = MemDisk::from(disk.bytes);
    disk.put32(32, 1);
    disk.put64(L1, COPIED | (4 * CLUSTER) as u64);
    disk.put64(4 * CLUSTER + 8, COPIED | DATA as u64);
    let mut below = disk.clone();
    fn layer(file: &mut MemDisk) -> Layer<'_> {
        Layer { file, data_file: None, format: Format::Qcow2 }
    }
    let (start, mut plain, mut scratch) = (CLUSTER as u64, MemDisk::new(0), vec![1; crate::SCRATCH_LEN]);
    let bytes = start + 500..start + 1300;
    let done = reveal(&mut [layer(&mut disk)], &bytes, &mut plain, b"pw", &mut scratch);
    assert_eq!(done, Ok(Encryption::Aes));
    let expected = [vec![0; CLUSTER + 500], vec![0x40; 12], vec![0x41; 512], vec![0x42; 276]].concat();
    assert!(plain.bytes == expected, "not the bytes of the disk");
    assert!(scratch.iter().all(|b| *b == 0), "the disk is still there");
    // The layer behind has another key, and cluster 1.
    disk.put64(4 * CLUSTER + 8, 0);
    let mut plain = MemDisk::new(0);
    let refused = reveal(&mut [layer(&mut disk), layer(&mut below)], &bytes, &mut plain, b"pw", &mut scratch);
    let error = Refusal::EncryptedLayer { offset: start + 500, len: 800 }.into();
    assert_eq!(refused, Err(OpError::Layer { layer: 1, error }));
    assert!(plain.bytes.is_empty(), "it has written before it refused");
}
