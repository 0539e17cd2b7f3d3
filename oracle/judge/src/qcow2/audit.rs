//! Whether an image's refcounts and flags say what its tables say.

use super::tables::{COPIED, OFFSET_MASK};
use super::{EntryKind, Layout, Role};
use std::collections::BTreeSet;
use std::fmt;

/// Something wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// An entry names a place where nothing can be.
    BadOffset {
        /// What should be there.
        role: Role,
        /// The place, in bytes.
        offset: u64,
    },
    /// A cluster is referred to more often than its refcount says: it could be handed out again.
    Refcount {
        /// The host cluster.
        cluster: u64,
        /// What it is for.
        role: Role,
        /// What the refcount block says.
        refcount: u64,
        /// How often it is referred to.
        references: u64,
    },
    /// A cluster has a refcount that nothing accounts for.
    Leak {
        /// The host cluster.
        cluster: u64,
        /// What the refcount block says.
        refcount: u64,
        /// How often it is referred to.
        references: u64,
    },
    /// A COPIED flag contradicts the refcount.
    Copied {
        /// What the entry names.
        role: Role,
        /// Its refcount.
        refcount: u64,
    },
    /// The L1 table is too short for the disk.
    ShortL1 {
        /// Entries there are.
        entries: u64,
        /// Entries there should be.
        needed: u64,
    },
}

impl Problem {
    /// A short stable name of what is wrong, for grouping.
    #[must_use]
    pub fn field(&self) -> String {
        let role = |role: &Role| match role {
            Role::Header => "header",
            Role::L1 => "l1",
            Role::L2(_) => "l2",
            Role::RefcountTable => "refcount-table",
            Role::RefcountBlock(_) => "refcount-block",
            Role::Data(_) | Role::Compressed => "data",
            Role::Snapshots | Role::OfSnapshot => "snapshot",
            Role::Bitmaps => "bitmaps",
            Role::Crypto => "crypto",
        };
        match self {
            Self::BadOffset { role: r, .. } => format!("offset.{}", role(r)),
            Self::Refcount { role: r, .. } => format!("refcount.{}", role(r)),
            Self::Leak { .. } => "leak".into(),
            Self::Copied { role: r, .. } => format!("copied.{}", role(r)),
            Self::ShortL1 { .. } => "header.l1_size".into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadOffset { role, offset } => write!(f, "{role} cannot lie at {offset:#x}"),
            Self::Refcount { cluster, role, refcount, references } => write!(
                f,
                "host cluster {cluster} ({role}) has refcount {refcount} but {references} references"
            ),
            Self::Leak { cluster, refcount, references } => {
                write!(f, "host cluster {cluster} has refcount {refcount} but {references} references")
            }
            Self::Copied { role, refcount } => {
                write!(f, "the COPIED flag of {role} contradicts its refcount {refcount}")
            }
            Self::ShortL1 { entries, needed } => {
                write!(f, "the L1 table has {entries} entries, the disk needs {needed}")
            }
        }
    }
}

/// Everything wrong with a walked image, in the order of its host clusters.
#[must_use]
pub fn audit(layout: &Layout) -> Vec<Problem> {
    let mut problems = layout.problems.clone();
    let header = &layout.header;
    let (entries, needed) = (header.get("l1_size"), header.l1_needed(header.get("size")));
    if entries < needed {
        problems.push(Problem::ShortL1 { entries, needed });
    }
    problems.extend(refcounts(layout));
    problems.extend(flags(layout));
    problems
}

fn refcounts(layout: &Layout) -> impl Iterator<Item = Problem> {
    let clusters: BTreeSet<u64> = layout.refcounts.keys().chain(layout.references.keys()).copied().collect();
    clusters.into_iter().filter_map(|cluster| {
        let refcount = layout.refcounts.get(&cluster).copied().unwrap_or(0);
        let references = layout.references.get(&cluster).copied().unwrap_or(0);
        let role = layout.roles.get(&cluster).copied();
        match role {
            Some(role) if refcount < references => {
                Some(Problem::Refcount { cluster, role, refcount, references })
            }
            _ if refcount > references => Some(Problem::Leak { cluster, refcount, references }),
            _ => None,
        }
    })
}

/// COPIED must be set exactly where the refcount is one; compressed entries never carry it.
fn flags(layout: &Layout) -> impl Iterator<Item = Problem> {
    let size = layout.header.cluster_size();
    let count = move |offset: u64| layout.refcounts.get(&(offset / size)).copied().unwrap_or(0);
    let tables = layout.l1.iter().map(|(i, e)| (Role::L2(*i), e & OFFSET_MASK, e & COPIED != 0));
    // Clusters of another file have no refcounts to contradict.
    let entries = layout.l2.iter().filter(|_| !layout.header.has_data_file());
    let data = entries.filter_map(|(guest, entry)| match entry.kind(&layout.header) {
        EntryKind::Cluster(offset) => Some((Role::Data(*guest), offset, entry.copied())),
        _ => None,
    });
    tables.chain(data).filter_map(move |(role, offset, copied)| {
        let refcount = count(offset);
        (copied != (refcount == 1)).then_some(Problem::Copied { role, refcount })
    })
}
