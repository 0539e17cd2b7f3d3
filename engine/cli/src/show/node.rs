//! What `info` shows of an image: what its metadata says and what the host says.

use crate::image::format_name;
use crate::image_opts::FILE_DRIVER;
use crate::name::ImageName;
use crate::version::QemuVersion;
use instar_ops::{Bitmap, Extent, ImageInfo, InfoItem, Snapshot};
use std::path::PathBuf;

/// Bytes in a sector: the smallest unit of a reported virtual size.
const SECTOR: u64 = 512;

/// An image and everything that is shown of it.
#[derive(Debug)]
pub struct Described<'a> {
    /// What it is called.
    pub name: &'a ImageName,
    /// What its metadata says.
    pub info: &'a ImageInfo,
    /// Its snapshots and bitmaps.
    pub items: &'a [InfoItem],
    /// Length of its file in bytes.
    pub file_len: u64,
    /// Space that its file takes on the host, in bytes.
    pub disk_size: u64,
    /// Path, length and space of each file that the disk is in, if it is in others.
    pub parts: &'a [(PathBuf, u64, u64)],
    /// Length in bytes of each raw layer between the file and the format, from below.
    pub layers: &'a [u64],
    /// Whether it is the file itself, and not a raw image in it.
    pub is_file: bool,
    /// Which version of `qemu-img` to answer like.
    pub version: QemuVersion,
}

impl Described<'_> {
    /// What is above all other nodes: a format, or the file.
    pub const fn driver(&self) -> &'static str {
        if self.is_file { FILE_DRIVER } else { format_name(self.info.format) }
    }

    /// The internal snapshots, in the image's order.
    pub fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.items.iter().filter_map(|item| match item {
            InfoItem::Snapshot(snapshot) => Some(snapshot),
            InfoItem::Bitmap(_) | InfoItem::Extent(_) => None,
        })
    }

    /// The persistent bitmaps, in the image's order.
    pub fn bitmaps(&self) -> impl Iterator<Item = &Bitmap> {
        self.items.iter().filter_map(|item| match item {
            InfoItem::Bitmap(bitmap) => Some(bitmap),
            InfoItem::Snapshot(_) | InfoItem::Extent(_) => None,
        })
    }

    /// The extents, in the order of the disk.
    pub fn extents(&self) -> impl Iterator<Item = &Extent> {
        self.items.iter().filter_map(|item| match item {
            InfoItem::Extent(extent) => Some(extent),
            InfoItem::Snapshot(_) | InfoItem::Bitmap(_) => None,
        })
    }

    /// Space that all of its files take.
    pub fn all_disk_size(&self) -> u64 {
        self.parts.iter().fold(self.disk_size, |sum, (_, _, size)| sum.saturating_add(*size))
    }

    /// The nodes below the format by name, each with path, length in whole sectors and space. QEMU lists the one
    /// that it opened last first.
    pub fn nodes(&self) -> Vec<(String, String, u64, u64)> {
        if self.is_file {
            return Vec::new();
        }
        let whole = |len: u64| len.checked_next_multiple_of(SECTOR).unwrap_or(len);
        let part = |(n, (path, len, size)): (usize, &(PathBuf, u64, u64))| {
            (format!("extents.{n}"), path.to_string_lossy().into_owned(), whole(*len), *size)
        };
        let own = ("file".to_owned(), self.name.text(), self.file_node_size(), self.disk_size);
        self.parts.iter().enumerate().rev().map(part).chain([own]).collect()
    }

    /// The raw layers between the file and the format, from above: spelled out, and with their sizes in bytes.
    pub fn raw_layers(&self) -> Vec<(String, u64)> {
        let whole = |len: &u64| len.checked_next_multiple_of(SECTOR).unwrap_or(*len);
        let mut all: Vec<_> = self.name.raw_layers().zip(self.layers.iter().map(whole)).collect();
        all.reverse();
        all
    }

    /// Whether it has extents with grains of different sizes: `qemu-img` then says of no flag how it is.
    pub fn is_mixed(&self) -> bool {
        let mut grains = self.extents().map(|extent| extent.cluster_size);
        grains.next().is_some_and(|first| grains.any(|grain| grain != first))
    }

    /// The dirty flag that this version reports.
    pub fn dirty(&self) -> bool {
        self.info.dirty && self.version >= QemuVersion::DIRTY_FLAG
    }

    /// The size of the node below the format: the file's length in whole sectors.
    pub fn file_node_size(&self) -> u64 {
        self.file_len.checked_next_multiple_of(SECTOR).unwrap_or(self.file_len)
    }
}

/// A stored name as text: what is not UTF-8 is replaced.
pub fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// The words for a bitmap's flags.
pub fn flags(bitmap: &Bitmap) -> Vec<&'static str> {
    let words = [(bitmap.in_use, "in-use"), (bitmap.auto, "auto")];
    let set = words.into_iter().filter(|&(set, _)| set);
    set.map(|(_, word)| word).collect()
}
