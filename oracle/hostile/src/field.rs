//! Every field of an image that somebody may have tampered with, and where it is.

use crate::code::Code;
use crate::image::{follow, get};

/// A field of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name in reports.
    pub name: String,
    /// Byte offset in the file.
    pub at: usize,
    /// Bytes: 1, 2, 4 or 8.
    pub width: usize,
    /// How it is stored.
    pub code: Code,
}

/// Header fields of both versions: name, byte offset, bytes.
const HEADER: &[(&str, usize, usize)] = &[
    ("magic", 0, 4),
    ("version", 4, 4),
    ("backing-offset", 8, 8),
    ("backing-length", 16, 4),
    ("cluster-bits", 20, 4),
    ("size", SIZE, 8),
    ("crypt-method", 32, 4),
    ("l1-size", 36, 4),
    ("l1-offset", L1_OFFSET, 8),
    ("refcount-table-offset", TABLE_OFFSET, 8),
    ("refcount-table-clusters", 56, 4),
    ("snapshot-count", 60, 4),
    ("snapshot-offset", SNAPSHOT_OFFSET, 8),
];
/// What version 3 adds.
const HEADER_3: &[(&str, usize, usize)] = &[
    ("incompatible", 72, 8),
    ("compatible", 80, 8),
    ("autoclear", 88, 8),
    ("refcount-order", 96, 4),
    ("header-length", HEADER_LENGTH, 4),
    ("compression-type", 104, 1),
];
/// An entry of the snapshot table.
const SNAPSHOT: &[(&str, usize, usize)] = &[
    ("snapshot-l1-offset", 0, 8),
    ("snapshot-l1-size", 8, 4),
    ("snapshot-id-length", 12, 2),
    ("snapshot-name-length", 14, 2),
    ("snapshot-state-size", 32, 4),
    ("snapshot-extra-length", 36, 4),
];
/// The data of the bitmaps extension.
const BITMAPS: &[(&str, usize, usize)] = &[
    ("bitmap-count", 0, 4),
    ("bitmap-reserved", 4, 4),
    ("bitmap-directory-length", 8, 8),
    ("bitmap-directory-offset", 16, 8),
];
/// An entry of the bitmap directory.
const BITMAP: &[(&str, usize, usize)] = &[
    ("bitmap-table-offset", 0, 8),
    ("bitmap-table-entries", 8, 4),
    ("bitmap-flags", 12, 4),
    ("bitmap-type", 16, 1),
    ("bitmap-granularity", 17, 1),
    ("bitmap-name-length", 18, 2),
    ("bitmap-extra-length", 20, 4),
];

const SIZE: usize = 24;
const L1_OFFSET: usize = 40;
const TABLE_OFFSET: usize = 48;
const SNAPSHOT_COUNT: usize = 60;
const SNAPSHOT_OFFSET: usize = 64;
const HEADER_LENGTH: usize = 100;
/// Length of a version 2 header: where its extensions begin.
const HEADER_2_LEN: usize = 72;
/// Header extension type: bitmaps.
const BITMAPS_KIND: u64 = 0x2385_2875;
/// Entries looked at in any one table.
const ENTRIES: usize = 3;

/// The fields of the qcow2 image `bytes`.
#[must_use]
pub fn fields(bytes: &[u8]) -> Vec<Field> {
    let mut found = Found { fields: Vec::new() };
    found.all(HEADER, 0);
    let version = get(bytes, 4, 4).unwrap_or(0);
    if version >= 3 {
        found.all(HEADER_3, 0);
    }
    let length = get(bytes, HEADER_LENGTH, 4).and_then(|length| usize::try_from(length).ok());
    let start = if version >= 3 { length.unwrap_or(0) } else { HEADER_2_LEN };
    if let Some(bitmaps) = found.extensions(bytes, start) {
        found.bitmaps(bytes, bitmaps);
    }
    found.tables(bytes);
    found.snapshots(bytes);
    found.fields.retain(|field| field.at + field.width <= bytes.len());
    found.fields
}

struct Found {
    fields: Vec<Field>,
}

