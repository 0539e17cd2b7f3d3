//! The faults.

use oracle_judge::qcow2::{BITMAPS, Header, bitmaps};
use std::fs::{File, OpenOptions};
use std::io::{Error, Result};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What is done to an image.
pub type Plant = fn(&Path) -> Result<()>;

/// One planted fault.
pub struct Fault {
    /// The oracle that must catch it.
    pub oracle: &'static str,
    /// The field it must name.
    pub field: &'static str,
    /// The case it is planted in.
    pub case: &'static str,
    /// Shell commands that the stand-in for instar runs first.
    pub script: &'static str,
    /// What is done to the image that it leaves.
    pub image: Option<Plant>,
}

impl Fault {
    /// Its name as a test.
    pub fn name(&self) -> String {
        format!("{}/{}", self.oracle, self.field)
    }

    /// The program without which its oracle looks at nothing, if there is one.
    pub fn needs(&self) -> Option<&'static str> {
        match self.oracle {
            "7-zip" => Some("7zz"),
            "libyal" if self.case == VMDK => Some("vmdkinfo"),
            "libyal" => Some("vhdiinfo"),
            _ => None,
        }
    }
}

/// A qcow2 image whose L1 table grows: 64 KiB clusters, data at the start and compressed at 1 MiB.
pub const GROW: &str = r#"{"fixture": {"size": 8388608, "format": {"qcow2":
    {"version": 3, "cluster_bits": 16, "refcount_bits": 16}},
    "writes": [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536},
        {"kind": "compressed", "pattern": 34, "offset": 1048576, "len": 65536}]},
    "resizes": [{"size": "3G"}]}"#;
/// A qcow2 image cut between its data.
pub const SHRINK: &str = r#"{"fixture": {"size": 8388608, "format": {"qcow2":
    {"version": 3, "cluster_bits": 16, "refcount_bits": 16}},
    "writes": [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536},
        {"kind": "data", "pattern": 34, "offset": 4194304, "len": 65536}]},
    "resizes": [{"size": "2M", "shrink": true}]}"#;
/// A raw file that grows.
pub const RAW: &str = r#"{"fixture": {"size": 1048576, "format": "raw",
    "writes": [{"kind": "data", "pattern": 17, "offset": 4096, "len": 4096}]},
    "resizes": [{"size": "+1M"}]}"#;
/// An overlay that grows over a longer raw file.
pub const OVERLAY: &str = r#"{"fixture": {"size": 1048576, "format": {"qcow2":
    {"version": 3, "cluster_bits": 16, "refcount_bits": 16}},
    "backing": {"format": "raw", "size": 3145728,
        "writes": [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536},
            {"kind": "data", "pattern": 34, "offset": 2097152, "len": 65536}]}},
    "resizes": [{"size": "4M"}]}"#;
/// A disk whose data lies in a raw file of its own.
pub const DATA_FILE: &str = r#"{"fixture": {"size": 1048576, "format": {"qcow2":
    {"version": 3, "cluster_bits": 16, "refcount_bits": 16}}, "data_file": {"raw": true},
    "writes": [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536}]},
    "resizes": [{"size": "4M"}]}"#;
/// A disk with a snapshot that has a cluster for itself.
pub const SNAPSHOT: &str = r#"{"fixture": {"size": 1048576, "format": {"qcow2":
    {"version": 3, "cluster_bits": 16, "refcount_bits": 16}}, "snapshots": [{"after": 1}],
    "writes": [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536},
        {"kind": "data", "pattern": 34, "offset": 0, "len": 65536}]},
    "resizes": [{"size": "4M"}]}"#;
/// A disk with a bitmap in which one bit is set.
pub const BITMAP: &str = r#"{"fixture": {"size": 1048576, "format": {"qcow2":
    {"version": 3, "cluster_bits": 16, "refcount_bits": 16}}, "bitmaps": [{"granularity_bits": 16}],
    "writes": [{"kind": "data", "pattern": 17, "offset": 131072, "len": 65536}]},
    "resizes": [{"size": "4M"}]}"#;
/// A shrink that must be refused.
const REFUSED: &str = r#"{"fixture": {"size": 1048576, "format": {"qcow2":
    {"version": 3, "cluster_bits": 16, "refcount_bits": 16}}},
    "resizes": [{"size": "512K"}]}"#;

const fn in_image(oracle: &'static str, field: &'static str, case: &'static str, image: Plant) -> Fault {
    Fault { oracle, field, case, script: "", image: Some(image) }
}

const fn in_words(
    oracle: &'static str,
    field: &'static str,
    case: &'static str,
    script: &'static str,
) -> Fault {
    Fault { oracle, field, case, script, image: None }
}

