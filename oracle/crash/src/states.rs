//! What a file may look like after a crash: which changes of the interval that was under way had arrived.

use oracle_case::seed::SplitMix64;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::trace::{Op, Trace};

/// How far the states of one interval are gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Every subset is tried of an interval with at most so many changes.
    pub exhaustive: usize,
    /// Random subsets of a longer one.
    pub samples: usize,
    /// Random choices of sectors, in every interval.
    pub scattered: usize,
    /// Places at which each change is torn, at most.
    pub cuts: u64,
    /// Calls of one resize that are made to fail in this process, at most; of more, an even choice.
    pub calls: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { exhaustive: 12, samples: 512, scattered: 64, cuts: 16, calls: 256 }
    }
}

impl Bounds {
    /// Bounds for states that each take long.
    #[must_use]
    pub fn fewer(self) -> Self {
        Self {
            exhaustive: self.exhaustive.min(4),
            samples: self.samples.min(8),
            scattered: self.scattered.min(4),
            cuts: self.cuts.min(1),
            calls: self.calls.min(16),
        }
    }
}

/// How much of a change arrived. Sectors are counted from the first that it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// All of it.
    All,
    /// So many sectors, and not the rest.
    Head(u64),
    /// All but so many sectors at the beginning.
    Tail(u64),
    /// Each sector or not, as a sequence with this seed has it.
    Scattered(u64),
}

/// A crash during one interval: all of those before it had arrived, and of its own changes these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The interval, counted from 0.
    pub interval: usize,
    /// Changes by their number in the interval, in order, and how much of each.
    pub arrived: Vec<(usize, Part)>,
}

impl Part {
    fn apply(self, op: &Op, image: &mut Image) {
        let sectors = op.sectors();
        match self {
            Self::All => op.apply(image),
            Self::Head(n) => op.apply_sectors(image, 0, n),
            Self::Tail(n) => op.apply_sectors(image, n, sectors),
            Self::Scattered(seed) => {
                let mut rng = SplitMix64::new(seed);
                // Of a long range of zeros, pieces will do.
                let piece = sectors.div_ceil(1024);
                for n in (0..sectors).step_by(usize::try_from(piece).unwrap_or(usize::MAX)) {
                    if rng.below(2) == 1 {
                        op.apply_sectors(image, n, n + piece);
                    }
                }
            }
        }
    }
}

impl State {
    /// Makes `image`, which has what was durable before the interval, what this crash leaves.
    pub fn apply(&self, trace: &Trace, image: &mut Image) {
        let Some(interval) = trace.intervals.get(self.interval) else {
            return;
        };
        for (number, part) in &self.arrived {
            if let Some(op) = interval.get(*number) {
                part.apply(op, image);
            }
        }
    }
}

/// Calls `each` with every state of the interval number `interval` of `trace` within `bounds`, until it returns false.
/// The same seed gives the same states.
pub fn for_each_state(
    trace: &Trace,
    interval: usize,
    bounds: &Bounds,
    seed: u64,
    each: &mut dyn FnMut(State) -> bool,
) -> bool {
    let Some(ops) = trace.intervals.get(interval) else {
        return true;
    };
    let rng = &mut SplitMix64::new(seed ^ interval as u64);
    let mut tell = |arrived| each(State { interval, arrived });
    subsets(ops.len(), bounds, rng, &mut tell)
        && torn(ops, bounds, &mut tell)
        && scattered(ops, bounds, rng, &mut tell)
}

type Tell<'t> = dyn FnMut(Vec<(usize, Part)>) -> bool + 't;

fn chosen(n: usize, choose: impl Fn(usize) -> bool) -> Vec<(usize, Part)> {
    (0..n).filter(|i| choose(*i)).map(|i| (i, Part::All)).collect()
}

