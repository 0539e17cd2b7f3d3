//! What a case of VHD, VHDX or VMDK exercises.

use std::collections::BTreeSet;

use crate::chs;
use crate::geometry::SECTOR;
use crate::unresized::{EXTENT_SECTORS, TABLE_ENTRIES};
use crate::{
    Adapter, Case, Creator, Fixture, FormatOptions, Maker, Outcome, Preallocation, Subformat, Vmdk,
    WriteKind, expected_content, expected_steps, size,
};

/// What seeds of VHD aim at.
pub const VPC: &[&str] = &[
    "table-moves",
    "compacted",
    "vpc-dynamic",
    "vpc-fixed",
    "vpc-geometry",
    "vpc-exact",
    "grow",
    "shrink",
    "grow-shrink-grow",
    "blocks-out-of-order",
    "table-in-place",
    "table-moves-empty",
    "edge-in-block",
    "past-geometries",
    "geometry-stays",
    "odd-creator",
    "own-layout",
    "rounded-up",
    "preallocated-blocks",
    "falloc",
    "full",
    "tib",
    "no-op",
    "chain",
    "probed",
    "made-by-oldest",
    "written-after",
    "empty",
    "refused-too-large",
    "refused-preallocation-mode",
    "refused-syntax",
    "refused-not-positive",
    "refused-shrink-without-flag",
    "refused-preallocation-without-growth",
];

/// What seeds of VHDX aim at.
pub const VHDX: &[&str] = &[
    "table-moves",
    "compacted",
    "vhdx-dynamic",
    "vhdx-fixed",
    "vhdx-fixed-full",
    "grow",
    "shrink",
    "grow-shrink-grow",
    "blocks-out-of-order",
    "chunk-crossed",
    "table-in-place",
    "edge-in-block",
    "vhdx-not-zeroed",
    "long-log",
    "own-layout",
    "large-sectors",
    "preallocated-blocks",
    "falloc",
    "full",
    "tib",
    "block-1M",
    "block-2M",
    "block-4M",
    "block-8M",
    "block-16M",
    "block-32M",
    "block-64M",
    "block-256M",
    "no-op",
    "chain",
    "probed",
    "written-after",
    "empty",
    "refused-too-large",
    "refused-unaligned",
    "refused-syntax",
    "refused-not-positive",
    "refused-shrink-without-flag",
    "refused-preallocation-without-growth",
];

/// What seeds of VMDK aim at.
pub const VMDK: &[&str] = &[
    "directory-moves",
    "compacted",
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "streamOptimized",
    "more-extents",
    "fewer-extents",
    "grow",
    "shrink",
    "grow-shrink-grow",
    "blocks-out-of-order",
    "more-tables",
    "edge-in-block",
    "own-layout",
    "own-flat",
    "own-split-sparse",
    "own-split-flat",
    "short-extents",
    "other-grain",
    "zeroed-grain",
    "zero",
    "compat6",
    "adapter-not-ide",
    "preallocated-blocks",
    "falloc",
    "full",
    "rounded-up",
    "no-op",
    "chain",
    "probed",
    "made-by-oldest",
    "written-after",
    "empty",
    "compressed",
    "refused-written-once",
    "refused-preallocation-mode",
    "refused-syntax",
    "refused-not-positive",
    "refused-shrink-without-flag",
    "refused-preallocation-without-growth",
];

/// Entries of a VHD's table in a sector, of a VMDK's directory in a sector.
const SECTOR_ENTRIES: u64 = 128;
/// Entries of a VHDX's table in a MiB.
const MIB_ENTRIES: u64 = 128 << 10;

