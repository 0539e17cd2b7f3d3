//! What an image has besides guest data of its own: backing files, a data file, snapshots, bitmaps. JSON on disk.

use serde::{Deserialize, Serialize};

use crate::Write;

/// The name of an external data file, in the directory of its image.
pub const DATA_FILE: &str = "disk.data";

/// The name of the backing file at `depth`, in the directory of the image; 0 is the one that the image names.
pub fn backing_name(depth: usize) -> String {
    format!("base{depth}.img")
}

/// Whether a file of this name in an image's directory belongs to the image.
pub fn is_part(name: &str) -> bool {
    let digits = name.strip_prefix("base").and_then(|rest| rest.strip_suffix(".img"));
    name == DATA_FILE || digits.is_some_and(number) || is_extent(name)
}

/// Whether this is the name of an extent of a VMDK image that was created as `image.vmdk` or `disk.img`.
pub fn is_extent(name: &str) -> bool {
    let one = |head: &str, tail: &str| {
        let middle = name.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
        middle.is_some_and(|middle| middle == "flat" || middle.strip_prefix(['s', 'f']).is_some_and(number))
    };
    one("image-", ".vmdk") || one("disk-", ".img")
}

fn number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The name of the snapshot or bitmap number `index`.
pub fn part_name(letter: char, index: usize) -> String {
    format!("{letter}{index}")
}

/// Which version of qemu-img makes a fixture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MadeBy {
    /// The newest there is.
    #[default]
    Newest,
    /// The oldest there is that can.
    Oldest,
}

impl MadeBy {
    /// Whether it is the newest.
    pub fn is_newest(&self) -> bool {
        *self == Self::Newest
    }
}

/// The disk behind an overlay. Its own layout is the default one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backing {
    /// What it is.
    pub format: BackingFormat,
    /// Length of a raw file, virtual size of any other, in bytes.
    pub size: u64,
    /// Whether the overlay names it from the root; else from the directory of the image.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absolute: bool,
    /// What is in it: data only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Write>,
    /// The disk behind it, if it is not raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backing: Option<Box<Backing>>,
}

/// Formats of backing files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackingFormat {
    /// A raw file.
    Raw,
    /// A qcow2 image.
    Qcow2,
}

impl BackingFormat {
    /// The format's name as `-F` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

impl Backing {
    /// This disk and those behind it, in order.
    pub fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |one| one.backing.as_deref())
    }

    /// Virtual size in bytes: that of a raw file is its length, rounded up to a sector.
    pub fn virtual_size(&self) -> u64 {
        self.size.next_multiple_of(crate::geometry::SECTOR)
    }
}

/// An external data file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Whether it is a raw disk of the same content (`data_file_raw`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
}

/// An internal snapshot. The first one is called `s0`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// How many of the fixture's writes come before it.
    #[serde(default)]
    pub after: usize,
}

/// A persistent bitmap. The first one is called `b0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bitmap {
    /// log2 of the bytes that one bit stands for: 9 to 31.
    pub granularity_bits: u8,
    /// How many of the fixture's writes come before it.
    #[serde(default)]
    pub after: usize,
    /// Whether it records nothing from the moment on in which the fixture is finished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}