/// Disks of formats that qemu-img does not resize.
pub const VHD: &str = r#"{"fixture": {"size": 4194304, "format": {"vpc": {"creator": "qem2"}},
    "writes": [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536}]},
    "resizes": [{"size": "8M"}]}"#;
const VHDX: &str = r#"{"fixture": {"size": 4194304, "format": {"vhdx": {"block_bits": 20}},
    "writes": [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536}]},
    "resizes": [{"size": "8M"}]}"#;
pub const VMDK: &str = r#"{"fixture": {"size": 4194304, "format": {"vmdk": {"subformat": "monolithicSparse"}},
    "writes": [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536}]},
    "resizes": [{"size": "8M"}]}"#;
/// Resizes of theirs by which only the size is left of a disk.
const NEW_VHD: &str =
    "[ $verb = resize ] && { qemu-img create -q -f vpc -o force_size=on disk.img 8M; exit; }";
const LONG_VHD: &str =
    "[ $verb = resize ] && { qemu-img create -q -f vpc -o force_size=on disk.img 9M; exit; }";
const NEW_VHDX: &str =
    "[ $verb = resize ] && { qemu-img create -q -f vhdx -o block_size=1M disk.img 8M; exit; }";
const NEW_VMDK: &str = "[ $verb = resize ] && { qemu-img create -q -f vmdk disk.img 8M; exit; }";
const LONG_VMDK: &str = "[ $verb = resize ] && { qemu-img create -q -f vmdk disk.img 9M; exit; }";
/// One larger than what 7-Zip is asked to unpack.
const LARGE_VMDK: &str = r#"{"fixture": {"size": 4194304, "format": {"vmdk": {"subformat": "monolithicSparse"}}},
    "resizes": [{"size": "40M"}]}"#;
const LONGER_VMDK: &str = "[ $verb = resize ] && { qemu-img create -q -f vmdk disk.img 41M; exit; }";

const fn in_new(field: &'static str, new: (&'static str, &'static str), image: Plant) -> Fault {
    in_new_for("clean", field, new, image)
}

const fn in_new_for(
    oracle: &'static str,
    field: &'static str,
    (case, script): (&'static str, &'static str),
    image: Plant,
) -> Fault {
    Fault { oracle, field, case, script, image: Some(image) }
}

/// A resize that shrinks without being told that it may.
const CONSENT: &str = r#"[ $verb = resize ] && args="resize --shrink ${args# resize}""#;

