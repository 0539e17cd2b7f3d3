//! What a check finds in images built by hand, what it makes of hostile ones, and what it costs.

// Offsets of hand-built images are small.
#![allow(clippy::arithmetic_side_effects)]

extern crate std;

use super::*;
use crate::testing::{CLUSTER, L1, MemDisk, REFBLOCK, REFTABLE, fresh_qcow2};
use instar_formats::qcow2::Incompatible;
use instar_formats::qcow2::entry::{COPIED, ZERO};
use std::vec::Vec;

fn run(disk: &mut MemDisk, scratch: usize) -> (Result<CheckReport, OpError>, Vec<CheckFinding>) {
    let mut scratch = std::vec![0; scratch];
    let mut findings = Vec::new();
    let report = check(disk, &CheckRequest::default(), &mut scratch, &mut |f| findings.push(f));
    (report, findings)
}

/// A 1 MiB image with an L2 table in cluster 4 and four data clusters after it.
fn populated() -> MemDisk {
    let mut bytes = fresh_qcow2().bytes;
    bytes.resize(9 * CLUSTER, 0);
    let mut disk = MemDisk::from(bytes);
    disk.put64(L1, COPIED | (4 * CLUSTER) as u64);
    for i in 0..4 {
        disk.put64(4 * CLUSTER + 8 * i, COPIED | ((5 + i) * CLUSTER) as u64);
    }
    for cluster in 4..9 {
        disk.put16(REFBLOCK + 2 * cluster, 1);
    }
    disk
}

#[test]
fn a_clean_image_is_clean_and_counted() {
    let (report, findings) = run(&mut populated(), SCRATCH_LEN);
    let report = report.unwrap();
    assert_eq!(findings, []);
    assert_eq!((report.corruptions, report.leaks, report.check_errors), (0, 0, 0));
    assert_eq!((report.total_clusters, report.allocated_clusters, report.fragmented_clusters), (16, 4, 0));
    assert_eq!(report.image_end_offset, 9 * CLUSTER as u64);
}

/// Offset 0 is where guest cluster 0 lies in a data file; a zero cluster without a place has the same bits there.
#[test]
fn a_zero_cluster_without_a_place_is_not_allocated() {
    let mut disk = populated();
    disk.put64(72, Incompatible::DATA_FILE);
    for i in 0..4 {
        disk.put64(4 * CLUSTER + 8 * i, COPIED | (i * CLUSTER) as u64);
    }
    for cluster in 5..9 {
        disk.put16(REFBLOCK + 2 * cluster, 0);
    }
    let (report, findings) = run(&mut disk, SCRATCH_LEN);
    assert_eq!((report.unwrap().allocated_clusters, findings), (4, Vec::new()));
    disk.put64(4 * CLUSTER, COPIED | ZERO);
    let (report, findings) = run(&mut disk, SCRATCH_LEN);
    assert_eq!((report.unwrap().allocated_clusters, findings), (3, Vec::new()));
}

#[test]
fn raw_has_nothing_to_check() {
    assert_eq!(run(&mut MemDisk::new(4096), SCRATCH_LEN).0, Err(Refusal::NoChecks.into()));
}

#[test]
fn each_fault_is_found_by_name() {
    let mut disk = populated();
    disk.put16(REFBLOCK + 2 * 5, 3);
    disk.put16(REFBLOCK + 2 * 6, 0);
    disk.put64(4 * CLUSTER + 8 * 2, 7 * CLUSTER as u64);
    disk.put64(4 * CLUSTER + 8 * 3, COPIED | (8 * CLUSTER) as u64 | 2);
    let (report, findings) = run(&mut disk, SCRATCH_LEN);
    let copied = |cluster: usize, value: u64, refcount| CheckFinding::Copied {
        table: Table::L2,
        index: 0,
        value: value | (cluster * CLUSTER) as u64,
        refcount,
        fixed: false,
    };
    let expected = [
        copied(5, COPIED, 3),
        copied(6, COPIED, 0),
        copied(7, 0, 1),
        CheckFinding::Entry {
            fault: Fault::Reserved,
            table: Table::L2,
            offset: 4 * CLUSTER as u64 + 24,
            value: COPIED | (8 * CLUSTER) as u64 | 2,
            about: [0; 2],
            fixed: false,
        },
        CheckFinding::Leak { cluster: 5, refcount: 3, references: 1, fixed: false },
        CheckFinding::Refcount { cluster: 6, refcount: 0, references: 1, fixed: false },
    ];
    assert_eq!(findings, expected);
    let report = report.unwrap();
    assert_eq!((report.corruptions, report.leaks), (5, 1));
}

/// Several passes must say what one says. The least scratch leaves room for two clusters a pass.
#[test]
fn many_passes_find_what_one_finds() {
    let least = 2 * TABLE + L2 + 2 * LIST + EDIT + 16;
    let mut faulty = populated();
    faulty.put16(REFBLOCK + 2 * 5, 3);
    faulty.put16(REFBLOCK + 2 * 6, 0);
    faulty.put64(4 * CLUSTER + 8 * 2, 7 * CLUSTER as u64);
    faulty.put64(4 * CLUSTER + 8 * 3, COPIED | (2 * CLUSTER) as u64);
    let mut missing = populated();
    missing.put64(REFTABLE, 0);
    let mut far = populated();
    far.put64(4 * CLUSTER, COPIED | 1 << 40);
    for mut disk in [populated(), faulty, missing, far] {
        let (whole, mut findings) = run(&mut disk, SCRATCH_LEN);
        let (parts, mut pieces) = run(&mut disk, least);
        assert_eq!(parts, whole);
        findings.sort_by_key(|f| std::format!("{f:?}"));
        pieces.sort_by_key(|f| std::format!("{f:?}"));
        assert_eq!(pieces, findings);
    }
}

/// The largest L1 table there is, all of it one L2 table: 2 TiB to read, if it were followed.
#[test]
fn a_shared_l2_table_does_not_keep_it_busy() {
    let mut disk = populated();
    disk.bytes.resize(9 * CLUSTER + (32 << 20), 0);
    let mut disk = MemDisk::from(disk.bytes);
    disk.put32(36, 4 << 20);
    disk.put64(40, 9 * CLUSTER as u64);
    for i in 0..4 << 20 {
        disk.put64(9 * CLUSTER + 8 * i, 4 * CLUSTER as u64);
    }
    let (report, _) = run(&mut disk, SCRATCH_LEN);
    let report = report.unwrap();
    assert_eq!(report.check_errors, 1);
    assert!(report.corruptions > 0);
    assert!(disk.reads < 2000, "{} reads", disk.reads);
}

#[test]
fn a_file_of_noise_ends_in_an_answer() {
    let mut seed = 1_u64;
    for round in 0..200 {
        let mut disk = populated();
        for _ in 0..1 + round % 40 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let areas = [0, L1, REFTABLE, REFBLOCK, 4 * CLUSTER];
            let at =
                areas[usize::try_from(seed >> 33).unwrap() % 5] + usize::try_from(seed >> 40).unwrap() % 128;
            disk.bytes[at] = seed.to_be_bytes()[0];
        }
        let _answer = run(&mut disk, SCRATCH_LEN);
        assert!(disk.reads < 5000, "round {round}: {} reads", disk.reads);
    }
}

#[test]
fn tables_are_read_in_large_pieces() {
    let mut disk = populated();
    run(&mut disk, SCRATCH_LEN).0.unwrap();
    assert!(disk.reads <= 10, "{} reads", disk.reads);
}
