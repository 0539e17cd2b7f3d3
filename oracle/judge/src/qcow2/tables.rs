//! L1 and L2 entries (qcow2.txt, "Cluster mapping") and refcounts ("Refcount management").

use super::header::{Header, be};
use super::walk::Layout;
use crate::sparse::{Range, read_padded};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;

/// Bits 9 to 55 of a table entry: a host offset.
pub(super) const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
/// Bit 63: the refcount of what the entry names is exactly one.
pub const COPIED: u64 = 1 << 63;
/// Bit 62 of an L2 entry: a compressed cluster.
const COMPRESSED: u64 = 1 << 62;

/// An L2 entry that is not all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The first eight bytes.
    pub value: u64,
    /// The subcluster bitmap, 0 where there are none.
    pub bitmap: u64,
}

/// What an L2 entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Nothing: the cluster has no place in the file.
    Unallocated,
    /// A host cluster at this offset.
    Cluster(u64),
    /// Compressed data in this range of bytes, of which the last sector may not be all its own.
    Compressed(Range),
}

impl Entry {
    /// What the entry names, in an image with this header.
    #[must_use]
    pub fn kind(self, header: &Header) -> EntryKind {
        if self.value & COMPRESSED == 0 {
            return match self.value & OFFSET_MASK {
                0 => EntryKind::Unallocated,
                offset => EntryKind::Cluster(offset),
            };
        }
        // Offset in the low x bits, additional 512-byte sectors above them, x = 62 - (bits - 8).
        let x = 62 - (header.get("cluster_bits") - 8);
        let start = self.value & ((1 << x) - 1);
        let sectors = (self.value & !(COPIED | COMPRESSED)) >> x;
        let end = (start & !511) + (sectors + 1) * 512;
        EntryKind::Compressed(Range { start, end })
    }

    /// Whether the COPIED flag is set.
    #[must_use]
    pub fn copied(self) -> bool {
        self.value & COPIED != 0
    }
}

/// Reads a table of big-endian 64-bit entries: index and value of those that are not 0.
pub(super) fn read_table(file: &File, range: Range) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    let mut buf = vec![0; 64 << 10];
    for piece in range.pieces(64 << 10) {
        let part = &mut buf[..piece.len_usize()];
        read_padded(file, piece.start, part)?;
        let first = (piece.start - range.start) / 8;
        let values = part.chunks_exact(8).map(be);
        found.extend((first..).zip(values).filter(|(_, value)| *value != 0));
    }
    Ok(found)
}

/// Reads an L2 table: index and entry of those that are not 0.
pub(super) fn read_l2(file: &File, header: &Header, at: u64) -> io::Result<Vec<(u64, Entry)>> {
    let range = Range { start: at, end: at + header.cluster_size() };
    let words = read_table(file, range)?;
    if header.l2_entry_len() == 8 {
        let entry = |(i, value)| (i, Entry { value, bitmap: 0 });
        return Ok(words.into_iter().map(entry).collect());
    }
    let mut entries: BTreeMap<u64, Entry> = BTreeMap::new();
    for (i, word) in words {
        let entry = entries.entry(i / 2).or_insert(Entry { value: 0, bitmap: 0 });
        if i % 2 == 0 {
            entry.value = word;
        } else {
            entry.bitmap = word;
        }
    }
    Ok(entries.into_iter().collect())
}

/// Reads the refcounts that are not 0 of the clusters that one refcount block covers, into `layout`.
pub(super) fn read_block(file: &File, layout: &mut Layout, index: u64, at: u64) -> io::Result<()> {
    let bits = layout.header.refcount_bits();
    let cluster_size = layout.header.cluster_size();
    let per_block = cluster_size * 8 / bits;
    let range = Range { start: at, end: at + cluster_size };
    let mut buf = vec![0; range.len_usize()];
    read_padded(file, at, &mut buf)?;
    let refcounts = (index * per_block..).zip(0..per_block);
    for (cluster, i) in refcounts {
        let count = refcount_at(&buf, i, bits);
        if count != 0 {
            layout.refcounts.insert(cluster, count);
        }
    }
    Ok(())
}

/// The refcount number `i` of a block. Widths below a byte begin at the least significant bit.
fn refcount_at(block: &[u8], i: u64, bits: u64) -> u64 {
    let at = usize::try_from(i * bits / 8).unwrap_or(usize::MAX);
    if bits < 8 {
        let byte = block.get(at).copied().unwrap_or(0);
        return u64::from(byte) >> (i * bits % 8) & ((1 << bits) - 1);
    }
    let len = usize::try_from(bits / 8).unwrap_or(0);
    block.get(at..at + len).map_or(0, be)
}
