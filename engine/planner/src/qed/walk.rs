//! Following every entry of every table, as `qemu-img check` does.
//!
//! What a hostile image can make of it is bounded: a table that overlaps something named before is not
//! read, so that no more is read than the file has clusters, and a file with more clusters than
//! the buffer has bits is not walked at all.

use crate::{IoError, ReadAt};
use instar_formats::bytes::{index, put_le64};
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qed::{Cluster, Header};

/// Bytes of a table read at a time, for the L1 table and for an L2 table.
const PIECE: usize = 512 << 10;
/// Bytes of an entry.
const ENTRY: usize = 8;
/// Entries are cleared by the sector: what a disk writes whole.
const SECTOR: usize = 512;

/// What a walk found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Whether there was a walk: else the file has more clusters than the buffer has bits.
    pub complete: bool,
    /// Entries for data clusters, right or wrong.
    pub allocated: u64,
    /// Of them, those that do not lie behind their predecessor in the same table.
    pub fragmented: u64,
    /// Entries that name no place in the file.
    pub invalid: u64,
    /// Clusters that were named once more.
    pub shared: u64,
    /// Clusters that nothing names.
    pub leaks: u64,
}

impl Counts {
    /// Whether all is well but for entries that name no place in the file.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.complete && self.shared == 0
    }
}

/// Whether `scratch` is enough to walk the image with this header.
#[must_use]
pub fn fits(header: &Header, scratch: &[u8]) -> bool {
    let bits = (scratch.len().saturating_sub(2 * PIECE) as u64).saturating_mul(8);
    clusters(header) <= bits
}

/// Does something with a sector of a table and its byte offset.
pub type Visit<'c, R> = &'c mut dyn FnMut(&mut R, u64, &[u8]) -> Result<(), IoError>;

/// Walks `image`. Every sector of a table with entries that name no place goes to `clear`, with zeros
/// in their place, and with its byte offset.
///
/// # Errors
/// The device's.
pub fn walk<R: ReadAt>(
    image: &mut R,
    header: &Header,
    scratch: &mut [u8],
    clear: Visit<'_, R>,
) -> Result<Counts, IoError> {
    if !fits(header, scratch) {
        return Ok(Counts::default());
    }
    let (l1, rest) = scratch.split_at_mut_checked(PIECE).unwrap_or_default();
    let (l2, used) = rest.split_at_mut_checked(PIECE).unwrap_or_default();
    let used = used.get_mut(..index(clusters(header).div_ceil(8))).unwrap_or_default();
    used.fill(0);
    let mut walk = Walk { header, used, counts: Counts { complete: true, ..Counts::default() } };
    let mut l2 = Buffered::new(l2);
    walk.take(header.l1_offset, header.table_len);
    let mut l1_sector = |image: &mut R, at, sector: &[u8]| {
        let mut mended = Sector::of(sector);
        for (i, entry) in entries(sector) {
            if !header.is_table(entry) {
                walk.counts.invalid = walk.counts.invalid.saturating_add(1);
                mended.drop(i);
            } else if walk.take(entry, header.table_len) {
                walk.l2_table(image, &mut l2, entry, clear)?;
            }
        }
        mended.put(image, at, clear)
    };
    each_sector(image, &mut Buffered::new(l1), (header.l1_offset, header.table_len), &mut l1_sector)?;
    walk.count_leaks();
    Ok(walk.counts)
}

const fn clusters(header: &Header) -> u64 {
    match header.file_end.checked_div(header.cluster_size) {
        Some(clusters) => clusters,
        None => 0,
    }
}

struct Walk<'s> {
    header: &'s Header,
    /// One bit for each cluster of the file.
    used: &'s mut [u8],
    counts: Counts,
}

