//! Simpler options and layouts of VHD, VHDX and VMDK images.

use super::{Offer, digits};
use oracle_case::unresized::EXTENT_SECTORS;
use oracle_case::{
    Adapter, Case, Creator, Fixture, FormatOptions, Maker, Oddity, Subformat, Vhdx, Vmdk, Vpc,
};

/// What `qemu-img create -f vpc` makes.
const PLAIN_VPC: Vpc = Vpc { fixed: false, creator: Creator::Qemu, block_bits: 21 };
/// What it makes of a small VHDX.
const PLAIN_VHDX: Vhdx =
    Vhdx { fixed: false, block_bits: 23, log_mib: 1, zeroed: true, large_sectors: false };
/// What it makes of a VMDK.
const PLAIN_VMDK: Vmdk = Vmdk {
    subformat: Subformat::MonolithicSparse,
    adapter: Adapter::Ide,
    compat6: false,
    zeroed_grain: false,
    grain_bits: 16,
    extent_sectors: EXTENT_SECTORS,
};
/// Lengths of extents that are easy to read, in sectors.
const SHORT_EXTENTS: [u64; 3] = [2048, 1 << 16, 1 << 20];

/// Offers what is simpler in one way each, the boldest first.
pub fn plainer(case: &Case, offer: Offer) {
    if case.fixture.maker == Maker::Own {
        offer(&|c| c.fixture.without = Oddity::ALL.into());
        for oddity in Oddity::ALL {
            offer(&|c| c.fixture.without.extend([oddity]));
        }
    }
    match &case.fixture.format {
        FormatOptions::Vpc(_) => vpc(offer),
        FormatOptions::Vhdx(_) => vhdx(offer),
        FormatOptions::Vmdk(options) => vmdk(options, offer),
        _ => {}
    }
}

fn vpc(offer: Offer) {
    let plain = |change: fn(&mut Vpc)| {
        move |c: &mut Case| {
            if let FormatOptions::Vpc(options) = &mut c.fixture.format {
                change(options);
            }
        }
    };
    offer(&plain(|o| *o = PLAIN_VPC));
    offer(&plain(|o| o.fixed = false));
    offer(&plain(|o| o.block_bits = PLAIN_VPC.block_bits));
    offer(&plain(|o| o.creator = Creator::Qemu));
    offer(&plain(|o| o.creator = Creator::Qem2));
}

fn vhdx(offer: Offer) {
    let plain = |change: fn(&mut Vhdx)| {
        move |c: &mut Case| {
            if let FormatOptions::Vhdx(options) = &mut c.fixture.format {
                change(options);
            }
        }
    };
    offer(&plain(|o| *o = PLAIN_VHDX));
    offer(&plain(|o| (o.fixed, o.zeroed) = (false, true)));
    offer(&plain(|o| o.fixed = false));
    offer(&plain(|o| o.zeroed = true));
    offer(&plain(|o| o.large_sectors = false));
    offer(&plain(|o| o.log_mib = PLAIN_VHDX.log_mib));
    offer(&plain(|o| o.block_bits = PLAIN_VHDX.block_bits));
}

fn vmdk(now: &Vmdk, offer: Offer) {
    let plain = |change: &dyn Fn(&mut Vmdk), c: &mut Case| {
        if let FormatOptions::Vmdk(options) = &mut c.fixture.format {
            change(options);
        }
    };
    offer(&|c| plain(&|o| *o = PLAIN_VMDK, c));
    let simpler = [Subformat::MonolithicSparse, Subformat::MonolithicFlat, Subformat::TwoGbMaxExtentSparse];
    for subformat in simpler {
        offer(&|c| plain(&|o| o.subformat = subformat, c));
    }
    offer(&|c| plain(&|o| (o.adapter, o.compat6) = (PLAIN_VMDK.adapter, false), c));
    offer(&|c| plain(&|o| o.adapter = PLAIN_VMDK.adapter, c));
    offer(&|c| plain(&|o| o.compat6 = false, c));
    offer(&|c| plain(&|o| o.zeroed_grain = false, c));
    offer(&|c| plain(&|o| o.grain_bits = PLAIN_VMDK.grain_bits, c));
    offer(&|c| plain(&|o| o.extent_sectors = EXTENT_SECTORS, c));
    if now.extent_sectors != EXTENT_SECTORS {
        for sectors in SHORT_EXTENTS {
            offer(&|c| plain(&|o| o.extent_sectors = sectors, c));
        }
    }
}

