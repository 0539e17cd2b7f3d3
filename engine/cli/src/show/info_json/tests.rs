use super::*;
use crate::name::ImageName;
use instar_ops::{Bitmap, Format, ImageInfo, InfoItem, Name};
use serde_json::{Value, json};
use std::ffi::OsStr;

fn name(text: &str) -> Name {
    Name::from_slice(text.as_bytes()).expect("short")
}

/// Everything that a qcow2 image can have, as a version of `qemu-img` tells it.
fn told_by(version: &str, qcow2_version: u32) -> Value {
    let qcow2 = Qcow2Info {
        version: qcow2_version,
        refcount_bits: 16,
        lazy_refcounts: true,
        corrupt: false,
        extended_l2: false,
        zstd: false,
        data_file: Some(name("data.raw")),
        data_file_raw: true,
    };
    let info = ImageInfo {
        format: Format::Qcow2,
        virtual_size: 1 << 20,
        cluster_size: Some(65536),
        dirty: true,
        encrypted: false,
        backing_file: name("../base.img"),
        backing_format: name("raw"),
        qcow2: Some(qcow2),
        luks: None,
        vmdk: None,
    };
    let bitmap = Bitmap { name: name("b0"), granularity: 65536, in_use: true, auto: true };
    let snapshot = Snapshot {
        id: name("1"),
        name: name("s1"),
        vm_state_size: 0,
        date_sec: 7,
        date_nsec: 8,
        vm_clock_nsec: 3_000_000_009,
        icount: Some(5),
    };
    let image = Described {
        name: &ImageName::new(OsStr::new("d/q.img")).expect("a file name"),
        info: &info,
        items: &[InfoItem::Snapshot(snapshot), InfoItem::Bitmap(bitmap)],
        file_len: 1001,
        disk_size: 4096,
        parts: &[],
        layers: &[],
        is_file: false,
        version: QemuVersion::parse(version).expect("a version"),
    };
    serde_json::from_str(&info_json(&image)).expect("JSON")
}

#[test]
fn the_newest_tells_everything() {
    let file = json!({"filename": "d/q.img", "format": "file", "virtual-size": 1024,
        "actual-size": 4096, "dirty-flag": false, "children": [],
        "format-specific": {"type": "file", "data": {}}});
    let data = json!({"compat": "1.1", "compression-type": "zlib", "refcount-bits": 16,
        "lazy-refcounts": true, "corrupt": false, "extended-l2": false,
        "data-file": "data.raw", "data-file-raw": true,
        "bitmaps": [{"name": "b0", "granularity": 65536, "flags": ["in-use", "auto"]}]});
    let snapshot = json!({"id": "1", "name": "s1", "vm-state-size": 0, "date-sec": 7,
        "date-nsec": 8, "vm-clock-sec": 3, "vm-clock-nsec": 9, "icount": 5});
    let expected = json!({"filename": "d/q.img", "format": "qcow2", "virtual-size": 1048576,
        "actual-size": 4096, "cluster-size": 65536, "dirty-flag": true,
        "backing-filename": "../base.img", "full-backing-filename": "d/../base.img",
        "backing-filename-format": "raw", "snapshots": [snapshot],
        "format-specific": {"type": "qcow2", "data": data},
        "children": [{"name": "file", "info": file}]});
    assert_eq!(told_by("11.1", 3), expected);
}

#[test]
fn older_ones_tell_less() {
    let has = |version, pointer: &str| told_by(version, 3).pointer(pointer).is_some();
    let since = [
        ("/children", "7.2", "8.0"),
        ("/format-specific/data/compression-type", "5.0", "5.1"),
        ("/format-specific/data/extended-l2", "5.1", "5.2"),
        ("/format-specific/data/data-file", "3.1", "4.0"),
        ("/format-specific/data/data-file-raw", "3.1", "4.0"),
        ("/format-specific/data/bitmaps", "3.1", "4.0"),
        ("/snapshots/0/icount", "5.1", "5.2"),
    ];
    for (pointer, before, first) in since {
        assert!(!has(before, pointer), "{pointer} in {before}");
        assert!(has(first, pointer), "{pointer} in {first}");
    }
    assert_eq!(told_by("6.0", 3)["dirty-flag"], false);
    assert_eq!(told_by("6.1", 3)["dirty-flag"], true);
}

#[test]
fn version_two_has_no_features() {
    let data = &told_by("11.1", 2)["format-specific"]["data"];
    assert_eq!(data["compat"], "0.10");
    assert_eq!(data["compression-type"], "zlib");
    for field in ["lazy-refcounts", "corrupt", "extended-l2"] {
        assert_eq!(data.get(field), None, "{field}");
    }
}
