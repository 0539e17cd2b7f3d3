//! The cases that every version is asked.

use crate::{Case, Resize};
use std::collections::BTreeMap;

/// One byte of each of these is written at the start, in the middle and at the end of a disk.
const PATTERNS: [u8; 3] = [90, 165, 60];
/// Length in bytes of each write, but for raw files that are resized without preallocation.
const WRITE: u64 = 64 << 10;
/// Length in bytes of a write to those.
const RAW_WRITE: u64 = 4 << 10;

const MIB: u64 = 1 << 20;
/// A size that is a multiple of a sector and of nothing else that matters.
const ODD: u64 = 1_000_448;

/// Options of qcow2 images, each departing from the defaults in one way.
const QCOW2: &[&str] = &[
    "",
    "cluster_size=512",
    "cluster_size=4096",
    "cluster_size=1M",
    "cluster_size=2M",
    "compat=0.10",
    "refcount_bits=1",
    "refcount_bits=8",
    "refcount_bits=64",
    "lazy_refcounts=on",
    "cluster_size=128k,extended_l2=on",
    "compression_type=zstd",
    "preallocation=metadata",
];

/// Options that are also tried with every cluster size.
const QCOW2_COMBINED: &[&str] = &[
    "compat=0.10",
    "refcount_bits=1",
    "refcount_bits=64",
    "lazy_refcounts=on",
    "extended_l2=on",
    "preallocation=metadata",
];

/// Options of images that no qemu-img resizes: only their sizes matter.
const FRESH: &[(&str, &str)] = &[
    ("vpc", "subformat=dynamic"),
    ("vpc", "subformat=fixed"),
    ("vpc", "subformat=dynamic,force_size=on"),
    ("vpc", "subformat=fixed,force_size=on"),
    ("vhdx", "subformat=dynamic"),
    ("vhdx", "subformat=fixed"),
    ("vhdx", "subformat=dynamic,block_size=1M"),
    ("vhdx", "subformat=dynamic,block_size=32M,log_size=4M"),
    ("vmdk", "subformat=monolithicSparse"),
    ("vmdk", "subformat=monolithicFlat"),
    ("vmdk", "subformat=twoGbMaxExtentSparse"),
    ("vmdk", "subformat=twoGbMaxExtentFlat"),
    ("vmdk", "subformat=streamOptimized"),
];

/// Sizes of fresh images with data in them.
const FRESH_WRITTEN: [u64; 4] = [MIB, ODD, 16 * MIB, 64 * MIB];
/// Sizes of empty ones: a sector more than a round number, gibibytes, the limits of CHS geometry (127 GiB) and of
/// the format with 32-bit counts (2040 GiB), 4 TiB, and 63 TiB.
const FRESH_EMPTY: [u64; 7] =
    [64 * MIB + 512, 1024 * MIB, 5120 * MIB, 136_365_211_648, 2_190_433_320_960, 4 << 40, 69_269_232_549_888];
/// Fixed images beyond this many bytes are not made: some versions write every byte.
const MAX_FIXED: u64 = 5120 * MIB;
/// No larger VMDK is checked, in bytes.
const MAX_CHECKED: u64 = 4 << 40;
/// A VMDK of 2 GiB extents beyond this many bytes is thousands of files.
const MAX_SPLIT: u64 = 136_365_211_648;

/// Every case, without those that cannot exist.
#[must_use]
pub fn matrix() -> Vec<Case> {
    let mut cases = raw();
    for options in QCOW2 {
        cases.extend(every_resize("qcow2", options));
    }
    for cluster in ["512", "4096", "1M", "2M"] {
        for option in QCOW2_COMBINED {
            cases.extend(some_resizes(&format!("cluster_size={cluster},{option}")));
        }
    }
    cases.extend(shapes());
    cases.extend(FRESH.iter().flat_map(|(format, options)| fresh(format, options)));
    cases.retain(|case| possible(case) && reproducible(case));
    cases
}

/// Whether a case gives the same answer twice: encryption chooses its own parameters, and a check of a VMDK this large
/// takes minutes, so that a deadline decides.
#[must_use]
pub fn reproducible(case: &Case) -> bool {
    case.format != "luks" && !case.has("luks") && !(case.format == "vmdk" && case.start > MAX_CHECKED)
}

