//! What every cluster of an image is for.

use super::bitmaps::bitmaps;
use super::header::{Header, be};
use super::snapshots::snapshots;
use super::tables::{Entry, EntryKind, OFFSET_MASK, read_block, read_l2, read_table};
use super::{Problem, WalkError};
use crate::sparse::Range;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::path::Path;

/// Header extension type of an encryption header: its offset and length.
const CRYPTO: u32 = 0x0537_be77;

/// The big-endian 64-bit number at `from`.
fn be_at(data: &[u8], from: usize) -> u64 {
    data.get(from..from + 8).map_or(0, be)
}

/// What a host cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The first one: header and extensions.
    Header,
    /// Part of the L1 table.
    L1,
    /// The L2 table of this L1 entry.
    L2(u64),
    /// Part of the refcount table.
    RefcountTable,
    /// The refcount block of this refcount table entry.
    RefcountBlock(u64),
    /// Data of this guest cluster.
    Data(u64),
    /// Compressed data.
    Compressed,
    /// The snapshot table.
    Snapshots,
    /// What only snapshots have: a table or data.
    OfSnapshot,
    /// Bitmaps: directory, tables or bits.
    Bitmaps,
    /// The header of an encryption scheme.
    Crypto,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => write!(f, "the header"),
            Self::L1 => write!(f, "the L1 table"),
            Self::L2(i) => write!(f, "L2 table {i}"),
            Self::RefcountTable => write!(f, "the refcount table"),
            Self::RefcountBlock(i) => write!(f, "refcount block {i}"),
            Self::Data(guest) => write!(f, "data of guest cluster {guest}"),
            Self::Compressed => write!(f, "compressed data"),
            Self::Snapshots => write!(f, "the snapshot table"),
            Self::OfSnapshot => write!(f, "something of a snapshot"),
            Self::Bitmaps => write!(f, "bitmaps"),
            Self::Crypto => write!(f, "the encryption header"),
        }
    }
}

/// A walked image.
#[derive(Debug)]
pub struct Layout {
    /// Its header.
    pub header: Header,
    /// Length of the file in bytes.
    pub file_len: u64,
    /// L1 entries that are not 0, by index.
    pub l1: BTreeMap<u64, u64>,
    /// L2 entries that are not 0, by guest cluster.
    pub l2: BTreeMap<u64, Entry>,
    /// What host clusters are for, by index; the first use where there are several.
    pub roles: HashMap<u64, Role>,
    /// How often each host cluster is referred to.
    pub references: HashMap<u64, u64>,
    /// The clusters that a snapshot has, be it alone or with the disk.
    pub of_snapshots: HashSet<u64>,
    /// Refcounts that are not 0.
    pub refcounts: HashMap<u64, u64>,
    /// What was wrong with the tables themselves.
    pub(super) problems: Vec<Problem>,
}

/// Walks the image at `path`.
///
/// # Errors
/// [`WalkError`] if the header cannot be made sense of; whatever is wrong below it is found by
/// [`super::audit`].
pub fn walk(path: &Path) -> Result<Layout, WalkError> {
    let file = File::open(path)?;
    let header = Header::read(&file)?;
    let mut layout = Layout {
        file_len: file.metadata()?.len(),
        l1: read_table(&file, header.l1_range())?.into_iter().collect(),
        header,
        l2: BTreeMap::new(),
        roles: HashMap::new(),
        references: HashMap::new(),
        of_snapshots: HashSet::new(),
        refcounts: HashMap::new(),
        problems: Vec::new(),
    };
    layout.refer(Range { start: 0, end: 1 }, Role::Header);
    layout.refer(layout.header.l1_range(), Role::L1);
    layout.refer(layout.header.refcount_table_range(), Role::RefcountTable);
    layout.read_refcounts(&file)?;
    layout.read_l2_tables(&file)?;
    layout.read_snapshots(&file)?;
    layout.read_bitmaps(&file)?;
    let crypto = layout.header.extension(CRYPTO).map(|(data, _)| (be_at(data, 0), be_at(data, 8)));
    if let Some((start, len)) = crypto {
        layout.refer(Range { start, end: start.saturating_add(len) }, Role::Crypto);
    }
    Ok(layout)
}

