//! Fixtures: which format with which options, how large, and what layout tricks.

use super::draw::Draw;
use super::parts;
use crate::{Encryption, Fixture, FormatOptions, Maker, Qcow2, Qed, Space, Tweak};

/// Size and cluster that raw cases are built around, in bytes.
const RAW_UNIT: u64 = 64 << 10;

/// A fixture without writes.
pub fn fixture(draw: &mut Draw) -> Fixture {
    if draw.below(4) == 0 {
        return raw(draw);
    }
    if draw.rarely(12) {
        return qed(draw);
    }
    if draw.rarely(2) {
        return luks(draw);
    }
    let options = qcow2(draw);
    let size = size(draw, &options);
    let own = draw.below(5) > 2;
    let maker = if own { Maker::Own } else { Maker::Qemu };
    let tweaks = tweaks(draw);
    let mut fixture = Fixture { maker, tweaks, ..Fixture::new(FormatOptions::Qcow2(options), size) };
    parts::parts(draw, &mut fixture);
    fixture
}

fn raw(draw: &mut Draw) -> Fixture {
    let size = match draw.below(8) {
        0 => 1 << 20,
        1..=2 => 512 * (1 + draw.below(4096)),
        3 => 1 + draw.below(1 << 20),
        4 => (1 + draw.below(16)) << draw.pick([30, 34]),
        5 if draw.rarely(64) => 0,
        _ => (1 + draw.below(128)) * RAW_UNIT,
    };
    let odd = !size.is_multiple_of(512);
    let maker = if odd || draw.rarely(48) { Maker::Own } else { Maker::Qemu };
    let made_by = parts::made_by(draw);
    Fixture { maker, made_by, ..Fixture::new(FormatOptions::Raw, size) }
}

fn qed(draw: &mut Draw) -> Fixture {
    let options = Qed { cluster_bits: draw.pick([16, 12, 13, 14, 15]), table_size: draw.pick([4, 2, 8, 16]) };
    let (cluster, coverage) = (options.cluster_size(), options.l2_coverage());
    let base = match draw.below(4) {
        0 => 1 << 20,
        1 => 512 * (1 + draw.below(4096)),
        2 => (1 + draw.below(64)) * cluster,
        _ => coverage.saturating_mul(1 + draw.below(4)),
    };
    let size = draw.near(base, cluster);
    let made_by = parts::made_by(draw);
    Fixture { made_by, ..Fixture::new(FormatOptions::Qed(options), size) }
}

fn luks(draw: &mut Draw) -> Fixture {
    let size = match draw.below(3) {
        0 => 1 << 20,
        1 => 512 * (1 + draw.below(4096)),
        _ => (1 + draw.below(16)) * RAW_UNIT,
    };
    let made_by = parts::made_by(draw);
    Fixture { made_by, ..Fixture::new(FormatOptions::Luks, size) }
}

/// How guest data is encrypted: LUKS costs every program that opens the image its time.
fn encryption(draw: &mut Draw) -> Option<Encryption> {
    let encrypted = draw.rarely(6);
    encrypted.then(|| draw.pick([Encryption::Aes, Encryption::Aes, Encryption::Luks]))
}

fn qcow2(draw: &mut Draw) -> Qcow2 {
    Qcow2 {
        version: draw.pick([3, 3, 3, 2]),
        cluster_bits: draw.pick([16, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 9]),
        refcount_bits: draw.pick([16, 1, 2, 4, 8, 16, 32, 64, 64]),
        lazy_refcounts: draw.rarely(48),
        extended_l2: draw.rarely(80),
        zstd: draw.rarely(64),
        preallocated: draw.rarely(32),
        space: draw.pick([Space::Sparse, Space::Sparse, Space::Falloc, Space::Full]),
        encryption: encryption(draw),
    }
}

fn size(draw: &mut Draw, options: &Qcow2) -> u64 {
    let (cluster, coverage) = (options.cluster_size(), options.l2_coverage());
    let l1_cluster = coverage.saturating_mul(cluster / 8);
    let base = match draw.below(10) {
        0 => 1 << 20,
        1 => 512 * (1 + draw.below(256)),
        2..=3 => (1 + draw.below(64)) * cluster,
        4..=5 => coverage.saturating_mul(1 + draw.below(4)),
        6 => l1_cluster.saturating_mul(1 + draw.below(2)),
        7 => (1 + draw.below(64)) << 20,
        8 => (1 + draw.below(8)) << draw.pick([30, 40, 30, 40, 50]),
        _ => coverage.saturating_mul(draw.below(64)),
    };
    draw.near(base, cluster)
}

fn tweaks(draw: &mut Draw) -> Vec<Tweak> {
    let mut tweaks = Vec::new();
    if draw.rarely(24) {
        tweaks.push(Tweak::RefcountHole { blocks: small(draw, 64) });
    }
    if draw.rarely(20) {
        tweaks.push(Tweak::SpareL1 { entries: small(draw, 64).into() });
    }
    if draw.rarely(20) {
        let kind = draw.pick([0x6f72_6163, 0x1234_5678]);
        tweaks.push(Tweak::HeaderExtension { kind, len: small(draw, 200).into() });
    }
    if draw.rarely(12) {
        tweaks.push(Tweak::CompatibleBit { bit: 7 + small(draw, 56) });
    }
    if draw.rarely(12) {
        tweaks.push(Tweak::AutoclearBit { bit: 7 + small(draw, 56) });
    }
    if draw.rarely(12) {
        tweaks.push(Tweak::Leak { clusters: small(draw, 16).into() });
    }
    if draw.rarely(16) {
        tweaks.push(Tweak::ShortTail);
    }
    if draw.rarely(16) {
        let len = u32::try_from(1 + draw.below(100_000)).unwrap_or(1);
        tweaks.push(Tweak::TrailingBytes { len });
    }
    if draw.rarely(12) {
        tweaks.push(Tweak::Dirty { lost: u16::from(small(draw, 8)) - 1 });
    }
    if draw.rarely(2) {
        tweaks.push(Tweak::Corrupt);
    }
    tweaks
}

/// 1 to `most`.
pub fn small(draw: &mut Draw, most: u8) -> u8 {
    u8::try_from(1 + draw.below(most.into())).unwrap_or(1)
}
