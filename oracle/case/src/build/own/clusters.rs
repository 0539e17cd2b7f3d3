//! What every guest cluster of an image of our own is.

use std::collections::BTreeMap;

use crate::{Fixture, Qcow2, Write, WriteKind};

/// How one guest cluster is stored. One that is not in the map has no host cluster and reads as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// In a host cluster of its own.
    Data,
    /// Compressed: so many bytes of this value.
    Compressed(u8),
    /// Marked as zero, no host cluster.
    ZeroPlain,
    /// Marked as zero, with a host cluster whose content does not count.
    ZeroAllocated,
}

/// Guest cluster index to how it is stored.
pub type Clusters = BTreeMap<u64, Cluster>;

/// Follows the writes of `fixture`.
pub fn clusters(fixture: &Fixture, options: &Qcow2) -> Clusters {
    let mut clusters = Clusters::new();
    if options.preallocated {
        let count = fixture.size.div_ceil(options.cluster_size());
        clusters.extend((0..count).map(|index| (index, Cluster::Data)));
    }
    for write in &fixture.writes {
        apply(&mut clusters, write, fixture.size, options);
    }
    clusters
}

fn apply(clusters: &mut Clusters, write: &Write, size: u64, options: &Qcow2) {
    let cluster = options.cluster_size();
    let end = (write.offset + write.len).min(size);
    for index in write.offset / cluster..end.div_ceil(cluster) {
        let whole = write.offset <= index * cluster && end >= ((index + 1) * cluster).min(size);
        let before = clusters.get(&index).copied();
        match stored(write, whole, before, options.version > 2) {
            Some(after) => clusters.insert(index, after),
            None => clusters.remove(&index),
        };
    }
}

/// How a cluster is stored after a write that covers it wholly or in part.
fn stored(write: &Write, whole: bool, before: Option<Cluster>, zero_flag: bool) -> Option<Cluster> {
    match write.kind {
        WriteKind::Compressed => Some(Cluster::Compressed(write.pattern)),
        WriteKind::Discard if whole => None,
        WriteKind::Discard => before,
        WriteKind::Zero | WriteKind::Unmap if whole && zero_flag => Some(match (write.kind, before) {
            (WriteKind::Zero, Some(Cluster::Data | Cluster::ZeroAllocated)) => Cluster::ZeroAllocated,
            _ => Cluster::ZeroPlain,
        }),
        WriteKind::Data | WriteKind::Zero | WriteKind::Unmap => Some(Cluster::Data),
    }
}
