//! `info` for people, line by line as `qemu-img` prints it.

use super::bytes::human;
use super::luks::LuksData;
use super::node::{Described, flags, text};
use super::snapshots;
use super::vmdk::VmdkData;
use crate::message::printable;
use crate::version::QemuVersion;
use instar_ops::{Bitmap, Qcow2Info};

/// The text for an image, with the parts that the version asked for has.
pub fn info_text(image: &Described<'_>) -> String {
    let mut out = head(image);
    backing(&mut out, image);
    snapshots::list(&mut out, image);
    if let Some(qcow2) = &image.info.qcow2 {
        out.push_str("Format specific information:\n");
        for (name, value) in specific(qcow2, image) {
            line(&mut out, &format!("    {name}"), &value);
        }
    }
    if let (None, Some(luks)) = (&image.info.qcow2, &image.info.luks) {
        out.push_str("Format specific information:\n");
        out.push_str(
            &LuksData::new(luks, false, image.version >= QemuVersion::DETACHED_HEADER).lines("    "),
        );
    }
    if let Some(vmdk) = &image.info.vmdk {
        out.push_str("Format specific information:\n");
        out.push_str(&VmdkData::new(vmdk, image).lines());
    }
    if image.version >= QemuVersion::CHILDREN {
        file_node(&mut out, image);
    }
    out
}

fn line(out: &mut String, name: &str, value: &str) {
    let gap = if value.starts_with('\n') { "" } else { " " };
    out.push_str(&format!("{name}:{gap}{value}\n"));
}

fn head(image: &Described<'_>) -> String {
    let info = image.info;
    let mut out = String::new();
    line(&mut out, "image", &printable(&image.name.image_text()));
    line(&mut out, "file format", image.driver());
    let size = info.virtual_size;
    line(&mut out, "virtual size", &format!("{} ({size} bytes)", human(size)));
    line(&mut out, "disk size", &human(image.all_disk_size()));
    if info.encrypted {
        line(&mut out, "encrypted", "yes");
    }
    if let Some(size) = info.cluster_size {
        line(&mut out, "cluster_size", &size.to_string());
    }
    if image.dirty() {
        line(&mut out, "cleanly shut down", "no");
    }
    out
}

fn backing(out: &mut String, image: &Described<'_>) {
    let stored = &image.info.backing_file;
    if stored.is_empty() {
        return;
    }
    let full = image.name.resolve(stored);
    let mut value = printable(&text(stored));
    if full.as_slice() != stored.as_slice() {
        value.push_str(&format!(" (actual path: {})", printable(&text(&full))));
    }
    line(out, "backing file", &value);
    if !image.info.backing_format.is_empty() {
        let format = printable(&text(&image.info.backing_format));
        line(out, "backing file format", &format);
    }
}

/// Names and values of what only qcow2 has, in `qemu-img`'s order.
fn specific(info: &Qcow2Info, image: &Described<'_>) -> Vec<(&'static str, String)> {
    let version = image.version;
    let v3 = info.version >= 3;
    let since = |first: QemuVersion| version >= first;
    let compression = if info.zstd { "zstd" } else { "zlib" };
    let bitmaps: Vec<_> = image.bitmaps().collect();
    let data_file =
        info.data_file.as_ref().map(|name| printable(&text(name))).filter(|_| since(QemuVersion::DATA_FILE));
    let raw = data_file.is_some();
    let compat = if v3 { "1.1" } else { "0.10" };
    let lines = [
        ("compat", Some(compat.to_owned())),
        ("compression type", since(QemuVersion::COMPRESSION_TYPE).then(|| compression.to_owned())),
        ("lazy refcounts", v3.then(|| info.lazy_refcounts.to_string())),
        ("bitmaps", (since(QemuVersion::DATA_FILE) && !bitmaps.is_empty()).then(|| bitmap_list(&bitmaps))),
        ("refcount bits", Some(info.refcount_bits.to_string())),
        ("data file", data_file.filter(|name| !name.is_empty())),
        ("data file raw", raw.then(|| info.data_file_raw.to_string())),
        ("encrypt", encrypt(image)),
        ("corrupt", v3.then(|| info.corrupt.to_string())),
        ("extended l2", (v3 && since(QemuVersion::EXTENDED_L2)).then(|| info.extended_l2.to_string())),
    ];
    let present = lines.into_iter();
    present.filter_map(|(n, v)| v.map(|v| (n, v))).collect()
}

/// The value of `encrypt:`, which begins on the next line and ends without a newline.
fn encrypt(image: &Described<'_>) -> Option<String> {
    let detached = image.version >= QemuVersion::DETACHED_HEADER;
    let lines = match &image.info.luks {
        Some(luks) => LuksData::new(luks, true, detached).lines("        "),
        None => image.info.encrypted.then(|| "        format: aes\n".to_owned())?,
    };
    Some(format!("\n{}", lines.trim_end()))
}

/// The value of `bitmaps:`, which begins on the next line and ends without a newline.
fn bitmap_list(bitmaps: &[&Bitmap]) -> String {
    let mut out = String::new();
    for (index, bitmap) in bitmaps.iter().enumerate() {
        out.push_str(&format!("\n        [{index}]:\n            flags:"));
        for (index, flag) in flags(bitmap).iter().enumerate() {
            out.push_str(&format!("\n                [{index}]: {flag}"));
        }
        let name = printable(&text(&bitmap.name));
        out.push_str(&format!("\n            name: {name}"));
        out.push_str(&format!("\n            granularity: {}", bitmap.granularity));
    }
    out
}

fn file_node(out: &mut String, image: &Described<'_>) {
    let (mut indent, mut path) = (String::new(), String::new());
    for (name, size) in image.raw_layers() {
        path.push_str("/file");
        out.push_str(&format!("{indent}Child node '{path}':\n"));
        indent.push_str("    ");
        line(out, &format!("{indent}image"), &printable(&name));
        line(out, &format!("{indent}file format"), "raw");
        line(out, &format!("{indent}virtual size"), &format!("{} ({size} bytes)", human(size)));
        line(out, &format!("{indent}disk size"), &human(image.disk_size));
    }
    for (name, filename, size, disk_size) in image.nodes() {
        out.push_str(&format!("{indent}Child node '{path}/{name}':\n"));
        line(out, &format!("{indent}    filename"), &printable(&filename));
        line(out, &format!("{indent}    protocol type"), "file");
        line(out, &format!("{indent}    file length"), &format!("{} ({size} bytes)", human(size)));
        line(out, &format!("{indent}    disk size"), &human(disk_size));
    }
}
