//! Guest writes: where they hurt is at the ends, across L2 tables and on top of each other.

use super::draw::Draw;
use super::unresized;
use crate::{Fixture, FormatOptions, Write, WriteKind};

/// Cluster size that writes to a raw image are built around, in bytes.
const RAW_CLUSTER: u64 = 4096;

/// The writes that populate `fixture`; often none.
pub fn writes(draw: &mut Draw, fixture: &Fixture) -> Vec<Write> {
    let count = match draw.below(4) {
        0 => 0,
        1 => 1,
        _ => 2 + draw.below(8),
    };
    let mut writes = Vec::new();
    for _ in 0..count {
        let earlier = writes.last().map(|write: &Write| write.offset);
        let write = match fixture.format.is_unresized() {
            true => unresized::write(draw, fixture),
            false => write(draw, fixture, earlier),
        };
        writes.push(write);
    }
    if fixture.format.is_unresized() {
        return writes;
    }
    if draw.rarely(24) {
        writes.push(bulk(draw, fixture));
    }
    writes
}

/// Writes near the end and the start of an image of `size` bytes: what another tool does to a resized image.
pub fn after(draw: &mut Draw, size: u64) -> Vec<Write> {
    if !draw.rarely(200) {
        return Vec::new();
    }
    let len = draw.pick([512, 4096, 65536, 100_000]);
    let last =
        Write { kind: WriteKind::Data, pattern: draw.pattern(), offset: size.saturating_sub(len), len };
    let middle = Write { offset: draw.below(size / 512) * 512, pattern: draw.pattern(), ..last.clone() };
    if draw.rarely(128) { vec![last] } else { vec![last, middle] }
}

fn write(draw: &mut Draw, fixture: &Fixture, earlier: Option<u64>) -> Write {
    use WriteKind::{Compressed, Data, Discard, Unmap, Zero};
    let (cluster, coverage) = units(&fixture.format);
    let kind = draw.pick([Data, Data, Data, Compressed, Compressed, Zero, Unmap, Discard]);
    let base = match draw.below(6) {
        0 => draw.below(16) * cluster,
        1..=2 => fixture.size.saturating_sub((1 + draw.below(4)) * cluster),
        3 => (draw.below(fixture.size / coverage + 1) * coverage).saturating_sub(cluster),
        4 => earlier.unwrap_or(0),
        _ => draw.below(fixture.size / 512) * 512,
    };
    let odd = if draw.rarely(64) { draw.below(cluster) } else { 0 };
    let sub = [512, cluster, 1 + odd, cluster / 2];
    let super_ = [2 * cluster, 3 * cluster / 2, 5 * cluster, 16 * cluster];
    let len = if draw.below(2) == 0 { draw.pick(sub) } else { draw.pick(super_) };
    Write { kind, pattern: draw.pattern(), offset: base.saturating_add(odd), len }
}

/// One long write, which fills refcount blocks where clusters are small.
fn bulk(draw: &mut Draw, fixture: &Fixture) -> Write {
    Write {
        kind: WriteKind::Data,
        pattern: draw.pattern(),
        offset: draw.below(fixture.size / 2 / 512) * 512,
        len: draw.pick([1 << 20, 2 << 20]),
    }
}

/// Cluster size and the guest bytes of one L2 table, or stand-ins for raw.
fn units(format: &FormatOptions) -> (u64, u64) {
    match format {
        FormatOptions::Raw | FormatOptions::Luks => (RAW_CLUSTER, 1 << 20),
        FormatOptions::Qcow2(options) => (options.cluster_size(), options.l2_coverage()),
        FormatOptions::Qed(options) => (options.cluster_size(), options.l2_coverage()),
        format => (format.unit(), unresized::coverage(format)),
    }
}
