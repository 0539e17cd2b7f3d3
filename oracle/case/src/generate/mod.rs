//! Cases from bytes: a structured guess that [`Case::legalize`] then makes legal.
//!
//! All-zero bytes give the simplest case, and whatever is rare or must be refused needs bytes other than zero, so that a
//! shrinking byte string is a simplifying case.

mod draw;
mod fixture;
mod resizes;
mod writes;

use arbitrary::{Arbitrary, Unstructured};

use crate::{Case, expected_after, seed};
use draw::Draw;

impl Case {
    /// The case of a seed. The same seed means another case when the generator changes: keep cases, not seeds.
    pub fn from_seed(seed: u64) -> Self {
        Self::from_bytes(&seed::bytes(seed))
    }

    /// The case that these bytes draw.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        generate(&mut Unstructured::new(bytes))
    }

    /// The endless sequence of cases whose seeds begin at `first`, with their seeds, kept where `keep` agrees.
    pub fn sequence(first: u64, keep: impl Fn(&Self) -> bool) -> impl Iterator<Item = (u64, Self)> {
        (first..).map(|seed| (seed, Self::from_seed(seed))).filter(move |(_, case)| keep(case))
    }
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(generate(bytes))
    }
}

fn generate(bytes: &mut Unstructured) -> Case {
    let draw = &mut Draw::new(bytes);
    let mut case = Case { fixture: fixture::fixture(draw), resizes: Vec::new(), after: Vec::new() };
    case.fixture.legalize();
    case.resizes = resizes::resizes(draw, &case.fixture);
    case.fixture.writes = writes::writes(draw, &case.fixture);
    case.legalize();
    case.after = writes::after(draw, expected_after(&case).size());
    case.legalize();
    case
}
