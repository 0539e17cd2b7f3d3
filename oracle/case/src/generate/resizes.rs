//! Chains of resizes: small, across every boundary of the format, back again, and requests that must be refused.

use super::draw::Draw;
use super::unresized;
use crate::legalize::bounds::growth_cap;
use crate::{Fixture, FormatOptions, Preallocation, Resize, size, target_of, virtual_size};

/// One to three resizes of `fixture`.
pub fn resizes(draw: &mut Draw, fixture: &Fixture) -> Vec<Resize> {
    let count = draw.pick([1, 1, 2, 3]);
    let mut current = virtual_size(&fixture.format, fixture.size);
    let mut resizes = Vec::new();
    for _ in 0..count {
        let resize =
            if draw.rarely(20) { refused(draw, fixture, current) } else { wanted(draw, fixture, current) };
        if let Ok(new) = target_of(fixture, current, &resize) {
            current = virtual_size(&fixture.format, new);
        }
        resizes.push(resize);
    }
    resizes
}

fn wanted(draw: &mut Draw, fixture: &Fixture, current: u64) -> Resize {
    let new = match &fixture.format {
        FormatOptions::Raw | FormatOptions::Luks => raw_target(draw, fixture, current),
        FormatOptions::Qed(options) => {
            let coverage = options.l2_coverage();
            let base = match draw.below(6) {
                0 => current.saturating_mul(2).max(2 << 20),
                1 => current.saturating_add(512 * (1 + draw.below(4096))),
                2 => (current / coverage + 1 + draw.below(3)).saturating_mul(coverage),
                3 => current,
                4 => growth_cap(&fixture.format) >> draw.pick([8, 4, 1, 0]),
                _ if draw.rarely(64) => current / 2,
                _ => current.saturating_add(options.cluster_size()),
            };
            draw.near(base, options.cluster_size()) / 512 * 512
        }
        FormatOptions::Qcow2(_) => qcow2_target(draw, fixture, current) / 512 * 512,
        _ => unresized::target(draw, fixture, current) / 512 * 512,
    };
    let new = new.max(512);
    let flag = draw.rarely(24);
    let allocates = new > current || draw.rarely(24);
    Resize {
        size: word(draw, current, new),
        shrink: (new < current) != flag,
        preallocation: if allocates { preallocation(draw, fixture) } else { Preallocation::Off },
        name_format: !draw.rarely(40),
    }
}

fn preallocation(draw: &mut Draw, fixture: &Fixture) -> Preallocation {
    use Preallocation::{Falloc, Full, Metadata, Off};
    // Data files are rare enough.
    let rare = if fixture.data_file.is_some() { 96 } else { 32 };
    match &fixture.format {
        FormatOptions::Qed(_) if draw.rarely(24) => draw.pick([Off, Metadata, Falloc, Full]),
        FormatOptions::Raw | FormatOptions::Luks if draw.rarely(72) => {
            draw.pick([Off, Falloc, Full, Falloc, Full, Metadata])
        }
        FormatOptions::Qcow2(_) if draw.rarely(rare) => draw.pick([Off, Metadata, Falloc, Full]),
        format if format.is_unresized() && draw.rarely(40) => draw.pick([Off, Metadata, Falloc, Full]),
        _ => Off,
    }
}

fn raw_target(draw: &mut Draw, fixture: &Fixture, current: u64) -> u64 {
    match draw.below(9) {
        0 => current.saturating_mul(2).max(2 << 20),
        1 => current + 1 + draw.below(4096),
        2 => current + 512 * (1 + draw.below(4096)),
        3 => 1 + draw.below(current + 1),
        4 => current.saturating_sub(1 + draw.below(4096)),
        5 => current,
        6 => fixture.size,
        7 => growth_cap(&fixture.format) >> draw.pick([10, 5, 2, 0]),
        _ => (1 + draw.below(64)) << 20,
    }
}

fn qcow2_target(draw: &mut Draw, fixture: &Fixture, current: u64) -> u64 {
    let Some(options) = fixture.format.qcow2() else {
        return current;
    };
    let (cluster, coverage) = (options.cluster_size(), options.l2_coverage());
    let l1_cluster = coverage.saturating_mul(cluster / 8);
    let base = match draw.below(13) {
        0 => current.saturating_mul(2).max(2 << 20),
        1 => current.saturating_add(512 * (1 + draw.below(16))),
        2..=3 => (current / coverage + 1 + draw.below(3)).saturating_mul(coverage),
        4 => (current / l1_cluster + 1 + draw.below(2)).saturating_mul(l1_cluster),
        5 => current / 8 * draw.below(8),
        6 => current.saturating_sub((1 + draw.below(4)) * cluster),
        7 => (current / coverage).saturating_sub(draw.below(2)).saturating_mul(coverage),
        8 => return current,
        9 => return fixture.size,
        10 => growth_cap(&fixture.format) >> draw.pick([6, 3, 0, 0]),
        11 => current.saturating_sub(512 * (1 + draw.below(64))),
        _ => 512 * (1 + draw.below(2048)),
    };
    draw.near(base, cluster)
}

/// A request that qemu-img refuses.
fn refused(draw: &mut Draw, fixture: &Fixture, current: u64) -> Resize {
    let too_large = match &fixture.format {
        FormatOptions::Raw | FormatOptions::Luks => current,
        FormatOptions::Qcow2(options) => options.max_size() + 512,
        FormatOptions::Qed(options) => options.max_size() + 512,
        format => format.most().map_or(current, |most| most.saturating_add(512)),
    };
    let size = match draw.below(7) {
        0 => "0".into(),
        1 => format!("-{}", current + 512 * draw.below(2)),
        2 => format!("+{}", 1 + draw.below(511)),
        3 => draw.pick(["12q", "16E", "1.5", "2MB", "+"]).into(),
        4 => too_large.to_string(),
        _ => size::spell((current / 2).max(1)),
    };
    let preallocation = draw.pick([Preallocation::Off, Preallocation::Off, Preallocation::Full]);
    Resize { size, shrink: draw.rarely(128), preallocation, name_format: true }
}

/// Spells the way from `current` to `new`.
fn word(draw: &mut Draw, current: u64, new: u64) -> String {
    match draw.below(4) {
        0 => size::spell(new),
        1 => new.to_string(),
        2 if new >= current => format!("+{}", size::spell(new - current)),
        2 => format!("-{}", size::spell(current - new)),
        _ => halves(new).unwrap_or_else(|| size::spell(new)),
    }
}

/// `N.5K`, `N.5M` or `N.5G`, where that is what `size` is.
fn halves(size: u64) -> Option<String> {
    let shift = size.trailing_zeros() + 1;
    let suffix = match shift {
        10 => "k",
        20 => "M",
        30 => "G",
        _ => return None,
    };
    Some(format!("{}.5{suffix}", size >> shift))
}