impl Walk<'_> {
    /// Takes the clusters from `offset` on, and says whether all of them were free.
    fn take(&mut self, offset: u64, len: u64) -> bool {
        let before = self.counts.shared;
        let (mut at, end) = (offset, offset.saturating_add(len));
        while at < end {
            let cluster = at.checked_div(self.header.cluster_size).unwrap_or(0);
            if let Some(byte) = self.used.get_mut(index(cluster / 8)) {
                let bit = 1_u8.wrapping_shl(u32::try_from(cluster & 7).unwrap_or(0));
                self.counts.shared = self.counts.shared.saturating_add(u64::from(*byte & bit != 0));
                *byte |= bit;
            }
            at = at.saturating_add(self.header.cluster_size);
        }
        self.counts.shared == before
    }

    fn l2_table<R: ReadAt>(
        &mut self,
        image: &mut R,
        reader: &mut Buffered<'_>,
        table: u64,
        clear: Visit<'_, R>,
    ) -> Result<(), IoError> {
        let (header, mut expected) = (self.header, None);
        let mut l2_sector = |image: &mut R, at, sector: &[u8]| {
            let mut mended = Sector::of(sector);
            for (i, entry) in entries(sector) {
                let place = header.cluster(entry);
                if place == Cluster::Zero {
                    continue;
                }
                let apart = expected.is_some_and(|expected| expected != entry);
                expected = Some(entry.wrapping_add(header.cluster_size));
                self.counts.allocated = self.counts.allocated.saturating_add(1);
                self.counts.fragmented = self.counts.fragmented.saturating_add(u64::from(apart));
                if let Cluster::At(offset) = place {
                    self.take(offset, header.cluster_size);
                } else {
                    self.counts.invalid = self.counts.invalid.saturating_add(1);
                    mended.drop(i);
                }
            }
            mended.put(image, at, clear)
        };
        each_sector(image, reader, (table, header.table_len), &mut l2_sector)
    }

    fn count_leaks(&mut self) {
        let first = self.header.header_len.checked_div(self.header.cluster_size).unwrap_or(0);
        for cluster in first..clusters(self.header) {
            let byte = self.used.get(index(cluster / 8)).copied().unwrap_or(0);
            let free = byte.wrapping_shr(u32::try_from(cluster & 7).unwrap_or(0)) & 1 == 0;
            self.counts.leaks = self.counts.leaks.saturating_add(u64::from(free));
        }
    }
}

/// The entries of a sector that say something, each with its number.
fn entries(sector: &[u8]) -> impl Iterator<Item = (usize, u64)> {
    let words = sector.as_chunks::<ENTRY>().0.iter();
    words.map(|word| u64::from_le_bytes(*word)).enumerate().filter(|(_, entry)| *entry != 0)
}

/// A sector of a table without the entries that name no place.
struct Sector {
    bytes: [u8; SECTOR],
    changed: bool,
}

impl Sector {
    fn of(sector: &[u8]) -> Self {
        let mut bytes = [0; SECTOR];
        bytes.iter_mut().zip(sector).for_each(|(to, from)| *to = *from);
        Self { bytes, changed: false }
    }

    fn drop(&mut self, entry: usize) {
        put_le64(&mut self.bytes, entry.saturating_mul(ENTRY), 0);
        self.changed = true;
    }

    fn put<R>(&self, image: &mut R, at: u64, clear: Visit<'_, R>) -> Result<(), IoError> {
        if self.changed { clear(image, at, &self.bytes) } else { Ok(()) }
    }
}

/// Hands out a table by the sector, in order, without those that say nothing.
fn each_sector<R: ReadAt>(
    image: &mut R,
    reader: &mut Buffered<'_>,
    (table, len): (u64, u64),
    visit: Visit<'_, R>,
) -> Result<(), IoError> {
    let mut done = 0;
    while done < len {
        let at = table.saturating_add(done);
        let piece = reader.piece(image, at, len.saturating_sub(done))?;
        for (i, sector) in piece.chunks(SECTOR).enumerate() {
            if sector.iter().any(|byte| *byte != 0) {
                let within = (i as u64).saturating_mul(SECTOR as u64);
                visit(image, at.saturating_add(within), sector)?;
            }
        }
        done = done.saturating_add((piece.len() as u64).max(1));
    }
    Ok(())
}