impl Found {
    fn one(&mut self, name: impl Into<String>, at: usize, width: usize) {
        self.fields.push(Field { name: name.into(), at, width, code: Code::Big });
    }

    fn all(&mut self, list: &[(&str, usize, usize)], base: usize) {
        list.iter().for_each(|(name, at, width)| self.one(*name, base + at, *width));
    }

    /// Type and length of each header extension; where the data of the bitmaps extension is.
    fn extensions(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        let (mut at, mut bitmaps) = (start, None);
        loop {
            let (kind, len) = (get(bytes, at, 4)?, get(bytes, at + 4, 4)?);
            self.one("extension-type", at, 4);
            self.one("extension-length", at + 4, 4);
            if kind == 0 {
                return bitmaps;
            }
            if kind == BITMAPS_KIND {
                bitmaps = Some(at + 8);
            }
            at += 8 + usize::try_from(len).ok()?.next_multiple_of(8);
        }
    }

    /// Entries of the L1 table, the first and last L2 table, the refcount table and the first block.
    fn tables(&mut self, bytes: &[u8]) {
        let at = |field| get(bytes, field, 8).and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0);
        let (l1, table) = (at(L1_OFFSET), at(TABLE_OFFSET));
        let l1_size = get(bytes, 36, 4).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        let used: Vec<usize> =
            (0..l1_size).map(|i| l1 + 8 * i).filter(|at| follow(bytes, *at).is_some()).collect();
        for (entry, name) in
            used.first().into_iter().zip(["first"]).chain(used.last().into_iter().zip(["last"]))
        {
            self.one(format!("l1-{name}"), *entry, 8);
            self.l2(bytes, follow(bytes, *entry), name);
        }
        self.one("l1-second", l1 + 8, 8);
        self.one("refcount-table-first", table, 8);
        self.one("refcount-table-second", table + 8, 8);
        if let Some(block) = follow(bytes, table) {
            (0..10).for_each(|i| self.one("refcounts", block + 8 * i, 8));
        }
    }

    /// The first entries in use of an L2 table, an empty one, and the last one in use.
    fn l2(&mut self, bytes: &[u8], table: Option<usize>, name: &str) {
        let Some(table) = table else { return };
        let cluster = usize::try_from(crate::image::cluster(bytes)).unwrap_or(0);
        let entries = (0..cluster / 8).map(|i| table + 8 * i);
        let used: Vec<usize> =
            entries.filter(|at| get(bytes, *at, 8).is_some_and(|entry| entry != 0)).collect();
        for at in used.iter().take(ENTRIES).chain(used.last()) {
            self.one(format!("l2-{name}"), *at, 8);
        }
        // Zero and compressed clusters are other kinds of entries.
        let odd =
            used.iter().filter(|at| get(bytes, **at, 8).is_some_and(|e| e & 1 != 0 || e >> 62 & 1 != 0));
        odd.take(ENTRIES).for_each(|at| self.one("l2-odd", *at, 8));
        if let Some(last) = used.last() {
            self.one("l2-empty", last + 8, 8);
        }
    }

    fn snapshots(&mut self, bytes: &[u8]) {
        if get(bytes, SNAPSHOT_COUNT, 4).unwrap_or(0) == 0 {
            return;
        }
        let Some(table) = follow(bytes, SNAPSHOT_OFFSET) else { return };
        self.all(SNAPSHOT, table);
        if let Some(l1) = follow(bytes, table) {
            self.one("snapshot-l1-entry", l1, 8);
            follow(bytes, l1).into_iter().for_each(|l2| self.one("snapshot-l2-entry", l2, 8));
        }
    }

    fn bitmaps(&mut self, bytes: &[u8], extension: usize) {
        self.all(BITMAPS, extension);
        let Some(directory) = follow(bytes, extension + 16) else { return };
        let name = get(bytes, directory + 18, 2).and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
        let second = directory + (24 + name).next_multiple_of(8);
        for entry in [directory, second] {
            self.all(BITMAP, entry);
            let Some(table) = follow(bytes, entry) else { continue };
            self.one("bitmap-table-entry", table, 8);
        }
    }
}
