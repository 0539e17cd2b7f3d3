//! Chains of small images built by hand.

extern crate std;

use super::*;
use crate::testing::{CLUSTER, L1, MemDisk, REFTABLE, fresh_qcow2, fresh_qed};
use crate::{Format, ReadAt};
use instar_formats::qcow2::entry::{COMPRESSED, COPIED};
use std::vec::Vec;

/// Where the L2 table and the data clusters of an image lie.
const L2: usize = 4 * CLUSTER;
const DATA: usize = 5 * CLUSTER;

/// An image of 1 MiB with these L2 entries, and `data` from [`DATA`] on.
fn image(entries: &[(usize, u64)], data: &[u8]) -> MemDisk {
    let mut bytes = fresh_qcow2().bytes;
    bytes.resize(DATA, 0);
    bytes.extend(data);
    let mut disk = MemDisk::from(bytes);
    disk.put64(L1, COPIED | L2 as u64);
    for (at, entry) in entries {
        disk.put64(L2 + 8 * at, *entry);
    }
    disk
}

fn raw(len: usize, byte: u8) -> MemDisk {
    MemDisk::from(std::vec![byte; len])
}

fn read(files: &mut [(MemDisk, Format)], offset: u64, len: usize) -> Result<Vec<u8>, OpError> {
    let mut layers: Vec<Layer<'_>> = files
        .iter_mut()
        .map(|(file, format)| Layer { file: file as &mut dyn ReadAt, data_file: None, format: *format })
        .collect();
    let mut scratch = std::vec![0; Chain::SCRATCH_LEN];
    let mut chain = Chain::open(&mut layers, &mut scratch)?;
    let mut out = std::vec![0xee; len];
    match chain.read(offset, &mut out) {
        Ok(()) => Ok(out),
        Err(error) => Err(chain.blame(error)),
    }
}

#[test]
fn the_first_layer_that_has_it() {
    // Cluster 0 is its own, 1 is below, 2 is zeros.
    let entries = [(0, COPIED | DATA as u64), (2, 1)];
    let mut files = [(image(&entries, &[7; CLUSTER]), Format::Qcow2), (raw(1 << 20, 5), Format::Raw)];
    let bytes = read(&mut files, 0, 4 * CLUSTER).unwrap();
    let expected = [[7; CLUSTER], [5; CLUSTER], [0; CLUSTER], [5; CLUSTER]].concat();
    assert!(bytes == expected);
    let part = read(&mut files, CLUSTER as u64 - 3, 6).unwrap();
    assert_eq!(part, [7, 7, 7, 5, 5, 5]);
}

#[test]
fn what_is_shorter_ends_in_zeros_and_hides_what_is_below() {
    let mut short = fresh_qcow2();
    short.put64(24, CLUSTER as u64);
    let mut files = [(fresh_qcow2(), Format::Qcow2), (short, Format::Qcow2), (raw(1 << 20, 5), Format::Raw)];
    assert_eq!(read(&mut files, CLUSTER as u64 - 2, 4).unwrap(), [5, 5, 0, 0]);
    assert_eq!(read(&mut files, (1 << 20) - 1, 3).unwrap(), [0; 3]);
    assert_eq!(read(&mut files, u64::MAX - 3, 3).unwrap(), [0; 3]);
    let mut odd = [(raw(1000, 5), Format::Raw)];
    assert_eq!(read(&mut odd, 998, 4).unwrap(), [5, 5, 0, 0]);
}

#[test]
fn compressed_clusters() {
    // A stored block, as deflate has them (RFC 1951, section 3.2.4): last, 65535 bytes at most.
    let mut stored = std::vec![0, 0xff, 0x7f, 0, 0x80];
    stored.extend([9; 0x7fff]);
    stored.extend([1, 1, 0x80, 0xfe, 0x7f]);
    stored.extend([8; 0x8001]);
    let sectors = (stored.len() as u64).div_ceil(512) - 1;
    let entry = COMPRESSED | sectors << 54 | DATA as u64;
    let mut files = [(image(&[(1, entry)], &stored), Format::Qcow2)];
    let around = read(&mut files, (CLUSTER + 0x7ffe) as u64, 3).unwrap();
    assert_eq!(around, [9, 8, 8]);
    assert_eq!(read(&mut files, (2 * CLUSTER - 1) as u64, 2).unwrap(), [8, 0]);
    files[0].0.put(DATA, &[7]);
    let error = read(&mut files, CLUSTER as u64, 1).unwrap_err();
    let broken = Refusal::CompressedCluster { offset: DATA as u64 };
    assert_eq!(error, OpError::Layer { layer: 0, error: broken.into() });
}

#[test]
fn an_error_names_its_layer() {
    let bad = |files: &mut [(MemDisk, Format)], layer| match read(files, 0, 8).unwrap_err() {
        OpError::Layer { layer: found, .. } => assert_eq!(found, layer),
        other => panic!("{other:?}"),
    };
    let good = || (fresh_qcow2(), Format::Qcow2);
    bad(&mut [good(), (raw(CLUSTER, 5), Format::Qcow2)], 1);
    bad(&mut [good(), (image(&[(0, 0x201)], &[]), Format::Qcow2)], 1);
    let mut l1 = fresh_qcow2();
    l1.put64(L1, 0x201);
    bad(&mut [good(), good(), (l1, Format::Qcow2)], 2);
    let mut beside = fresh_qcow2();
    beside.put64(72, 4);
    bad(&mut [(beside, Format::Qcow2)], 0);
    let mut encrypted = image(&[(0, COPIED | DATA as u64)], &[7; CLUSTER]);
    encrypted.put32(32, 2);
    bad(&mut [(encrypted, Format::Qcow2)], 0);
}

