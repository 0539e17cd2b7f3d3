//! Where everything of an image of our own lies in the file, and how often every host cluster is used.

use std::collections::{BTreeMap, BTreeSet};

use super::clusters::{Cluster, Clusters};
use super::compress;
use crate::build::refcounts::Width;
use crate::seed::SplitMix64;
use crate::{Fixture, Qcow2, Tweak};

/// One thing that needs host clusters.
#[derive(Debug, Clone, Copy)]
enum Item {
    L1,
    L2(u64),
    Data(u64),
    Compressed,
}

/// A compressed guest cluster.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Guest cluster index.
    pub guest: u64,
    /// Byte offset in the file.
    pub offset: u64,
    /// The compressed bytes.
    pub bytes: Vec<u8>,
}

/// The finished plan. All places are host cluster indices.
#[derive(Debug)]
pub struct Layout {
    /// Entries of the L1 table.
    pub l1_entries: u64,
    /// First cluster of the L1 table; 0 when it has no entries.
    pub l1: u64,
    /// L1 index to the cluster of the L2 table.
    pub l2: BTreeMap<u64, u64>,
    /// Guest cluster to the host cluster that holds it.
    pub data: BTreeMap<u64, u64>,
    /// Compressed clusters.
    pub blobs: Vec<Blob>,
    /// First cluster of the refcount table, and how many.
    pub table: (u64, u64),
    /// Refcount table index to the cluster of the refcount block.
    pub blocks: BTreeMap<u64, u64>,
    /// How often every used cluster is used.
    pub counts: BTreeMap<u64, u64>,
    /// Free clusters left between used ones.
    pub gaps: BTreeSet<u64>,
    options: Qcow2,
    next: u64,
}

impl Layout {
    /// Lays an image out; the choices are those of `rng`.
    pub fn new(fixture: &Fixture, options: &Qcow2, clusters: &Clusters, rng: &mut SplitMix64) -> Self {
        let spare = fixture.tweaks.iter().find_map(|tweak| match tweak {
            Tweak::SpareL1 { entries } => Some(u64::from(*entries)),
            _ => None,
        });
        let mut layout = Self {
            l1_entries: options.l1_entries(fixture.size) + spare.unwrap_or(0),
            l1: 0,
            l2: BTreeMap::new(),
            data: BTreeMap::new(),
            blobs: Vec::new(),
            table: (0, 0),
            blocks: BTreeMap::new(),
            counts: BTreeMap::from([(0, 1)]),
            gaps: BTreeSet::new(),
            options: options.clone(),
            next: 1,
        };
        if rng.below(2) == 0 {
            // As qemu-img begins: the table and its first block right after the header.
            layout.table = (layout.take(1), 1);
            let block = layout.take(1);
            layout.blocks.insert(0, block);
        }
        let items = items(options, clusters, rng);
        let hole = hole(fixture).map(|blocks| (items.len() / 2, blocks * options.refcount_coverage()));
        let gappy = rng.below(2) == 0;
        for (place, item) in items.into_iter().enumerate() {
            match hole {
                Some((middle, skip)) if place == middle => layout.next += skip,
                _ if gappy && rng.below(4) == 0 => layout.leave_gap(1 + rng.below(3)),
                _ => {}
            }
            layout.place(item, clusters);
        }
        layout.place_refcounts();
        layout
    }

    /// Host clusters up to the last one in use.
    pub fn end(&self) -> u64 {
        self.counts.last_key_value().map_or(1, |(last, _)| last + 1)
    }

    fn place(&mut self, item: Item, clusters: &Clusters) {
        match item {
            Item::L1 if self.l1_entries == 0 => {}
            Item::L1 => self.l1 = self.take((8 * self.l1_entries).div_ceil(self.options.cluster_size())),
            Item::L2(index) => {
                let host = self.take(1);
                self.l2.insert(index, host);
            }
            Item::Data(guest) => {
                let host = self.take(1);
                self.data.insert(guest, host);
            }
            Item::Compressed => self.place_compressed(clusters),
        }
    }