/// At least one for every oracle.
pub const FAULTS: &[Fault] = &[
    in_words("outcome", "resize", REFUSED, CONSENT),
    in_words("outcome", "refused-file", REFUSED, "[ $verb = resize ] && echo x >> disk.img"),
    in_words("outcome", "size", GROW, r#"[ $verb = resize ] && args="${args% 3G} 2G""#),
    in_words("outcome", "size", RAW, r#"[ $verb = resize ] && args="${args% +1M} +1000K""#),
    in_words("refusal", "resize", REFUSED, CONSENT),
    in_words("refusal", "stderr", REFUSED, "[ $verb = resize ] && { echo no >&2; exit 1; }"),
    in_words("refusal", "stdout", GROW, r#"[ $verb = resize ] && args="resize -q ${args# resize}""#),
    in_words("refusal", "exit-code", REFUSED, "[ $verb = resize ] && { real; exit 3; }"),
    in_image("engines", "bytes", GROW, |p| xor(p, 0x1_0000 * 9, 1)),
    in_image("untouched", "data", GROW, |p| flip(p, 17)),
    in_image("untouched", "data", RAW, |p| flip(p, 17)),
    in_image("untouched", "compressed-data", GROW, spoil_compressed),
    in_image("untouched", "header.extensions", GROW, |p| xor(p, 0x80, 1)),
    in_image("untouched", "header.compatible_features", GROW, |p| xor(p, 87, 1)),
    in_words("untouched", "kept-footer", VHD, NEW_VHD),
    in_words("untouched", "places", VHD, NEW_VHD),
    in_words("untouched", "kept-item", VHDX, NEW_VHDX),
    in_words("untouched", "kept-descriptor", VMDK, NEW_VMDK),
    in_words("reader", "content", VHD, NEW_VHD),
    in_words("7-zip", "content", VHD, NEW_VHD),
    in_words("7-zip", "content", VHDX, NEW_VHDX),
    in_words("7-zip", "content", VMDK, NEW_VMDK),
    in_words("7-zip", "size", VMDK, LONG_VMDK),
    in_words("7-zip", "size", LARGE_VMDK, LONGER_VMDK),
    // The table begins with an entry past the end.
    in_new_for("7-zip", "open", (VHD, NEW_VHD), |p| put(p, 1536, &[0, 0, 1, 0])),
    in_words("libyal", "size", VHD, LONG_VHD),
    in_words("libyal", "size", VMDK, LONG_VMDK),
    in_words("crates", "content", VHD, NEW_VHD),
    in_words("crates", "content", VHDX, NEW_VHDX),
    in_words("crates", "content", VMDK, NEW_VMDK),
    in_words("crates", "size", VHD, LONG_VHD),
    in_new_for("crates", "read", (VHD, NEW_VHD), |p| put(p, 1536, &[0, 0, 1, 0])),
    in_words("created", "content", VHD, NEW_VHD),
    in_words("created", "virtual-size", VHD, LONG_VHD),
    in_words("outcome", "size", VHD, LONG_VHD),
    in_new("footers", (VHD, NEW_VHD), |p| xor(p, 100, 1)),
    in_new("checksum", (VHD, NEW_VHD), |p| xor(p, 512 + 100, 1)),
    in_new("table-entries", (VHD, NEW_VHD), |p| xor(p, 512 + 31, 1)),
    in_new("past-the-end", (VHD, NEW_VHD), |p| put(p, 1536, &[0, 0, 1, 0])),
    in_new("overlap", (VHD, NEW_VHD), |p| put(p, 1536, &[0, 0, 0, 1])),
    in_new("header", (VHDX, NEW_VHDX), |p| xor(p, (64 << 10) + 100, 1)),
    in_new("region-tables", (VHDX, NEW_VHDX), |p| xor(p, (256 << 10) + 100, 1)),
    in_new("state", (VHDX, NEW_VHDX), |p| put(p, 2 << 20, &[5])),
    in_new("reserved-bits", (VHDX, NEW_VHDX), |p| put(p, 2 << 20, &[8])),
    in_new("past-the-end", (VHDX, NEW_VHDX), |p| put(p, 2 << 20, &[6, 0, 0xff])),
    in_new("tables", (VMDK, NEW_VMDK), |p| put(p, 22 * 512, &[0x80])),
    in_new("table-missing", (VMDK, NEW_VMDK), |p| put(p, 21 * 512, &[0])),
    in_new("capacity", (VMDK, NEW_VMDK), |p| xor(p, 13, 1)),
    in_image("untouched", "l2-entry", GROW, |p| xor(p, l2(p)? + 8, 0xff)),
    in_image("untouched", "l2-beyond", GROW, |p| put(p, l2(p)? + 8 * 200, &1u64.to_be_bytes())),
    in_image("untouched", "l1-entry", GROW, |p| put(p, l1(p)?, &[0; 8])),
    in_image("untouched", "snapshot", SNAPSHOT, |p| flip(p, 17)),
    in_image("companions", "backing", OVERLAY, |p| flip(&p.with_file_name("base0.img"), 17)),
    in_image("companions", "data-file.length", DATA_FILE, |p| open(&data_file(p))?.set_len(2 << 20)),
    in_image("companions", "data-file.content", DATA_FILE, |p| flip(&data_file(p), 17)),
    in_words("companions", "data-file", DATA_FILE, "[ $verb = resize ] && { echo x >> disk.data; exit 1; }"),
    in_image("snapshots", "content", SNAPSHOT, |p| flip(p, 17)),
    in_image("snapshots", "list", SNAPSHOT, |p| put(p, 60, &[0; 4])),
    in_image("bitmaps", "bits", BITMAP, |p| xor(p, first_bits(p)?, 1)),
    in_image("bitmaps", "list", BITMAP, |p| xor(p, bitmaps_extension(p)?, 1)),
    in_image("clean", "refcount.bitmaps", BITMAP, |p| set_refcount(p, first_bits(p)?, 0)),
    in_image("clean", "refcount.l1", GROW, |p| set_refcount(p, l1(p)?, 0)),
    in_image("clean", "refcount.data", GROW, |p| set_refcount(p, data(p)?, 0)),
    in_image("clean", "refcount.header", SHRINK, |p| set_refcount(p, 0, 0)),
    in_image("clean", "leak", SHRINK, |p| set_refcount(p, 100 << 16, 1)),
    in_image("clean", "copied.data", GROW, |p| xor(p, l2(p)?, 0x80)),
    in_image("clean", "header.l1_size", GROW, |p| put(p, 36, &1u32.to_be_bytes())),
    in_image("content", "content", GROW, |p| flip(p, 17)),
    in_image("content", "content", RAW, |p| flip(p, 17)),
    in_image("reader", "content", GROW, |p| flip(p, 17)),
    in_image("reader", "size", GROW, |p| xor(p, 30, 2)),
    in_image("content-parity", "content", GROW, |p| flip(p, 17)),
    in_image("header", "header.l1_size", GROW, |p| xor(p, 39, 0x80)),
    in_image("header", "header.extensions", GROW, |p| xor(p, 0x80, 1)),
    in_image("info", "format-specific.data.lazy-refcounts", GROW, |p| xor(p, 87, 1)),
    // The cluster that the old L1 table was in is free.
    in_image("check", "leaks", GROW, |p| set_refcount(p, 3 << 16, 1)),
    in_image("map", "extents", GROW, |p| put(p, l2(p)? + 8 * 5, &1u64.to_be_bytes())),
    in_words("instar-info", "virtual-size", RAW, "[ $verb = info ] && { real | sed 's/2097152/1/'; exit; }"),
    in_words("instar-info", "answer", RAW, "[ $verb = info ] && exit 1"),
    in_words(
        "instar-check",
        "total-clusters",
        GROW,
        "[ $verb = check ] && { real | sed 's/49152/7/'; exit; }",
    ),
    in_words("instar-check", "exit-code", RAW, "[ $verb = check ] && exit 0"),
    in_image("host-size", "length", GROW, |p| open(p)?.set_len(4 << 20)),
    in_image("host-size", "allocation", RAW, |p| put(p, 65536, &vec![0; 1 << 20])),
    // The corrupt bit: the image can be read and nobody may write to it.
    in_image("writable", "write", GROW, |p| xor(p, 79, 2)),
    in_words("metamorphic", "same-size", GROW, "[ $verb = resize ] && echo x >> disk.img"),
    in_words(
        "fresh-create",
        "header.cluster_bits",
        GROW,
        "[ $verb = create ] && args=$(echo \"$args\" | sed 's/cluster_size=[0-9]*/cluster_size=4096/')",
    ),
    in_words("fresh-create", "bytes", VHD, "[ $verb = create ] && { real; spoil 1536 x; exit; }"),
    // As it is: the regions are not required.
    in_words("fresh-create", "bytes", VHDX, ""),
    in_words("fresh-create", "bytes", VMDK, "[ $verb = create ] && { real; spoil 600 x; exit; }"),
    in_words("fresh-create", "check", GROW, "[ $verb = create ] && { real; spoil 131075 x; exit; }"),
];

/// The data file of an image.
fn data_file(path: &Path) -> PathBuf {
    path.with_file_name("disk.data")
}

/// Where the type of the extension that names the bitmaps stands.
fn bitmaps_extension(path: &Path) -> Result<u64> {
    let header = Header::read(&File::open(path)?).map_err(Error::other)?;
    let place = header.extension(BITMAPS).map(|(_, data)| data.start - 8);
    place.ok_or_else(|| Error::other("no bitmaps"))
}

/// Where the bits of the first bitmap lie.
fn first_bits(path: &Path) -> Result<u64> {
    let file = File::open(path)?;
    let header = Header::read(&file).map_err(Error::other)?;
    let found = bitmaps(&file, &header)?.and_then(|(found, _)| found.first()?.clusters.first().copied());
    found.map(|cluster| cluster.start).ok_or_else(|| Error::other("no bitmap"))
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn put(path: &Path, at: u64, bytes: &[u8]) -> Result<()> {
    open(path)?.write_all_at(bytes, at)
}

fn xor(path: &Path, at: u64, bits: u8) -> Result<()> {
    let mut byte = [0];
    let _ = open(path)?.read_at(&mut byte, at)?;
    put(path, at, &[byte[0] ^ bits])
}

fn number(path: &Path, at: u64) -> Result<u64> {
    let mut bytes = [0; 8];
    open(path)?.read_exact_at(&mut bytes, at)?;
    Ok(u64::from_be_bytes(bytes))
}

/// The L1 table's place.
fn l1(path: &Path) -> Result<u64> {
    number(path, 40)
}

/// The first L2 table's place.
fn l2(path: &Path) -> Result<u64> {
    Ok(number(path, l1(path)?)? & 0x00ff_ffff_ffff_fe00)
}

/// The first data cluster's place.
fn data(path: &Path) -> Result<u64> {
    Ok(number(path, l2(path)?)? & 0x00ff_ffff_ffff_fe00)
}

/// Sets the 16-bit refcount, in the first block, of the cluster at `offset`.
fn set_refcount(path: &Path, offset: u64, count: u16) -> Result<()> {
    let block = number(path, number(path, 48)?)?;
    put(path, block + offset / 65536 * 2, &count.to_be_bytes())
}

/// Changes the first of the file's bytes that have this value 64 times in a row.
fn flip(path: &Path, value: u8) -> Result<()> {
    let bytes = std::fs::read(path)?;
    let run = |w: &[u8]| w.iter().all(|b| *b == value);
    let at = bytes.windows(64).position(run).ok_or_else(|| Error::other("no such byte"))?;
    put(path, at as u64, &[value ^ 1])
}

/// Changes a byte of the compressed cluster of guest cluster 16.
fn spoil_compressed(path: &Path) -> Result<()> {
    let entry = number(path, l2(path)? + 8 * 16)?;
    xor(path, (entry & 0x003f_ffff_ffff_ffff) + 2, 0xff)
}