#[test]
fn as_many_layers_as_there_may_be() {
    let mut files: Vec<_> = std::iter::repeat_with(|| (fresh_qcow2(), Format::Qcow2)).take(200).collect();
    files[199] = (raw(1 << 20, 5), Format::Raw);
    assert_eq!(read(&mut files, 77, 2).unwrap(), [5, 5]);
    files.push((raw(512, 1), Format::Raw));
    assert!(read(&mut files, 0, 1).is_err());
}

#[test]
fn a_data_file_has_a_cluster_0() {
    let mut image = image(&[(0, COPIED), (3, COPIED | CLUSTER as u64)], &[]);
    image.put64(72, 4);
    image.put64(REFTABLE + 8, 0);
    let mut data = MemDisk::from([[6; CLUSTER], [4; CLUSTER]].concat());
    let mut layers = [Layer { file: &mut image, data_file: Some(&mut data), format: Format::Qcow2 }];
    let mut scratch = std::vec![0; Chain::SCRATCH_LEN];
    let mut chain = Chain::open(&mut layers, &mut scratch).unwrap();
    let mut out = [0; 4];
    for (offset, byte) in [(0, 6), (CLUSTER, 0), (3 * CLUSTER + 5, 4)] {
        chain.read(offset as u64, &mut out).unwrap();
        assert_eq!(out, [byte; 4], "{offset}");
    }
}

/// Each subcluster of an extended entry comes from where its own two bits say.
#[test]
fn subclusters() {
    let (there, zeros) = (0b0101_u64, 0b0010_u64);
    let mut image = image(&[(0, COPIED | DATA as u64), (1, zeros << 32 | there)], &[7; CLUSTER]);
    image.put64(72, 16);
    let mut files = [(image, Format::Qcow2), (raw(1 << 20, 5), Format::Raw)];
    let part = CLUSTER / 32;
    let bytes = read(&mut files, 0, 4 * part).unwrap();
    let firsts: Vec<u8> = bytes.iter().copied().step_by(part).collect();
    assert_eq!(firsts, [7, 0, 7, 5]);
    files[0].0.put64(L2 + 8, 1 << 32 | 1);
    assert!(read(&mut files, 0, 1).is_err(), "both bits");
}

#[test]
fn a_qed_layer_between_others() {
    // Cluster 0 is its own, 1 is below, 2 is zeros; then the L2 table and the data.
    let (l2, data) = (5 * CLUSTER, 9 * CLUSTER);
    let mut bytes = fresh_qed(b"base").bytes;
    bytes.resize(data, 0);
    bytes.extend([7; CLUSTER]);
    for (at, value) in [(CLUSTER, l2), (l2, data), (l2 + 16, 1), (l2 + 24, data + 1)] {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    let files = || [(fresh_qcow2(), Format::Qcow2), (MemDisk::from(bytes.clone()), Format::Qed)];
    let mut files = files().into_iter().chain([(raw(1 << 20, 5), Format::Raw)]).collect::<Vec<_>>();
    let expected = [[7; CLUSTER], [5; CLUSTER], [0; CLUSTER]].concat();
    assert!(read(&mut files, 0, 3 * CLUSTER).unwrap() == expected);
    assert_eq!(read(&mut files, CLUSTER as u64 - 3, 6).unwrap(), [7, 7, 7, 5, 5, 5]);
    assert_eq!(read(&mut files, 4 * CLUSTER as u64, 2).unwrap(), [5, 5]);
    let (entry, offset) = (data as u64 + 1, l2 as u64 + 24);
    let error = LayerError::Image(ImageError::L2Entry { entry, offset });
    assert_eq!(read(&mut files, 3 * CLUSTER as u64, 1), Err(OpError::Layer { layer: 1, error }));
    files[1].0.put(CLUSTER, &[1]);
    let error = LayerError::Image(ImageError::L1Entry { entry: l2 as u64 | 1, index: 0 });
    assert_eq!(read(&mut files, 0, 1), Err(OpError::Layer { layer: 1, error }));
}

/// `crypt_method` ("Header"): where it is, and AES.
const CRYPT_METHOD: usize = 32;
const AES: u32 = 1;

#[test]
fn an_encrypted_layer_is_missed_only_where_it_has_something() {
    // Cluster 0 of the second layer has a place, cluster 1 is zeros, cluster 2 is below.
    let mut sealed = image(&[(0, COPIED | DATA as u64), (1, 1)], &[7; CLUSTER]);
    sealed.put32(CRYPT_METHOD, AES);
    let mut files = [(fresh_qcow2(), Format::Qcow2), (sealed, Format::Qcow2), (raw(1 << 20, 5), Format::Raw)];
    let mut layers: Vec<Layer<'_>> = files
        .iter_mut()
        .map(|(file, format)| Layer { file: file as &mut dyn ReadAt, data_file: None, format: *format })
        .collect();
    let mut scratch = std::vec![0; Chain::SCRATCH_LEN];
    let mut chain = Chain::open(&mut layers, &mut scratch).unwrap();
    let (cluster, mut out) = (CLUSTER as u64, [0xee; 4]);
    chain.admit(cluster..cluster * 3).unwrap();
    chain.read(cluster * 2 - 2, &mut out).unwrap();
    assert_eq!(out, [0, 0, 5, 5]);
    let missed =
        |offset, len| OpError::Layer { layer: 1, error: Refusal::EncryptedLayer { offset, len }.into() };
    let error = chain.admit(cluster - 1..cluster * 3).unwrap_err();
    assert_eq!(chain.blame(error), missed(cluster - 1, cluster * 2 + 1));
    chain.failure = None;
    let error = chain.read(0, &mut out).unwrap_err();
    assert_eq!(chain.blame(error), missed(0, 4));
}
