//! Layouts of many seeds: nothing lies on anything else, and everything is counted.

use std::collections::BTreeMap;

use super::super::clusters::clusters;
use super::{Layout, width};
use crate::seed::SplitMix64;
use crate::{Case, Maker, Qcow2, Tweak};

/// Own layouts with their options and tweaks.
fn layouts() -> impl Iterator<Item = (Layout, Qcow2, Vec<Tweak>)> {
    Case::sequence(0, |case| case.fixture.maker == Maker::Own).take(200).filter_map(|(seed, case)| {
        let options = case.fixture.format.qcow2()?.clone();
        let clusters = clusters(&case.fixture, &options);
        let layout = Layout::new(&case.fixture, &options, &clusters, &mut SplitMix64::new(seed));
        Some((layout, options, case.fixture.tweaks))
    })
}

/// How often every host cluster is used, counted from what lies where.
fn uses(layout: &Layout, options: &Qcow2) -> BTreeMap<u64, u64> {
    let cluster = options.cluster_size();
    let mut uses = BTreeMap::from([(0, 1)]);
    let mut add = |host: u64| *uses.entry(host).or_insert(0) += 1;
    let l1 = (8 * layout.l1_entries).div_ceil(cluster);
    (layout.l1..layout.l1 + l1).for_each(&mut add);
    (layout.table.0..layout.table.0 + layout.table.1).for_each(&mut add);
    layout.blocks.values().chain(layout.l2.values()).chain(layout.data.values()).copied().for_each(&mut add);
    for blob in &layout.blobs {
        let end = blob.offset + blob.bytes.len() as u64;
        (blob.offset / cluster..end.div_ceil(cluster)).for_each(&mut add);
    }
    uses
}

#[test]
fn counts_are_uses_and_fit_their_width() {
    for (layout, options, _) in layouts() {
        assert_eq!(layout.counts, uses(&layout, &options), "{options:?}");
        assert!(layout.counts.values().all(|count| *count <= width(&options).max()));
        assert!(layout.gaps.iter().all(|gap| !layout.counts.contains_key(gap)));
    }
}

#[test]
fn every_used_cluster_has_a_refcount_block_in_the_table() {
    for (layout, options, _) in layouts() {
        let coverage = options.refcount_coverage();
        assert!(layout.counts.keys().all(|host| layout.blocks.contains_key(&(host / coverage))));
        let entries = layout.table.1 * options.cluster_size() / 8;
        assert!(layout.blocks.keys().all(|place| *place < entries));
    }
}

#[test]
fn a_hole_skips_refcount_blocks() {
    let mut holes = 0;
    for (layout, options, tweaks) in layouts() {
        let hole = tweaks.iter().any(|tweak| matches!(tweak, Tweak::RefcountHole { .. }));
        let last = layout.blocks.last_key_value().map_or(0, |(place, _)| *place);
        let skipped = layout.blocks.len() as u64 <= last;
        if hole {
            assert!(last > 0, "{options:?}");
            holes += u32::from(skipped);
        }
    }
    assert!(holes > 0, "no refcount table has a hole");
}
