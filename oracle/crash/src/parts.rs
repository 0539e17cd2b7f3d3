//! Internal snapshots, persistent bitmaps and the LUKS header of an image in memory (qcow2.txt, "Snapshots", "Bitmaps" and
//! "Full disk encryption header pointer").

use crate::format::{Entry, Header, OFFSET};
use crate::image::{Image, to_usize};
use crate::walk::Walk;

/// Header extension type: bitmaps.
const BITMAPS: u64 = 0x2385_2875;
/// Header extension type: where the LUKS header is.
const LUKS_HEADER: u64 = 0x0537_be77;
/// Autoclear feature bit 0: the bitmaps extension is up to date.
const BITMAPS_VALID: u64 = 1;
/// Bytes of an entry of the snapshot table before its extra data, id and name.
const SNAPSHOT: usize = 40;
/// Bytes of an entry of the bitmap directory before its extra data and name.
const BITMAP: usize = 24;
/// Bit 0 of a bitmap's flags: some program works with it, or did when it ended badly.
const IN_USE: u64 = 1;
/// Bit 0 of an entry of a bitmap table that names no cluster: all bits are ones.
const ONES: u64 = 1;
/// Snapshots or bitmaps that are read: a bound for what nonsense may cost.
const MOST: u64 = 1 << 10;

/// An internal snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its table entry, but for where its L1 table is.
    pub about: Vec<u8>,
    /// L2 entries that are not zero, in the order of their tables.
    pub entries: Vec<Entry>,
}

/// A persistent bitmap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    /// Its directory entry, but for where its table is, how long that is, and its flags.
    pub about: Vec<u8>,
    /// Whether it is flagged as in use: nobody trusts its bits then.
    pub in_use: bool,
    /// log2 of the bytes that one bit stands for.
    granularity_bits: u64,
    /// Entries of its table.
    table_entries: u64,
    /// Those that are not zero, by their number.
    table: Vec<(u64, u64)>,
}

/// A run of bits that are set: the first, and one past the last.
pub type Run = (u64, u64);

/// The `N`-byte number at byte `at` of `bytes`.
fn be(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes.get(at..at + len).unwrap_or_default().iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

fn read(image: &Image, offset: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; to_usize(len.min(MOST << 10))];
    image.read(offset, &mut bytes);
    bytes
}

/// The snapshots of `image`. All that they refer to is counted in `walk`.
pub fn snapshots(walk: &mut Walk, image: &Image) -> Vec<Snapshot> {
    let Header { snapshots: count, snapshots_offset: start, .. } = walk.header;
    let (mut at, mut found) = (start, Vec::new());
    if count == 0 || !walk.usable(image, "the snapshot table", start) {
        return found;
    }
    for _ in 0..count.min(MOST) {
        let fixed = read(image, at, SNAPSHOT as u64);
        let (id, name, extra) = (be(&fixed, 12, 2), be(&fixed, 14, 2), be(&fixed, 36, 4));
        let len = SNAPSHOT as u64 + extra + id + name;
        let (mut l1, mut entries) = (Vec::new(), Vec::new());
        walk.tables(image, (be(&fixed, 0, 8), be(&fixed, 8, 4)), &mut l1, &mut entries);
        found.push(Snapshot { about: read(image, at + 8, len - 8), entries });
        at += len.next_multiple_of(8);
    }
    walk.refer(start, at - start);
    found
}

/// The bitmaps of `image`, if it says that what it has is up to date. All that they refer to is counted in `walk`.
pub fn bitmaps(walk: &mut Walk, image: &Image) -> Vec<Bitmap> {
    let mut found = Vec::new();
    let valid = walk.header.autoclear & BITMAPS_VALID != 0;
    let Some(data) = extension(image, &walk.header, BITMAPS).filter(|_| valid) else {
        return found;
    };
    // Number of bitmaps, 4 bytes reserved, size and offset of the directory.
    let (count, len, start) = (be(&data, 0, 4), be(&data, 8, 8), be(&data, 16, 8));
    if !walk.usable(image, "the bitmap directory", start) {
        return found;
    }
    walk.refer(start, len);
    let mut at = start;
    for _ in 0..count.min(MOST) {
        let fixed = read(image, at, BITMAP as u64);
        let (name, extra) = (be(&fixed, 18, 2), be(&fixed, 20, 4));
        let len = (BITMAP as u64 + extra + name).next_multiple_of(8);
        found.push(bitmap(walk, image, &fixed, read(image, at + 16, len - 16)));
        at += len;
    }
    if at - start != len {
        walk.wrong(|| format!("the bitmap directory has {len} bytes, its entries {}", at - start));
    }
    found
}

fn bitmap(walk: &mut Walk, image: &Image, fixed: &[u8], about: Vec<u8>) -> Bitmap {
    let (offset, table_entries) = (be(fixed, 0, 8), be(fixed, 8, 4));
    let mut table = Vec::new();
    if table_entries > 0 && walk.usable(image, "a bitmap table", offset) {
        walk.refer(offset, table_entries * 8);
        image.words(offset, table_entries * 8, |i, word| table.push((i, word)));
    }
    for (_, word) in &table {
        let cluster = word & OFFSET;
        if cluster != 0 && walk.usable(image, "a bitmap's cluster", cluster) {
            walk.refer(cluster, walk.header.cluster());
        }
    }
    let in_use = be(fixed, 12, 4) & IN_USE != 0;
    Bitmap { about, in_use, granularity_bits: be(fixed, 17, 1), table_entries, table }
}

/// Counts the clusters of the LUKS header, if there is one, in `walk`.
pub fn luks_header(walk: &mut Walk, image: &Image) {
    if let Some(data) = extension(image, &walk.header, LUKS_HEADER) {
        walk.refer(be(&data, 0, 8), be(&data, 8, 8));
    }
}

/// The data of an extension (qcow2.txt, "Header extensions").
fn extension(image: &Image, header: &Header, wanted: u64) -> Option<Vec<u8>> {
    let mut at = header.header_len;
    while at > 0 && at + 8 <= header.cluster() {
        let head = read(image, at, 8);
        let len = be(&head, 4, 4);
        match be(&head, 0, 4) {
            0 => return None,
            kind if kind == wanted => return Some(read(image, at + 8, len)),
            _ => at += 8 + len.next_multiple_of(8),
        }
    }
    None
}

impl Bitmap {
    /// Bits for a disk of `size` bytes.
    pub const fn bits(&self, size: u64) -> u64 {
        size.div_ceil(1 << self.granularity_bits)
    }

    /// Whether its table is as long as a disk of `size` bytes needs it.
    pub const fn fits(&self, size: u64, cluster: u64) -> bool {
        self.table_entries == self.bits(size).div_ceil(8).div_ceil(cluster)
    }

    /// Its bits below bit `end` that are set.
    pub fn set(&self, image: &Image, cluster: u64, end: u64) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut note = |from: u64, to: u64| match runs.last_mut() {
            _ if from >= to => {}
            Some((_, last)) if *last == from => *last = to,
            _ => runs.push((from, to)),
        };
        for (number, value) in &self.table {
            let (first, last) = (number * cluster * 8, ((number + 1) * cluster * 8).min(end));
            match value & OFFSET {
                0 if value & ONES != 0 => note(first, last),
                0 => {}
                place => image.words(place, cluster, |i, word| {
                    // Bits stand in bytes, from the least significant one on.
                    let word = word.swap_bytes();
                    for bit in (0..64).filter(|bit| word >> bit & 1 == 1) {
                        let bit = first + i * 64 + bit;
                        note(bit, (bit + 1).min(last));
                    }
                }),
            }
        }
        runs
    }
}