/// How much there is to options and layout: what is unusual, and how hard their numbers are to read.
pub fn weight(fixture: &Fixture) -> (usize, usize) {
    let own = fixture.maker == Maker::Own && fixture.format.is_unresized();
    let odd = if own { Oddity::ALL.len() - fixture.without.len() } else { 0 };
    let count = |unusual: &[bool]| unusual.iter().filter(|unusual| **unusual).count();
    let (options, spelled) = match &fixture.format {
        FormatOptions::Vpc(o) => {
            let creator = [Creator::Qemu, Creator::Qem2].iter().position(|simple| *simple == o.creator);
            (creator.unwrap_or(2) + count(&[o.fixed, o.block_bits != PLAIN_VPC.block_bits]), 0)
        }
        FormatOptions::Vhdx(o) => {
            let values = [o.block_bits != PLAIN_VHDX.block_bits, o.log_mib != PLAIN_VHDX.log_mib];
            (count(&[o.fixed, !o.zeroed, o.large_sectors]) + count(&values), 0)
        }
        FormatOptions::Vmdk(o) => {
            let stream = o.subformat == Subformat::StreamOptimized;
            let files =
                count(&[o.subformat.is_flat(), stream, stream]) + 2 * count(&[o.subformat.is_split()]);
            let short = o.extent_sectors != EXTENT_SECTORS;
            let values = [o.adapter != Adapter::Ide, o.grain_bits != PLAIN_VMDK.grain_bits, short];
            let spelled = if short { digits(o.extent_sectors) } else { 0 };
            (files + count(&[o.compat6, o.zeroed_grain]) + count(&values), spelled)
        }
        _ => (0, 0),
    };
    (options + odd, spelled)
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, shrink};
    use super::*;
    use std::time::{Duration, Instant};

    fn shrunk(case: &Case, shows: impl FnMut(&Case) -> bool) -> Case {
        shrink(case, &Limits { runs: 2000, until: Instant::now() + Duration::from_secs(60) }, shows)
    }

    /// Cases of one of these formats, of every layout.
    fn cases(format: &str) -> impl Iterator<Item = Case> {
        Case::sequence_of(3, &[format]).map(|(_, case)| case)
    }

    #[test]
    fn options_that_do_not_matter_become_those_of_qemu_img() {
        for format in ["vpc", "vhdx", "vmdk"] {
            for case in cases(format).take(8) {
                let small = shrunk(&case, |_| true);
                let plain = match &small.fixture.format {
                    FormatOptions::Vpc(options) => *options == PLAIN_VPC,
                    FormatOptions::Vhdx(options) => *options == PLAIN_VHDX,
                    FormatOptions::Vmdk(options) => *options == PLAIN_VMDK,
                    _ => false,
                };
                let bare = small.resizes.len() <= 1 && small.fixture.writes.is_empty();
                assert!(plain && bare && small.fixture.maker == Maker::Qemu, "{}", small.describe());
            }
        }
    }

    #[test]
    fn what_matters_stays_and_is_all_that_stays() {
        let split = |case: &Case| case.fixture.format.vmdk().is_some_and(|o| o.extent_sectors < 1 << 21);
        let short = cases("vmdk").find(split).unwrap();
        let small = shrunk(&short, split);
        let options = small.fixture.format.vmdk().unwrap();
        let plain = Vmdk { subformat: options.subformat, extent_sectors: 2048, ..PLAIN_VMDK };
        assert_eq!(*options, plain);
        assert_eq!(options.subformat, Subformat::TwoGbMaxExtentSparse, "only splits are of short extents");
        assert_eq!(small.fixture.without, Oddity::ALL.into(), "{}", small.describe());

        let large = |case: &Case| case.fixture.format.vhdx().is_some_and(|o| o.large_sectors);
        let case = cases("vhdx").find(large).unwrap();
        let small = shrunk(&case, large);
        assert_eq!(*small.fixture.format.vhdx().unwrap(), Vhdx { large_sectors: true, ..PLAIN_VHDX });

        let vbox = |case: &Case| case.fixture.format.vpc().is_some_and(|o| o.creator == Creator::Vbox);
        let case = cases("vpc").find(vbox).unwrap();
        let small = shrunk(&case, vbox);
        assert_eq!(*small.fixture.format.vpc().unwrap(), Vpc { creator: Creator::Vbox, ..PLAIN_VPC });
    }

    #[test]
    fn the_oddity_that_matters_is_named() {
        let gaps =
            |case: &Case| case.fixture.maker == Maker::Own && !case.fixture.without.contains(&Oddity::Gaps);
        let case = cases("vpc").find(gaps).unwrap();
        let small = shrunk(&case, gaps);
        assert_eq!(small.fixture.without, [Oddity::Order, Oddity::Garbage, Oddity::Extras].into());
    }
}
