//! What our own layouts of VHD, VHDX and VMDK images have that `qemu-img`'s do not, by kinds, so that a finding can tell which
//! of them it needs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A kind of oddity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oddity {
    /// Room in front of structures, blocks and extents, and structures that are longer than they need be.
    Gaps,
    /// Blocks, structures, items and names of files in another order than that of the disk.
    Order,
    /// Bytes where no reader may look.
    Garbage,
    /// Everything else that may be chosen: lines, items and regions that nobody knows, states of blocks, geometries.
    Extras,
}

impl Oddity {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gaps, Self::Order, Self::Garbage, Self::Extras];
}

/// Those that an image does without.
pub type Without = BTreeSet<Oddity>;