fn subsets(n: usize, bounds: &Bounds, rng: &mut SplitMix64, tell: &mut Tell) -> bool {
    if n <= bounds.exhaustive {
        return (0..1_u64 << n).all(|mask| tell(chosen(n, |i| mask >> i & 1 == 1)));
    }
    let ordered = (0..=n).all(|prefix| tell(chosen(n, |i| i < prefix)))
        && (0..n).all(|missing| tell(chosen(n, |i| i != missing)))
        && (0..n).all(|alone| tell(chosen(n, |i| i == alone)));
    ordered
        && (0..bounds.samples).all(|_| {
            // Few, half or most of them.
            let share = 1 + rng.below(7);
            let mask: Vec<bool> = (0..n).map(|_| rng.below(8) < share).collect();
            tell(chosen(n, |i| mask[i]))
        })
}

/// Every change torn at every place (or an even choice of places), with none of the others, those before it, or all.
fn torn(ops: &[Op], bounds: &Bounds, tell: &mut Tell) -> bool {
    let cut_at = |number: usize, cut: u64, tell: &mut Tell| {
        let company: [&dyn Fn(usize) -> bool; 3] = [&|i| i < number, &|_| false, &|_| true];
        company.iter().all(|others| {
            [Part::Head(cut), Part::Tail(cut)].into_iter().all(|part| {
                let mut arrived = chosen(ops.len(), |i| i != number && others(i));
                let at = arrived.partition_point(|(i, _)| *i < number);
                arrived.insert(at, (number, part));
                tell(arrived)
            })
        })
    };
    ops.iter().enumerate().all(|(number, op)| {
        let (sectors, mut last) = (op.sectors(), 0);
        let places = (sectors - 1).min(bounds.cuts);
        (1..=places).all(|place| {
            let cut =
                u64::try_from(u128::from(place) * u128::from(sectors) / u128::from(places + 1)).unwrap_or(1);
            let cut = cut.max(last + 1);
            last = cut;
            cut_at(number, cut, tell)
        })
    })
}

fn scattered(ops: &[Op], bounds: &Bounds, rng: &mut SplitMix64, tell: &mut Tell) -> bool {
    if ops.iter().all(|op| op.sectors() == 1) {
        return true;
    }
    (0..bounds.scattered).all(|_| {
        let part = |i| match rng.below(3) {
            0 => None,
            1 => Some((i, Part::All)),
            _ => Some((i, Part::Scattered(rng.next_u64()))),
        };
        tell((0..ops.len()).filter_map(part).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn all(ops: Vec<Op>) -> HashSet<State> {
        let trace = Trace { intervals: vec![ops] };
        let mut states = HashSet::new();
        assert!(for_each_state(&trace, 0, &Bounds::default(), 1, &mut |state| {
            states.insert(state);
            true
        }));
        states
    }

    fn write(sectors: usize) -> Op {
        Op::Write { offset: 4096, data: vec![1; sectors * 512] }
    }

    #[test]
    fn small_intervals_are_exhausted() {
        assert_eq!(all(vec![write(1); 12]).len(), 1 << 12);
        assert_eq!(all(Vec::new()).len(), 1, "nothing arrived");
        // Four subsets, and of the second change three cuts, each half, alone and with the first one (which is both
        // what came before and all of the others), and of the scattered ones at most as many as are drawn.
        let states = all(vec![write(1), write(4)]);
        let is_scattered =
            |state: &&State| state.arrived.iter().any(|(_, p)| matches!(p, Part::Scattered(_)));
        assert_eq!(states.len() - states.iter().filter(is_scattered).count(), 4 + 3 * 2 * 2);
    }

    #[test]
    fn long_intervals_have_every_prefix() {
        let states = all(vec![write(1); 40]);
        for prefix in 0..=40 {
            let arrived = (0..prefix).map(|i| (i, Part::All)).collect();
            assert!(states.contains(&State { interval: 0, arrived }));
        }
        assert!(states.len() > 500, "{}", states.len());
    }

    #[test]
    fn a_state_survives_being_written_down() {
        let arrived = vec![(0, Part::All), (2, Part::Head(3)), (5, Part::Scattered(9))];
        let state = State { interval: 4, arrived };
        let text = serde_json::to_string(&state).expect("JSON");
        assert_eq!(serde_json::from_str::<State>(&text).expect("a state"), state);
    }
}
