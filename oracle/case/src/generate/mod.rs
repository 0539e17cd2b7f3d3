//! Cases from bytes: a structured guess that [`Case::legalize`] then makes legal.
//!
//! All-zero bytes give the simplest case, and whatever is rare or must be refused needs bytes other than zero, so that a
//! shrinking byte string is a simplifying case.

mod draw;
mod fixture;
mod parts;
mod resizes;
mod sequence;
mod unresized;
mod writes;

use arbitrary::{Arbitrary, Unstructured};

use crate::{Case, Fixture, expected_after, features, seed};
use draw::Draw;

/// How many cases one seed may draw until one has what it aims at.
const ATTEMPTS: u64 = 2000;

impl Case {
    /// The case of a seed. The same seed means another case when the generator changes: keep cases, not seeds.
    ///
    /// Two seeds in three aim at a feature each, in turn, so that a few hundred reach them all, rare as some are.
    pub fn from_seed(seed: u64) -> Self {
        aimed(seed, features::ALL, Self::from_bytes)
    }

    /// The case that these bytes draw.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        generate(&mut Unstructured::new(bytes))
    }

    /// The endless sequence of cases whose seeds begin at `first`, with their seeds, kept where `keep` agrees.
    pub fn sequence(first: u64, keep: impl Fn(&Self) -> bool) -> impl Iterator<Item = (u64, Self)> {
        (first..).map(|seed| (seed, Self::from_seed(seed))).filter(move |(_, case)| keep(case))
    }

    /// The case of a seed in a format that `qemu-img` does not resize: `vpc`, `vhdx` or `vmdk`, or none of another name.
    ///
    /// Two seeds in three aim at a feature of that format.
    pub fn from_seed_of(format: &str, seed: u64) -> Option<Self> {
        let kind = unresized::Kind::named(format)?;
        let draw = |bytes: &[u8]| generate_with(&mut Unstructured::new(bytes), |draw| kind.fixture(draw));
        Some(aimed(seed, features::of_format(format), draw))
    }
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(generate(bytes))
    }
}

/// The first case that `seed` draws with the one of `features` that it aims at.
fn aimed(seed: u64, features: &[&str], draw: impl Fn(&[u8]) -> Case) -> Case {
    let turn = (seed - seed / 3).wrapping_sub(1) % features.len().max(1) as u64;
    let aim = features.get(usize::try_from(turn).unwrap_or(0)).filter(|_| !seed.is_multiple_of(3));
    let mut drawn = (0..ATTEMPTS).map(|attempt| draw(&seed::bytes_of(seed, attempt)));
    let first = drawn.next().unwrap_or_else(|| draw(&[]));
    let Some(aim) = aim else { return first };
    let wanted = |case: &Case| case.features().contains(aim);
    if wanted(&first) { first } else { drawn.find(wanted).unwrap_or(first) }
}

fn generate(bytes: &mut Unstructured) -> Case {
    generate_with(bytes, fixture::fixture)
}

fn generate_with(bytes: &mut Unstructured, fixture: impl Fn(&mut Draw) -> Fixture) -> Case {
    let draw = &mut Draw::new(bytes);
    let mut case = Case { fixture: fixture(draw), resizes: Vec::new(), after: Vec::new() };
    case.fixture.legalize();
    case.resizes = resizes::resizes(draw, &case.fixture);
    case.fixture.writes = writes::writes(draw, &case.fixture);
    case.legalize();
    case.after = writes::after(draw, expected_after(&case).size());
    case.legalize();
    case
}