fn case(format: &str, options: &str, start: u64, resizes: &[(&str, &[&str])]) -> Case {
    let pairs = options.split(',').filter_map(|option| option.split_once('='));
    let resize = |(size, flags): &(&str, &[&str])| Resize {
        flags: flags.iter().map(ToString::to_string).collect(),
        size: (*size).into(),
    };
    Case {
        format: format.into(),
        options: pairs.map(|(k, v)| (k.to_string(), v.to_string())).collect::<BTreeMap<_, _>>(),
        resizes: resizes.iter().map(resize).collect(),
        setup: Vec::new(),
        start,
        writes: Vec::new(),
    }
}

/// The case with data at the start, near the middle and at the end of its disk.
fn written(case: Case, len: u64) -> Case {
    let middle = case.start / 2 / len * len;
    let places = [0, middle, case.start.saturating_sub(len)];
    let writes = PATTERNS.into_iter().zip(places).map(|(byte, at)| (byte, at, len)).collect();
    Case { writes, ..case }
}

fn raw() -> Vec<Case> {
    const PLAIN: &[(u64, &str, &[&str])] = &[
        (MIB, "67108864", &[]),
        (64 * MIB, "1048576", &["--shrink"]),
        (64 * MIB, "1048576", &[]),
        (MIB, "1048576", &[]),
        (1_000_000, "1500000", &[]),
        (1_000_000, "1500001", &[]),
        (MIB, "+512", &[]),
        (MIB, "-512", &["--shrink"]),
        (MIB, "+1", &[]),
        (MIB, "0", &["--shrink"]),
        (MIB, "2T", &[]),
        (MIB, "-2M", &["--shrink"]),
        (MIB, "9E", &[]),
    ];
    let plain = PLAIN
        .iter()
        .map(|(start, size, flags)| written(case("raw", "", *start, &[(size, flags)]), RAW_WRITE));
    let modes = ["off", "metadata", "falloc", "full"];
    let preallocated = modes.iter().flat_map(|mode| {
        let flag = format!("--preallocation={mode}");
        let grow = case("raw", "", MIB, &[("8388608", &[&flag])]);
        let shrink = case("raw", "", 8 * MIB, &[("1048576", &[&flag, "--shrink"])]);
        [written(grow, WRITE), written(shrink, WRITE)]
    });
    plain.chain(preallocated).collect()
}

/// Every way to resize, on images with these options.
fn every_resize(format: &str, options: &str) -> Vec<Case> {
    const WRITTEN: &[(u64, &str, &[&str])] = &[
        (MIB, "67108864", &[]),
        (64 * MIB, "1073741824", &[]),
        (64 * MIB, "67108864", &[]),
        (64 * MIB, "68157440", &[]),
        (ODD, "1500160", &[]),
        (64 * MIB, "33554432", &[]),
        (64 * MIB, "33554432", &["--shrink"]),
        (64 * MIB, "512", &["--shrink"]),
        (64 * MIB, "0", &["--shrink"]),
        (64 * MIB, "-1M", &["--shrink"]),
        (64 * MIB, "+1", &[]),
        (MIB, "8388608", &["--preallocation=metadata"]),
        (MIB, "8388608", &["--preallocation=falloc"]),
        (MIB, "8388608", &["--preallocation=full"]),
        (8 * MIB, "1048576", &["--preallocation=falloc", "--shrink"]),
    ];
    const EMPTY: &[(u64, &str, &[&str])] = &[
        (MIB, "67108864", &[]),
        (64 * MIB, "33554432", &[]),
        (64 * MIB, "33554432", &["--shrink"]),
        (64 * MIB, "1T", &[]),
        (64 * MIB, "64T", &[]),
        (64 * MIB, "2P", &[]),
        (64 * MIB, "8P", &[]),
        (64 * MIB, "4E", &[]),
    ];
    let one = |(start, size, flags): &(u64, &str, &[&str])| case(format, options, *start, &[(size, flags)]);
    let mut cases: Vec<Case> = WRITTEN.iter().map(|resize| written(one(resize), WRITE)).collect();
    cases.extend(EMPTY.iter().map(one));
    cases.push(chain(options));
    cases
}

