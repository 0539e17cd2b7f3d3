//! What becomes of one bitmap when its disk gets another size.

use super::super::table::Table;
use instar_formats::qcow2::Geometry;
use instar_formats::qcow2::bitmap::{self, BitmapEntry};

/// How one bitmap changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Its table, for the old size.
    pub old: Table,
    /// Entries of the table for the new size.
    pub entries: u64,
    /// The last bits that both sizes have.
    pub end: End,
}

/// Where the bits end that both sizes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The entry whose cluster holds the last of them.
    pub entry: u64,
    /// How many of them that cluster holds; 0 if they end with the cluster before it.
    pub bits: u64,
}

impl Change {
    /// The change of `entry` from a disk of `old` to one of `new` bytes. What the entry says of the
    /// length of its table does not count: while the disk changes, it may be either.
    pub const fn of(g: Geometry, entry: &BitmapEntry, old: u64, new: u64) -> Self {
        let granularity = entry.granularity_bits;
        let kept = bitmap::bits(if old < new { old } else { new }, granularity);
        let per_cluster = g.cluster_size().saturating_mul(8);
        let cluster = kept.wrapping_shr(g.cluster_bits().wrapping_add(3));
        Self {
            old: Table { offset: entry.table_offset, entries: bitmap::table_entries(g, old, granularity) },
            entries: bitmap::table_entries(g, new, granularity),
            end: End { entry: cluster, bits: kept & per_cluster.saturating_sub(1) },
        }
    }

    /// Whether the table changes its length.
    pub const fn resizes(&self) -> bool {
        self.entries != self.old.entries
    }

    /// Clusters of the old table.
    pub const fn old_clusters(&self, g: Geometry) -> u64 {
        g.clusters(self.old.entries.saturating_mul(8))
    }

    /// Clusters of the new table.
    pub const fn clusters(&self, g: Geometry) -> u64 {
        g.clusters(self.entries.saturating_mul(8))
    }

    /// Whether the table grows out of its clusters.
    pub const fn moves(&self, g: Geometry) -> bool {
        self.clusters(g) > self.old_clusters(g)
    }
}

impl End {
    /// The first byte of the cluster that is not all of kept bits, and the kept bits of that byte.
    pub fn byte(&self) -> (u64, u8) {
        let kept = u32::try_from(self.bits & 7).unwrap_or(0);
        (self.bits / 8, 1_u8.wrapping_shl(kept).saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(bits: u32, granularity_bits: u8, old: u64, new: u64) -> Change {
        let g = Geometry::new(bits, 4, false).unwrap();
        let entry = BitmapEntry {
            offset: 0,
            table_offset: 0x1000,
            table_entries: 0,
            flags: 0,
            in_use: false,
            auto: false,
            granularity_bits,
            name_offset: 0,
            name_len: 1,
        };
        Change::of(g, &entry, old, new)
    }

    #[test]
    fn one_cluster_of_bits_is_enough_for_a_while() {
        let c = change(16, 16, 1 << 30, 1 << 34);
        assert!(!c.resizes());
        assert_eq!(c.end, End { entry: 0, bits: 1 << 14 });
        assert_eq!(c.end.byte(), (1 << 11, 0));
        assert_eq!(change(16, 16, 1 << 30, 1 << 45).entries, 1 << 10);
    }

    #[test]
    fn a_granule_in_part_keeps_its_bit() {
        let c = change(9, 9, 1 << 20, 512 * 5);
        assert_eq!((c.old.entries, c.entries), (1, 1));
        assert_eq!(c.end.byte(), (0, 0b1_1111));
        assert_eq!(change(9, 16, 1 << 20, 65536 * 3 + 512).end.bits, 4);
    }

    #[test]
    fn a_table_moves_when_it_leaves_its_clusters() {
        let per_table = 512 / 8 * 4096 * 512_u64;
        let g = Geometry::new(9, 4, false).unwrap();
        assert!(!change(9, 9, 512, per_table).moves(g));
        assert!(change(9, 9, 512, per_table + 512).moves(g));
        assert!(!change(9, 9, per_table + 512, 512).moves(g));
        assert_eq!(change(9, 9, per_table, 1 << 40).end, End { entry: 64, bits: 0 });
    }
}