impl Layout {
    /// Counts one reference to every cluster that `range` touches.
    fn refer(&mut self, range: Range, role: Role) {
        let size = self.header.cluster_size();
        if range.is_empty() {
            return;
        }
        for cluster in range.start / size..range.end.div_ceil(size) {
            *self.references.entry(cluster).or_insert(0) += 1;
            self.roles.entry(cluster).or_insert(role);
        }
    }

    /// Whether a table may lie at `offset`; if not, that is a problem.
    fn usable(&mut self, offset: u64, role: Role) -> bool {
        let aligned = offset.is_multiple_of(self.header.cluster_size());
        let inside = offset < self.file_len;
        if !aligned || !inside {
            self.problems.push(Problem::BadOffset { role, offset });
        }
        aligned && inside
    }

    fn read_refcounts(&mut self, file: &File) -> Result<(), WalkError> {
        let size = self.header.cluster_size();
        for (i, offset) in read_table(file, self.header.refcount_table_range())? {
            let role = Role::RefcountBlock(i);
            if self.usable(offset, role) {
                self.refer(Range { start: offset, end: offset + size }, role);
                read_block(file, self, i, offset)?;
            }
        }
        Ok(())
    }

    fn read_l2_tables(&mut self, file: &File) -> Result<(), WalkError> {
        let size = self.header.cluster_size();
        let per_table = size / self.header.l2_entry_len();
        for (i, entry) in self.l1.clone() {
            let offset = entry & OFFSET_MASK;
            let role = Role::L2(i);
            if !self.usable(offset, role) {
                continue;
            }
            self.refer(Range { start: offset, end: offset + size }, role);
            for (j, entry) in read_l2(file, &self.header, offset)? {
                let guest = i * per_table + j;
                self.l2.insert(guest, entry);
                self.refer_data(guest, entry);
            }
        }
        Ok(())
    }

    /// What a snapshot refers to counts as often as it refers to it.
    fn read_snapshots(&mut self, file: &File) -> Result<(), WalkError> {
        let size = self.header.cluster_size();
        let (found, table) = snapshots(file, &self.header)?;
        self.refer(table, Role::Snapshots);
        let known: HashMap<u64, u64> = self.references.clone();
        for snapshot in found {
            self.refer(snapshot.l1, Role::OfSnapshot);
            for (_, entry) in read_table(file, snapshot.l1)? {
                let offset = entry & OFFSET_MASK;
                if !self.usable(offset, Role::OfSnapshot) {
                    continue;
                }
                self.refer(Range { start: offset, end: offset + size }, Role::OfSnapshot);
                for (_, entry) in read_l2(file, &self.header, offset)? {
                    if let EntryKind::Cluster(start) = entry.kind(&self.header) {
                        self.refer(Range { start, end: start + size }, Role::OfSnapshot);
                    } else if let EntryKind::Compressed(range) = entry.kind(&self.header) {
                        self.refer(range, Role::OfSnapshot);
                    }
                }
            }
        }
        let more = |(cluster, count): (&u64, &u64)| known.get(cluster) != Some(count);
        self.of_snapshots =
            self.references.iter().filter(|pair| more(*pair)).map(|(cluster, _)| *cluster).collect();
        Ok(())
    }

    fn read_bitmaps(&mut self, file: &File) -> Result<(), WalkError> {
        let Some((found, directory)) = bitmaps(file, &self.header)? else { return Ok(()) };
        self.refer(directory, Role::Bitmaps);
        for bitmap in found {
            self.refer(bitmap.table, Role::Bitmaps);
            bitmap.clusters.into_iter().for_each(|cluster| self.refer(cluster, Role::Bitmaps));
        }
        Ok(())
    }

    fn refer_data(&mut self, guest: u64, entry: Entry) {
        let size = self.header.cluster_size();
        match entry.kind(&self.header) {
            EntryKind::Unallocated => {}
            // Clusters of another file have no refcounts here.
            EntryKind::Cluster(_) if self.header.has_data_file() => {}
            EntryKind::Compressed(range) => self.refer(range, Role::Compressed),
            EntryKind::Cluster(start) => {
                let role = Role::Data(guest);
                if !start.is_multiple_of(size) {
                    self.problems.push(Problem::BadOffset { role, offset: start });
                }
                self.refer(Range { start, end: start + size }, role);
            }
        }
    }
}