/// A large grow, a shrink to less than the start, and a grow again.
fn chain(options: &str) -> Case {
    let resizes: [(&str, &[&str]); 3] = [("1073741824", &[]), ("2097152", &["--shrink"]), ("8388608", &[])];
    written(case("qcow2", options, 4 * MIB, &resizes), WRITE)
}

fn some_resizes(options: &str) -> Vec<Case> {
    let grow = written(case("qcow2", options, MIB, &[("1073741824", &[])]), WRITE);
    let shrink = written(case("qcow2", options, 64 * MIB, &[("33554432", &["--shrink"])]), WRITE);
    vec![grow, shrink, chain(options)]
}

/// Images with more than data: backing files, snapshots, bitmaps, external data files.
fn shapes() -> Vec<Case> {
    const SETUPS: &[&[&str]] = &[
        &["backing:64M"],
        &["backing:8M"],
        &["backing:64M", "snapshot"],
        &["snapshot"],
        &["snapshot", "overwrite"],
        &["bitmap"],
        &["data_file"],
        &["data_file_raw"],
    ];
    const RESIZES: &[(&str, &[&str])] = &[
        ("33554432", &[]),
        ("100663296", &[]),
        ("4194304", &["--shrink"]),
        ("16777216", &[]),
        ("33554432", &["--preallocation=metadata"]),
        ("33554432", &["--preallocation=full"]),
    ];
    let mut cases = Vec::new();
    for options in ["", "compat=0.10"] {
        for setup in SETUPS {
            for resize in RESIZES {
                let setup = setup.iter().map(ToString::to_string).collect();
                let case = Case { setup, ..case("qcow2", options, 16 * MIB, &[*resize]) };
                cases.push(written(case, WRITE));
            }
        }
    }
    cases
}

fn fresh(format: &str, options: &str) -> Vec<Case> {
    let of_size = |size| case(format, options, size, &[]);
    let mut cases: Vec<Case> =
        FRESH_WRITTEN
            .into_iter()
            // Compressed streams are only written once, from start to end.
            .map(|size| {
                if options.contains("streamOptimized") {
                    of_size(size)
                } else {
                    written(of_size(size), WRITE)
                }
            })
            .collect();
    cases.extend(FRESH_EMPTY.into_iter().map(of_size));
    cases.push(case(format, options, 4 * MIB, &[("8388608", &[])]));
    cases
}

/// Whether an image with these options can exist, and be made in reasonable time.
fn possible(case: &Case) -> bool {
    let is = |option: &str, value: &str| case.options.get(option).is_some_and(|v| v == value);
    let v2 = is("compat", "0.10");
    let small = is("cluster_size", "512") || is("cluster_size", "4096");
    let subformat = case.options.get("subformat").map_or("", String::as_str);
    let fixed = subformat == "fixed" || subformat.ends_with("Flat");
    let split = subformat.starts_with("twoGb");
    !(v2 && (case.has("bitmap") || case.has("data_file") || case.has("data_file_raw")))
        // qcow2.txt, "Extended L2 Entries": a subcluster is at least 512 bytes, a cluster has 32.
        && !(is("extended_l2", "on") && small)
        && !(fixed && case.start > MAX_FIXED)
        && !(split && case.start > MAX_SPLIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_many_cases_of_every_format_and_no_two_alike() {
        let cases = matrix();
        assert!(cases.len() >= 400, "{}", cases.len());
        for format in ["raw", "qcow2", "vpc", "vhdx", "vmdk"] {
            assert!(cases.iter().filter(|case| case.format == format).count() >= 20, "{format}");
        }
        let names: BTreeSet<String> = cases.iter().map(Case::name).collect();
        let keys: BTreeSet<String> = cases.iter().map(Case::key).collect();
        assert_eq!((names.len(), keys.len()), (cases.len(), cases.len()));
    }

    #[test]
    fn what_cannot_exist_is_not_asked() {
        let cases = matrix();
        let both = |a: &str, b: &str| cases.iter().any(|c| c.name().contains(a) && c.name().contains(b));
        assert!(both("cluster_size=2M", "extended_l2=on") && !both("cluster_size=512", "extended_l2=on"));
        assert!(both("compat=0.10", "snapshot") && !both("compat=0.10", "bitmap"));
    }
}
