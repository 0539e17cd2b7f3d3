//! `info --output=json`: QEMU's `ImageInfo` document.

use super::luks::LuksData;
use super::node::{Described, flags, text};
use super::vmdk::VmdkData;
use crate::version::QemuVersion;
use instar_ops::{Qcow2Info, Snapshot};
use serde::Serialize;

const NANOSECONDS: u64 = 1_000_000_000;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Node {
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<Vec<Child>>,
    filename: String,
    format: &'static str,
    virtual_size: u64,
    actual_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backing_filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_backing_filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backing_filename_format: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    snapshots: Vec<SnapshotEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format_specific: Option<Specific>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dirty_flag: Option<bool>,
}

#[derive(Serialize)]
struct Child {
    name: String,
    info: Node,
}

#[derive(Serialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
enum Specific {
    File {},
    Qcow2(Qcow2Data),
    Luks(LuksData),
    Vmdk(VmdkData),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Qcow2Data {
    compat: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression_type: Option<&'static str>,
    refcount_bits: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    lazy_refcounts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    corrupt: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended_l2: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_file_raw: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypt: Option<Encrypt>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bitmaps: Vec<BitmapEntry>,
}

/// How a qcow2 image is encrypted.
#[derive(Serialize)]
#[serde(untagged)]
enum Encrypt {
    Aes { format: &'static str },
    Luks(LuksData),
}

#[derive(Serialize)]
struct BitmapEntry {
    name: String,
    granularity: u64,
    flags: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SnapshotEntry {
    id: String,
    name: String,
    vm_state_size: u64,
    date_sec: u32,
    date_nsec: u32,
    vm_clock_sec: u64,
    vm_clock_nsec: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    icount: Option<u64>,
}

/// The document for an image, in the schema of the version asked for.
pub fn info_json(image: &Described<'_>) -> String {
    super::document(&format_node(image))
}

/// The document for a chain of images, the first one above all others.
pub fn info_json_chain(chain: &[Described<'_>]) -> String {
    super::document(&chain.iter().map(format_node).collect::<Vec<_>>())
}

fn format_node(image: &Described<'_>) -> Node {
    let info = image.info;
    let backing = (!info.backing_file.is_empty()).then_some(&info.backing_file);
    let format = (!info.backing_format.is_empty()).then_some(&info.backing_format);
    Node {
        children: (image.version >= QemuVersion::CHILDREN).then(|| children(image)),
        filename: image.name.image_text(),
        format: image.driver(),
        virtual_size: info.virtual_size,
        actual_size: image.all_disk_size(),
        cluster_size: info.cluster_size,
        encrypted: info.encrypted.then_some(true),
        backing_filename: backing.map(|b| text(b)),
        full_backing_filename: backing.map(|b| text(&image.name.resolve(b))),
        backing_filename_format: format.map(|f| text(f)),
        snapshots: image.snapshots().map(|s| snapshot(s, image.version)).collect(),
        format_specific: specific(image),
        dirty_flag: (!image.is_mixed()).then(|| image.dirty()),
    }
}

fn specific(image: &Described<'_>) -> Option<Specific> {
    let detached = image.version >= QemuVersion::DETACHED_HEADER;
    if let Some(vmdk) = &image.info.vmdk {
        return Some(Specific::Vmdk(VmdkData::new(vmdk, image)));
    }
    match (&image.info.qcow2, &image.info.luks) {
        (Some(info), _) => Some(Specific::Qcow2(qcow2(info, image))),
        (None, Some(luks)) => Some(Specific::Luks(LuksData::new(luks, false, detached))),
        (None, None) => {
            (image.is_file && image.version >= QemuVersion::CHILDREN).then_some(Specific::File {})
        }
    }
}

/// How the image is encrypted, if it is.
fn encrypt(image: &Described<'_>) -> Option<Encrypt> {
    let detached = image.version >= QemuVersion::DETACHED_HEADER;
    match &image.info.luks {
        Some(luks) => Some(Encrypt::Luks(LuksData::new(luks, true, detached))),
        None => image.info.encrypted.then_some(Encrypt::Aes { format: "aes" }),
    }
}

fn children(image: &Described<'_>) -> Vec<Child> {
    let child = |(name, filename, len, size)| Child { name, info: file_node(filename, len, size) };
    let files = image.nodes().into_iter().map(child).collect();
    image.raw_layers().into_iter().rfold(files, |children, (filename, size)| {
        let info = file_node(filename, size, image.disk_size);
        let info = Node { children: Some(children), format: "raw", format_specific: None, ..info };
        vec![Child { name: "file".to_owned(), info }]
    })
}

fn file_node(filename: String, virtual_size: u64, actual_size: u64) -> Node {
    Node {
        children: Some(Vec::new()),
        filename,
        format: "file",
        virtual_size,
        actual_size,
        cluster_size: None,
        encrypted: None,
        backing_filename: None,
        full_backing_filename: None,
        backing_filename_format: None,
        snapshots: Vec::new(),
        format_specific: Some(Specific::File {}),
        dirty_flag: Some(false),
    }
}

fn qcow2(info: &Qcow2Info, image: &Described<'_>) -> Qcow2Data {
    let version = image.version;
    let v3 = info.version >= 3;
    let compression = if info.zstd { "zstd" } else { "zlib" };
    let data_file = info.data_file.as_ref().filter(|_| version >= QemuVersion::DATA_FILE);
    let bitmaps = image.bitmaps().map(|b| BitmapEntry {
        name: text(&b.name),
        granularity: b.granularity,
        flags: flags(b),
    });
    Qcow2Data {
        compat: if v3 { "1.1" } else { "0.10" },
        compression_type: (version >= QemuVersion::COMPRESSION_TYPE).then_some(compression),
        refcount_bits: info.refcount_bits,
        lazy_refcounts: v3.then_some(info.lazy_refcounts),
        corrupt: v3.then_some(info.corrupt),
        extended_l2: (v3 && version >= QemuVersion::EXTENDED_L2).then_some(info.extended_l2),
        data_file: data_file.filter(|name| !name.is_empty()).map(|name| text(name)),
        data_file_raw: data_file.map(|_| info.data_file_raw),
        encrypt: encrypt(image),
        bitmaps: match version >= QemuVersion::DATA_FILE {
            true => bitmaps.collect(),
            false => Vec::new(),
        },
    }
}

fn snapshot(snapshot: &Snapshot, version: QemuVersion) -> SnapshotEntry {
    SnapshotEntry {
        id: text(&snapshot.id),
        name: text(&snapshot.name),
        vm_state_size: snapshot.vm_state_size,
        date_sec: snapshot.date_sec,
        date_nsec: snapshot.date_nsec,
        vm_clock_sec: snapshot.vm_clock_nsec / NANOSECONDS,
        vm_clock_nsec: snapshot.vm_clock_nsec % NANOSECONDS,
        icount: snapshot.icount.filter(|_| version >= QemuVersion::EXTENDED_L2),
    }
}

#[cfg(test)]
mod tests;