/// Adds the features of a case of these formats.
pub fn note(case: &Case, add: &mut impl FnMut(&'static str, bool)) {
    options(&case.fixture, add);
    let order = first_writes(&case.fixture);
    add("blocks-out-of-order", order.windows(2).any(|two| two[0] > two[1]));
    let mut current = expected_content(&case.fixture).size();
    for (resize, step) in case.resizes.iter().zip(expected_steps(case)) {
        if step.outcome != Outcome::Resized {
            continue;
        }
        let (old, new) = (current, step.content.size());
        change(&case.fixture, (old, new), &order, add);
        let asked = size::parse(&resize.size).and_then(|asked| size::resolve(asked, old));
        add("rounded-up", asked.is_some_and(|asked| asked < new));
        add("geometry-stays", asked.is_some_and(|asked| asked < old) && new == old);
        let mapped = matches!(case.fixture.format, FormatOptions::Vmdk(_) | FormatOptions::Vpc(_))
            || case.fixture.format.vhdx().is_some_and(|options| !options.fixed);
        add("preallocated-blocks", mapped && new > old && resize.preallocation != Preallocation::Off);
        current = new;
    }
}

fn options(fixture: &Fixture, add: &mut impl FnMut(&'static str, bool)) {
    match &fixture.format {
        FormatOptions::Vpc(options) => {
            add(if options.fixed { "vpc-fixed" } else { "vpc-dynamic" }, true);
            add(if options.creator.counts_geometry() { "vpc-geometry" } else { "vpc-exact" }, true);
            add("odd-creator", !matches!(options.creator, Creator::Qemu | Creator::Qem2));
        }
        FormatOptions::Vhdx(options) => {
            add("vhdx-dynamic", !options.fixed);
            add("vhdx-fixed", options.fixed && options.zeroed);
            add("vhdx-fixed-full", options.fixed && !options.zeroed);
            add("vhdx-not-zeroed", !options.zeroed);
            add("long-log", options.log_mib > 1);
            add("large-sectors", options.large_sectors);
            let blocks = VHDX.iter().filter(|name| name.starts_with("block-"));
            for name in blocks {
                let mib = name.trim_start_matches("block-").trim_end_matches('M').parse::<u64>();
                add(name, mib.is_ok_and(|mib| mib << 20 == options.block_size()));
            }
        }
        FormatOptions::Vmdk(options) => vmdk(options, fixture.maker == Maker::Own, add),
        _ => {}
    }
}

fn vmdk(options: &Vmdk, own: bool, add: &mut impl FnMut(&'static str, bool)) {
    add("own-flat", own && options.subformat == Subformat::MonolithicFlat);
    add("own-split-sparse", own && options.subformat == Subformat::TwoGbMaxExtentSparse);
    add("own-split-flat", own && options.subformat == Subformat::TwoGbMaxExtentFlat);
    add("short-extents", options.extent_sectors < EXTENT_SECTORS);
    add(options.subformat.name(), true);
    add("zeroed-grain", options.zeroed_grain);
    add("compat6", options.compat6);
    add("adapter-not-ide", options.adapter != Adapter::Ide);
    add("other-grain", options.grain_bits != 16);
}

/// The units of guest data in the order in which they are first written.
fn first_writes(fixture: &Fixture) -> Vec<u64> {
    let unit = fixture.format.unit();
    let mut seen = BTreeSet::new();
    let data = fixture.writes.iter().filter(|write| write.kind != WriteKind::Zero);
    let units = data.flat_map(|write| write.offset / unit..(write.offset + write.len).div_ceil(unit));
    units.filter(|number| seen.insert(*number)).collect()
}

/// What an accepted resize does, of an image whose blocks lie in this order.
fn change(
    fixture: &Fixture,
    (old, new): (u64, u64),
    order: &[u64],
    add: &mut impl FnMut(&'static str, bool),
) {
    let format = &fixture.format;
    let unit = format.unit();
    let edge = old.min(new) / unit;
    let within = !old.min(new).is_multiple_of(unit) && order.contains(&edge);
    add("edge-in-block", within && old != new);
    let first_cut = order.iter().position(|number| *number >= new.div_ceil(unit));
    let kept_behind = |from: usize| order.iter().skip(from).any(|number| *number < new.div_ceil(unit));
    let flat = format.vmdk().is_some_and(|options| options.subformat.is_flat());
    add("compacted", new < old && !flat && first_cut.is_some_and(kept_behind));
    let entries = |size: u64| size.div_ceil(unit);
    match format {
        FormatOptions::Vpc(options) if !options.fixed => {
            let sectors = |size: u64| entries(size).div_ceil(SECTOR_ENTRIES);
            let moves = sectors(new) > sectors(old);
            add("table-moves", moves && !order.is_empty());
            add("table-moves-empty", moves && order.is_empty());
            add("table-in-place", new > old && entries(new) > entries(old) && !moves && !order.is_empty());
        }
        FormatOptions::Vpc(_) => {}
        FormatOptions::Vhdx(options) => {
            let all = |size: u64| entries(size) + entries(size).saturating_sub(1) / options.chunk();
            let moves = all(new).div_ceil(MIB_ENTRIES) > all(old).div_ceil(MIB_ENTRIES);
            add("table-moves", moves);
            add("table-in-place", entries(new) > entries(old) && !moves);
            let chunks = |size: u64| entries(size).saturating_sub(1) / options.chunk();
            add("chunk-crossed", chunks(new) != chunks(old));
        }
        FormatOptions::Vmdk(options) => tables(options, (old, new), add),
        _ => {}
    }
    let most = chs::MOST.total() * SECTOR;
    add("past-geometries", format.vpc().is_some() && old < most && new >= most);
}

fn tables(options: &Vmdk, (old, new): (u64, u64), add: &mut impl FnMut(&'static str, bool)) {
    let extents = |size: u64| size.div_ceil(options.extent_sectors * SECTOR);
    let split = options.subformat.is_split();
    add("more-extents", split && extents(new) > extents(old));
    add("fewer-extents", split && extents(new) < extents(old));
    let tables = |size: u64| size.div_ceil(TABLE_ENTRIES << options.grain_bits);
    let sectors = |size: u64| tables(size).div_ceil(SECTOR_ENTRIES);
    let sparse = options.subformat == Subformat::MonolithicSparse;
    add("directory-moves", sparse && sectors(new) > sectors(old));
    add("more-tables", sparse && tables(new) > tables(old) && sectors(new) == sectors(old));
}
