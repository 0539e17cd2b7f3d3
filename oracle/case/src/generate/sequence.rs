//! Endless sequences of cases of some formats, or of all.

use super::unresized::Kind;
use crate::Case;
use crate::seed::SplitMix64;

/// The formats that `qemu-img` does not resize.
const UNRESIZED: [&str; 3] = ["vpc", "vhdx", "vmdk"];
/// One seed in so many is one of those, where all formats are wanted: most cases have something to be compared with.
const SHARE: u64 = 8;
/// Which of them.
const PLACE: u64 = 5;

impl Case {
    /// Cases of these formats, or of those that `qemu-img` resizes if none is named; with seeds from `first` on.
    pub fn sequence_of(first: u64, formats: &[&str]) -> impl Iterator<Item = (u64, Self)> + use<> {
        let kept = |unresized: bool| -> Vec<String> {
            let names = formats.iter().filter(|name| Kind::named(name).is_some() == unresized);
            names.map(ToString::to_string).collect()
        };
        let (resized, others) = (kept(false), kept(true));
        let any = formats.is_empty();
        let case = move |seed: u64| {
            let only = !any && resized.is_empty();
            if only || !others.is_empty() && seed % 2 == 1 {
                return one_of(&others, seed);
            }
            let wanted = |case: &Self| any || resized.iter().any(|name| name == case.fixture.format.name());
            Some(Self::from_seed(seed)).filter(wanted)
        };
        (first..).filter_map(move |seed| Some((seed, case(seed)?)))
    }

    /// Cases of all formats: one in eight is of one that `qemu-img` does not resize.
    pub fn sequence_of_all(first: u64) -> impl Iterator<Item = (u64, Self)> {
        let others = UNRESIZED.map(ToString::to_string);
        let case = move |seed: u64| match seed % SHARE {
            PLACE => one_of(&others, seed),
            _ => Some(Self::from_seed(seed)),
        };
        (first..).filter_map(move |seed| Some((seed, case(seed)?)))
    }
}

/// The case of a seed in one of these formats, whichever it falls on.
fn one_of(formats: &[String], seed: u64) -> Option<Case> {
    let place = SplitMix64::new(seed).below(formats.len() as u64);
    Case::from_seed_of(formats.get(usize::try_from(place).ok()?)?, seed)
}
