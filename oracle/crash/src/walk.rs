//! A reader of qcow2 metadata in memory, written from QEMU's `docs/interop/qcow2.txt` and independent of the engine, fast
//! enough to be asked about thousands of images a second. All integers of the format are big-endian.
//!
//! Snapshots and bitmaps are read by [`crate::parts`]; backing files and external data files are not.

use crate::format::{COMPRESSED, COPIED, Entry, Header, OFFSET};
use crate::image::Image;
use crate::parts::{self, Bitmap, Snapshot};

/// Host clusters that an image in memory may reach to: a bound for what nonsense may cost.
const MOST_CLUSTERS: u64 = 1 << 23;

/// Counters of host clusters that know which of them are not 0.
#[derive(Debug, Default)]
struct Counts {
    values: Vec<u32>,
    touched: Vec<usize>,
}

impl Counts {
    fn clear(&mut self) {
        for at in self.touched.drain(..) {
            self.values[at] = 0;
        }
    }

    fn add(&mut self, cluster: u64, n: u64) {
        let at = crate::image::to_usize(cluster.min(MOST_CLUSTERS));
        if at >= self.values.len() {
            self.values.resize(at + 1, 0);
        }
        if self.values[at] == 0 {
            self.touched.push(at);
        }
        self.values[at] = self.values[at].saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
    }

    fn get(&self, at: usize) -> u32 {
        self.values.get(at).copied().unwrap_or(0)
    }
}

/// What is in an image, and the buffers to find out. Filled by [`Walk::walk`] as often as wanted.
#[derive(Debug, Default)]
pub struct Walk {
    /// The header.
    pub header: Header,
    /// L2 entries that are not zero, in the order of their tables.
    pub entries: Vec<Entry>,
    /// Internal snapshots, in the order of their table.
    pub snapshots: Vec<Snapshot>,
    /// Persistent bitmaps, in the order of their directory.
    pub bitmaps: Vec<Bitmap>,
    /// Clusters of the file with a refcount that nothing accounts for.
    pub leaks: u64,
    /// The same past the end of the file: what has been counted before it was written. No check sees these, and they
    /// are leaks once the file has grown over them.
    pub leaks_past_end: u64,
    /// The first thing wrong, other than a leak.
    pub problem: Option<String>,
    /// Whether that is a refcount, or a flag that repeats one, and everything else is right.
    pub miscounted: bool,
    /// L1 entries that are not zero: index and value.
    l1: Vec<(u64, u64)>,
    references: Counts,
    claims: Counts,
}

impl Walk {
    /// Reads everything there is in `image`.
    pub fn walk(&mut self, image: &Image) {
        (self.leaks, self.leaks_past_end, self.problem, self.miscounted) = (0, 0, None, false);
        self.entries.clear();
        self.l1.clear();
        self.snapshots.clear();
        self.bitmaps.clear();
        self.references.clear();
        self.claims.clear();
        match Header::read(image) {
            Ok(header) => self.header = header,
            Err(why) => return self.wrong(|| why),
        }
        self.references.add(0, 1);
        self.mapping(image);
        self.snapshots = parts::snapshots(self, image);
        self.bitmaps = parts::bitmaps(self, image);
        parts::luks_header(self, image);
        self.refcounts(image);
        let sound = self.problem.is_none();
        self.audit(image);
        self.miscounted = sound && self.problem.is_some();
    }

    /// The first allocation beyond the end of the disk, if there is one.
    #[must_use]
    pub fn beyond(&self) -> Option<String> {
        let clusters = self.header.size.div_ceil(self.header.cluster());
        let tables = clusters.div_ceil(self.header.per_table());
        let entry = self.entries.iter().find(|e| e.guest >= clusters);
        let table = self.l1.iter().find(|(i, _)| *i >= tables);
        entry
            .map(|e| format!("guest cluster {} is allocated", e.guest))
            .or_else(|| table.map(|(i, _)| format!("L1 entry {i} is in use")))
    }

    /// Notes the first thing wrong.
    pub fn wrong(&mut self, what: impl FnOnce() -> String) {
        if self.problem.is_none() {
            self.problem = Some(what());
        }
    }

    /// Counts a reference to each cluster that `len` bytes from `start` touch.
    pub fn refer(&mut self, start: u64, len: u64) {
        let end = start.saturating_add(len).div_ceil(self.header.cluster());
        for cluster in start / self.header.cluster()..end.min(MOST_CLUSTERS) {
            self.references.add(cluster, 1);
        }
    }

    /// Whether a table lies where one can; if not, that is wrong.
    pub fn usable(&mut self, image: &Image, what: &str, offset: u64) -> bool {
        let usable = offset.is_multiple_of(self.header.cluster()) && offset < image.len();
        if !usable {
            self.wrong(|| format!("{what} cannot lie at {offset:#x}"));
        }
        usable
    }

    fn mapping(&mut self, image: &Image) {
        let header = self.header;
        let needed = header.size.div_ceil(header.cluster()).div_ceil(header.per_table());
        if header.l1_size < needed {
            self.wrong(|| format!("the L1 table has {} entries, the disk needs {needed}", header.l1_size));
        }
        let (mut l1, mut entries) = (std::mem::take(&mut self.l1), std::mem::take(&mut self.entries));
        self.tables(image, (header.l1_offset, header.l1_size), &mut l1, &mut entries);
        (self.l1, self.entries) = (l1, entries);
    }

