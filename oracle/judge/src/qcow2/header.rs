//! The header of a qcow2 image (qcow2.txt, "Header"), as the fields it consists of. All integers
//! of the format are big-endian.

use super::WalkError;
use crate::sparse::{Range, read_padded};
use std::fs::File;

/// One field of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name in the specification.
    pub name: &'static str,
    /// Offset in bytes.
    pub at: usize,
    /// Length in bytes.
    pub len: usize,
}

const fn field(name: &'static str, at: usize, len: usize) -> Field {
    Field { name, at, len }
}

/// Every field, in order. Those from `incompatible_features` on exist from version 3 on.
pub const FIELDS: &[Field] = &[
    field("magic", 0, 4),
    field("version", 4, 4),
    field("backing_file_offset", 8, 8),
    field("backing_file_size", 16, 4),
    field("cluster_bits", 20, 4),
    field("size", 24, 8),
    field("crypt_method", 32, 4),
    field("l1_size", 36, 4),
    field("l1_table_offset", 40, 8),
    field("refcount_table_offset", 48, 8),
    field("refcount_table_clusters", 56, 4),
    field("nb_snapshots", 60, 4),
    field("snapshots_offset", 64, 8),
    field("incompatible_features", 72, 8),
    field("compatible_features", 80, 8),
    field("autoclear_features", 88, 8),
    field("refcount_order", 96, 4),
    field("header_length", 100, 4),
    field("compression_type", 104, 1),
];

/// "QFI\xfb"
const MAGIC: u64 = 0x5146_49fb;
/// Length of a version 2 header, which does not say so itself.
const V2_LENGTH: u64 = 72;
/// Length of the shortest version 3 header, up to `header_length` itself.
const V3_LENGTH: u64 = 104;
/// Incompatible feature bit 2: clusters live in an external data file.
const DATA_FILE: u64 = 1 << 2;
/// Incompatible feature bit 4: L2 entries have subcluster bitmaps.
const EXTENDED_L2: u64 = 1 << 4;
/// Header extension type of persistent bitmaps.
pub const BITMAPS: u32 = 0x2385_2875;

/// A header extension (qcow2.txt, "Header extensions").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its type.
    pub kind: u32,
    /// Its data, without padding.
    pub data: Vec<u8>,
}

/// A header, with its fields as numbers in the order of [`FIELDS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    values: Vec<u64>,
    /// The extensions, in order, without the end marker.
    pub extensions: Vec<Extension>,
    /// Where the header's own fields end and the extensions begin.
    pub length: u64,
}

impl Header {
    /// Reads the header and its extensions.
    ///
    /// # Errors
    /// [`WalkError`].
    pub fn read(file: &File) -> Result<Self, WalkError> {
        let mut bytes = [0; 112];
        read_padded(file, 0, &mut bytes)?;
        let mut values: Vec<u64> = FIELDS.iter().map(|f| be(&bytes[f.at..f.at + f.len])).collect();
        if values[0] != MAGIC {
            return Err(WalkError::Malformed("no qcow2 magic".into()));
        }
        let v2 = values[1] == 2;
        for (value, field) in values.iter_mut().zip(FIELDS) {
            if v2 && field.at as u64 >= V2_LENGTH {
                // What a version 2 image says without saying it: refcounts of 2^4 bits.
                *value = if field.name == "refcount_order" { 4 } else { 0 };
            }
        }
        let mut header = Self { values, extensions: Vec::new(), length: V2_LENGTH };
        if !v2 {
            header.length = header.get("header_length");
        }
        // What lies behind a short header is the first extension.
        for (value, field) in header.values.iter_mut().zip(FIELDS) {
            if !v2 && (field.at + field.len) as u64 > header.length.max(V3_LENGTH) {
                *value = 0;
            }
        }
        header.validate()?;
        header.extensions = read_extensions(file, header.length, header.cluster_size())?;
        Ok(header)
    }

    fn validate(&self) -> Result<(), WalkError> {
        let bad = |what: &str| Err(WalkError::Malformed(what.into()));
        if !matches!(self.get("version"), 2 | 3) {
            return bad("unknown version");
        }
        if !(9..=21).contains(&self.get("cluster_bits")) {
            return bad("cluster_bits out of range");
        }
        if self.get("refcount_order") > 6 {
            return bad("refcount_order out of range");
        }
        if self.length < V2_LENGTH || self.length > self.cluster_size() {
            return bad("header_length out of range");
        }
        Ok(())
    }

    /// The value of the field with that name, 0 for a name that is none.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let at = FIELDS.iter().position(|f| f.name == name);
        at.and_then(|i| self.values.get(i)).copied().unwrap_or(0)
    }

    /// Cluster size in bytes.
    #[must_use]
    pub fn cluster_size(&self) -> u64 {
        1 << self.get("cluster_bits")
    }

    /// Length of an L2 entry in bytes.
    #[must_use]
    pub fn l2_entry_len(&self) -> u64 {
        if self.get("incompatible_features") & EXTENDED_L2 != 0 { 16 } else { 8 }
    }

    /// Whether guest data lies in another file.
    #[must_use]
    pub fn has_data_file(&self) -> bool {
        self.get("incompatible_features") & DATA_FILE != 0
    }

    /// The data of the first extension of that type, and where in the file it lies.
    #[must_use]
    pub fn extension(&self, kind: u32) -> Option<(&[u8], Range)> {
        /// Bytes of an extension's type and length fields.
        const HEAD: u64 = 8;
        let mut at = self.length;
        for extension in &self.extensions {
            let start = at + HEAD;
            let end = start + extension.data.len() as u64;
            if extension.kind == kind {
                return Some((&extension.data, Range { start, end }));
            }
            at = start + (end - start).next_multiple_of(8);
        }
        None
    }

    /// How many L1 entries a disk of `size` bytes needs.
    #[must_use]
    pub fn l1_needed(&self, size: u64) -> u64 {
        let per_table = self.cluster_size() / self.l2_entry_len();
        size.div_ceil(self.cluster_size()).div_ceil(per_table)
    }

    /// Width of a refcount in bits.
    #[must_use]
    pub fn refcount_bits(&self) -> u64 {
        1 << self.get("refcount_order")
    }

    /// Where the L1 table lies in the file.
    #[must_use]
    pub fn l1_range(&self) -> Range {
        let start = self.get("l1_table_offset");
        Range { start, end: start + 8 * self.get("l1_size") }
    }

    /// Where the refcount table lies in the file.
    #[must_use]
    pub fn refcount_table_range(&self) -> Range {
        let start = self.get("refcount_table_offset");
        let len = self.get("refcount_table_clusters") << self.get("cluster_bits");
        Range { start, end: start + len }
    }
}

fn read_extensions(file: &File, from: u64, limit: u64) -> Result<Vec<Extension>, WalkError> {
    /// Type of the end marker.
    const END: u32 = 0;
    let mut found = Vec::new();
    let mut at = from;
    while at + 8 <= limit {
        let mut head = [0; 8];
        read_padded(file, at, &mut head)?;
        let kind = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let len = be(&head[4..]);
        if kind == END {
            break;
        }
        if at + 8 + len > limit {
            return Err(WalkError::Malformed("a header extension leaves the first cluster".into()));
        }
        let mut data = vec![0; usize::try_from(len).unwrap_or(0)];
        read_padded(file, at + 8, &mut data)?;
        found.push(Extension { kind, data });
        at += 8 + len.next_multiple_of(8);
    }
    Ok(found)
}

/// A big-endian number of up to 8 bytes.
pub(super) fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}