    /// Packs compressed clusters byte after byte, as far as refcounts go.
    fn place_compressed(&mut self, clusters: &Clusters) {
        let cluster = self.options.cluster_size();
        let most = width(&self.options).max();
        let mut at = self.next * cluster;
        for (&guest, stored) in clusters {
            let Cluster::Compressed(byte) = *stored else { continue };
            let bytes = match self.options.zstd {
                true => compress::zstd(byte, cluster),
                false => compress::deflate(byte, cluster),
            };
            if self.counts.get(&(at / cluster)).is_some_and(|count| *count >= most) {
                at = at.next_multiple_of(cluster);
            }
            let end = at + bytes.len() as u64;
            for host in at / cluster..end.div_ceil(cluster) {
                *self.counts.entry(host).or_insert(0) += 1;
            }
            self.next = end.div_ceil(cluster);
            self.blobs.push(Blob { guest, offset: at, bytes });
            at = end;
        }
    }

    /// Adds refcount blocks and a table until they count themselves too.
    fn place_refcounts(&mut self) {
        let coverage = self.options.refcount_coverage();
        loop {
            let needed: BTreeSet<u64> = self.counts.keys().map(|host| host / coverage).collect();
            let missing: Vec<_> =
                needed.iter().filter(|place| !self.blocks.contains_key(place)).copied().collect();
            let entries = needed.last().map_or(1, |last| last + 1);
            let clusters = (8 * entries).div_ceil(self.options.cluster_size());
            if missing.is_empty() && clusters <= self.table.1 {
                return;
            }
            for place in missing {
                let host = self.take(1);
                self.blocks.insert(place, host);
            }
            if clusters > self.table.1 {
                let (old, count) = self.table;
                self.counts.retain(|host, _| !(old..old + count).contains(host));
                self.table = (self.take(clusters), clusters);
            }
        }
    }

    fn take(&mut self, clusters: u64) -> u64 {
        let first = self.next;
        self.next += clusters;
        self.counts.extend((first..self.next).map(|host| (host, 1)));
        first
    }

    fn leave_gap(&mut self, clusters: u64) {
        self.gaps.extend(self.next..self.next + clusters);
        self.next += clusters;
    }
}

/// The width that these options ask for.
pub fn width(options: &Qcow2) -> Width {
    Width::from_order(options.refcount_bits.trailing_zeros())
}

fn hole(fixture: &Fixture) -> Option<u64> {
    fixture.tweaks.iter().find_map(|tweak| match tweak {
        Tweak::RefcountHole { blocks } => Some(u64::from(*blocks)),
        _ => None,
    })
}

/// Everything to be placed: in order, backwards or shuffled.
fn items(options: &Qcow2, clusters: &Clusters, rng: &mut SplitMix64) -> Vec<Item> {
    let tables: BTreeSet<u64> = clusters.keys().map(|guest| guest / options.l2_entries()).collect();
    let mut items = vec![Item::L1];
    items.extend(tables.into_iter().map(Item::L2));
    if clusters.values().any(|stored| matches!(stored, Cluster::Compressed(_))) {
        items.push(Item::Compressed);
    }
    let hosted = |stored: &Cluster| matches!(stored, Cluster::Data | Cluster::ZeroAllocated);
    let data = clusters.iter().filter(|(_, stored)| hosted(stored));
    items.extend(data.map(|(guest, _)| Item::Data(*guest)));
    match rng.below(3) {
        0 => {}
        1 => items.reverse(),
        _ => shuffle(&mut items, rng),
    }
    items
}

fn shuffle(items: &mut [Item], rng: &mut SplitMix64) {
    for last in (1..items.len()).rev() {
        let other = usize::try_from(rng.below(last as u64 + 1)).unwrap_or(0);
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests;