    /// Reads the L1 table at byte `offset` with so many entries, and the L2 tables that it names.
    pub fn tables(
        &mut self,
        image: &Image,
        (offset, count): (u64, u64),
        l1: &mut Vec<(u64, u64)>,
        entries: &mut Vec<Entry>,
    ) {
        if count == 0 || !self.usable(image, "the L1 table", offset) {
            return;
        }
        self.refer(offset, count * 8);
        image.words(offset, count * 8, |i, word| l1.push((i, word)));
        for (index, value) in l1 {
            let offset = *value & OFFSET;
            if self.usable(image, "an L2 table", offset) {
                self.refer(offset, self.header.cluster());
                self.table(image, *index, offset, entries);
            }
        }
    }

    fn table(&mut self, image: &Image, index: u64, offset: u64, entries: &mut Vec<Entry>) {
        let (first, header) = (index * self.header.per_table(), self.header);
        let from = entries.len();
        image.words(offset, header.cluster(), |i, word| {
            if !header.extended() {
                entries.push(Entry { guest: first + i, value: word, bitmap: 0 });
            } else if i % 2 == 0 {
                entries.push(Entry { guest: first + i / 2, value: word, bitmap: 0 });
            } else {
                match entries.last_mut() {
                    Some(last) if last.guest == first + i / 2 => last.bitmap = word,
                    _ => entries.push(Entry { guest: first + i / 2, value: 0, bitmap: word }),
                }
            }
        });
        for entry in &entries[from..] {
            let (start, end) = entry.refers(&header);
            if entry.value & COMPRESSED == 0 && !(entry.value & OFFSET).is_multiple_of(header.cluster()) {
                self.wrong(|| format!("guest cluster {} is not aligned", entry.guest));
            }
            (start..end.min(MOST_CLUSTERS)).for_each(|cluster| self.references.add(cluster, 1));
        }
    }

    /// Reads what the refcount blocks claim (qcow2.txt, "Refcount management").
    fn refcounts(&mut self, image: &Image) {
        let header = self.header;
        let len = header.table_clusters << header.cluster_bits;
        if !self.usable(image, "the refcount table", header.table_offset) {
            return;
        }
        self.refer(header.table_offset, len);
        let mut blocks = Vec::new();
        image.words(header.table_offset, len, |i, word| blocks.push((i, word)));
        for (index, offset) in blocks {
            if self.usable(image, "a refcount block", offset) {
                self.refer(offset, header.cluster());
                self.block(image, index, offset);
            }
        }
    }

    fn block(&mut self, image: &Image, index: u64, offset: u64) {
        let (order, claims) = (self.header.refcount_order, &mut self.claims);
        let bits = 1_u64 << order;
        let first = index * ((self.header.cluster() * 8) >> order);
        let mask = if order == 6 { u64::MAX } else { (1 << bits) - 1 };
        image.words(offset, self.header.cluster(), |i, word| {
            for n in 0..64 / bits {
                // Widths below a byte begin at the least significant bit of each byte, the others are big-endian.
                let shift =
                    if order < 3 { 56 - n * bits / 8 * 8 + n * bits % 8 } else { 64 - (n + 1) * bits };
                let count = word >> shift & mask;
                if count != 0 {
                    claims.add(first + i * (64 / bits) + n, count);
                }
            }
        });
    }

    fn audit(&mut self, image: &Image) {
        let clusters = crate::image::to_usize(image.len().div_ceil(self.header.cluster()));
        let leaked = |at: &&usize| self.claims.get(**at) > self.references.get(**at);
        let leaks = self.claims.touched.iter().filter(leaked);
        for at in leaks {
            *if *at < clusters { &mut self.leaks } else { &mut self.leaks_past_end } += 1;
        }
        let short = |at: &&usize| self.references.get(**at) > self.claims.get(**at);
        if let Some(at) = self.references.touched.iter().filter(short).min().copied() {
            let (references, claims) = (self.references.get(at), self.claims.get(at));
            self.wrong(|| format!("host cluster {at} has refcount {claims} but {references} references"));
        }
        self.flags();
    }

    /// COPIED must be set exactly where the refcount is one, and never in a compressed entry.
    fn flags(&mut self) {
        let header = self.header;
        let contradicts = |value: u64| {
            let cluster = crate::image::to_usize((value & OFFSET) >> header.cluster_bits);
            (value & COPIED != 0) != (self.claims.get(cluster) == 1)
        };
        let table =
            self.l1.iter().find(|(_, value)| contradicts(*value)).map(|(i, _)| format!("L2 table {i}"));
        let entry = self.entries.iter().find(|entry| match entry.value {
            _ if header.has_data_file() => false,
            value if value & COMPRESSED != 0 => value & COPIED != 0,
            value => value & OFFSET != 0 && contradicts(value),
        });
        if let Some(what) = table.or_else(|| entry.map(|e| format!("guest cluster {}", e.guest))) {
            self.wrong(|| format!("the COPIED flag of {what} contradicts its refcount"));
        }
    }
}
