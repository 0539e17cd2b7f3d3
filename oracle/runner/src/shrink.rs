//! Making a case smaller while it still shows what it shows.

mod unresized;

use oracle_case::{Backing, Case, FormatOptions, MadeBy, Maker, Preallocation, Qcow2, Space, expected_steps};
use std::time::Instant;

/// Sizes and size words that are easy to read, the simplest first.
const SIZES: [u64; 5] = [1 << 20, 64 << 10, 64 << 20, 1 << 30, 1 << 40];
const WORDS: [&str; 9] = ["2M", "+1M", "512K", "-512K", "128M", "2G", "+1G", "2T", "+1T"];

/// How long to look for a smaller case.
pub struct Limits {
    /// How many cases to try.
    pub runs: usize,
    /// When to try no more.
    pub until: Instant,
}

/// The smallest case found within `limits` for which `shows` still holds.
pub fn shrink(case: &Case, limits: &Limits, mut shows: impl FnMut(&Case) -> bool) -> Case {
    let mut best = case.clone();
    let mut left = limits.runs;
    'again: loop {
        for candidate in candidates(&best) {
            if left == 0 || Instant::now() >= limits.until {
                return best;
            }
            left -= 1;
            if shows(&candidate) {
                best = candidate;
                continue 'again;
            }
        }
        return best;
    }
}

/// Legal cases that are simpler than `case` in one way each, the boldest first.
fn candidates(case: &Case) -> Vec<Case> {
    let mut found: Vec<Case> = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Case)| {
        let mut smaller = case.clone();
        change(&mut smaller);
        smaller.legalize();
        if smaller != *case && weight(&smaller) < weight(case) && !found.contains(&smaller) {
            found.push(smaller);
        }
    };
    fewer_parts(case, &mut offer);
    plainer_options(case, &mut offer);
    rounder_numbers(case, &mut offer);
    found
}

type Offer<'o> = &'o mut dyn FnMut(&dyn Fn(&mut Case));

fn fewer_parts(case: &Case, offer: Offer) {
    offer(&|c| {
        c.after.clear();
        c.fixture.writes.clear();
        c.fixture.tweaks.clear();
        c.fixture.snapshots.clear();
        c.fixture.bitmaps.clear();
        c.fixture.data_file = None;
        c.fixture.backing = None;
    });
    offer(&|c| c.after.clear());
    offer(&|c| c.fixture.writes.clear());
    offer(&|c| c.fixture.tweaks.clear());
    for i in 0..case.resizes.len() {
        offer(&|c| take(&mut c.resizes, i));
    }
    // As if the image had been made at the size that a resize finds.
    for (i, before) in (1..case.resizes.len()).zip(expected_steps(case)) {
        let size = before.content.size();
        offer(&|c| {
            c.fixture.size = size;
            c.resizes.drain(..i);
        });
    }
    for i in 0..case.fixture.tweaks.len() {
        offer(&|c| take(&mut c.fixture.tweaks, i));
    }
    offer(&|c| c.fixture.snapshots.clear());
    offer(&|c| c.fixture.bitmaps.clear());
    offer(&|c| c.fixture.data_file = None);
    offer(&|c| c.fixture.backing = None);
    offer(&|c| c.fixture.snapshots.truncate(1));
    offer(&|c| c.fixture.bitmaps.truncate(1));
    offer(&|c| c.fixture.backing.iter_mut().for_each(|backing| backing.backing = None));
    offer(&|c| c.fixture.backing.iter_mut().for_each(|backing| backing.writes.clear()));
    let writes = case.fixture.writes.len();
    offer(&|c| c.fixture.writes.truncate(writes / 2));
    offer(&|c| c.fixture.writes = c.fixture.writes.split_off(writes / 2));
    for i in 0..writes {
        offer(&|c| take(&mut c.fixture.writes, i));
    }
}

fn plainer_options(case: &Case, offer: Offer) {
    let plain = |change: fn(&mut Qcow2)| {
        move |c: &mut Case| {
            if let FormatOptions::Qcow2(options) = &mut c.fixture.format {
                change(options);
            }
        }
    };
    offer(&|c| c.fixture.maker = Maker::default());
    unresized::plainer(case, offer);
    offer(&|c| c.fixture.made_by = MadeBy::default());
    offer(&|c| c.fixture.backing.iter_mut().for_each(|backing| backing.absolute = false));
    offer(&|c| c.fixture.backing.iter_mut().for_each(|backing| backing.size = 2 << 20));
    offer(&|c| c.fixture.data_file.iter_mut().for_each(|file| file.raw = false));
    offer(&plain(|q| q.space = Space::Sparse));
    offer(&plain(|q| *q = Qcow2::default()));
    offer(&plain(|q| (q.lazy_refcounts, q.zstd, q.preallocated) = (false, false, false)));
    offer(&plain(|q| q.encryption = None));
    offer(&plain(|q| q.extended_l2 = false));
    offer(&plain(|q| q.cluster_bits = Qcow2::default().cluster_bits));
    offer(&plain(|q| q.refcount_bits = Qcow2::default().refcount_bits));
    offer(&plain(|q| q.version = Qcow2::default().version));
    for i in 0..case.resizes.len() {
        let resize = |change: fn(&mut oracle_case::Resize)| {
            move |c: &mut Case| c.resizes.get_mut(i).into_iter().for_each(change)
        };
        offer(&resize(|r| r.preallocation = Preallocation::Off));
        offer(&resize(|r| r.name_format = true));
    }
}

fn rounder_numbers(case: &Case, offer: Offer) {
    for size in SIZES {
        offer(&|c| c.fixture.size = size);
        for i in 0..case.resizes.len() {
            for word in WORDS {
                let put = |c: &mut Case| {
                    c.resizes.get_mut(i).into_iter().for_each(|resize| resize.size = word.into());
                };
                offer(&|c| {
                    c.fixture.size = size;
                    put(c);
                });
                offer(&put);
            }
        }
    }
    for i in 0..case.fixture.writes.len() {
        let write = |change: fn(&mut oracle_case::Write)| {
            move |c: &mut Case| c.fixture.writes.get_mut(i).into_iter().for_each(change)
        };
        offer(&write(|w| w.offset = 0));
        offer(&write(|w| w.offset = w.offset.checked_ilog2().map_or(0, |bits| 1 << bits)));
        offer(&write(|w| w.len = 64 << 10));
        offer(&write(|w| w.len = 512));
    }
}

fn take<T>(list: &mut Vec<T>, index: usize) {
    let _ = list.remove(index);
}

/// How much there is to a case: first its parts and unusual options, then how hard its numbers are to read.
pub fn weight(case: &Case) -> (usize, usize) {
    let fixture = &case.fixture;
    let plain = Qcow2::default();
    let options = fixture.format.qcow2().map_or(0, |q| {
        let encrypted = q.encryption.is_some();
        let flags =
            [q.lazy_refcounts, q.zstd, q.preallocated, q.extended_l2, !q.space.is_sparse(), encrypted];
        let values = [
            q.cluster_bits != plain.cluster_bits,
            q.refcount_bits != plain.refcount_bits,
            q.version != plain.version,
        ];
        flags.into_iter().chain(values).filter(|unusual| *unusual).count()
    });
    let (foreign, spelled) = unresized::weight(fixture);
    let unusual =
        usize::from(fixture.maker != Maker::default()) + usize::from(!fixture.made_by.is_newest()) + foreign;
    let resizes = case.resizes.iter();
    let asked =
        resizes.map(|r| 1 + usize::from(r.preallocation != Preallocation::Off) + usize::from(!r.name_format));
    let chain = fixture.backing.iter().flat_map(Backing::chain);
    let behind: usize = chain.map(|b| 1 + b.writes.len() + usize::from(b.absolute)).sum();
    let data_file = fixture.data_file.map_or(0, |file| 1 + usize::from(file.raw));
    let inside = fixture.snapshots.len() + fixture.bitmaps.len() + data_file + behind;
    let parts = fixture.writes.len() + fixture.tweaks.len() + case.after.len() + inside;
    let words: usize = case.resizes.iter().map(|r| r.size.len()).sum();
    let written: usize = fixture.writes.iter().map(|w| digits(w.offset) + digits(w.len)).sum();
    let behind: usize = fixture.backing.iter().map(|backing| digits(backing.size)).sum();
    (
        parts + options + unusual + asked.sum::<usize>(),
        digits(fixture.size) + behind + words + written + spelled,
    )
}

/// How long a number is when it is written with a binary suffix.
fn digits(number: u64) -> usize {
    let suffixes = number.checked_ilog2().map_or(0, |_| number.trailing_zeros() / 10 * 10);
    (number >> suffixes).to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limits(runs: usize) -> Limits {
        Limits { runs, until: Instant::now() + Duration::from_secs(60) }
    }

    #[test]
    fn what_does_not_matter_goes_and_what_does_stays() {
        let rich = |case: &Case| case.fixture.writes.len() > 2 && !case.resizes.is_empty();
        let (_, case) = Case::sequence(1, rich).next().unwrap();
        let needed = case.fixture.writes[1].clone();
        let small = shrink(&case, &limits(2000), |c| c.fixture.writes.contains(&needed));
        assert_eq!(small.fixture.writes, [needed]);
        assert!(weight(&small) < weight(&case));
    }

    #[test]
    fn if_nothing_matters_little_is_left() {
        for seed in 0..50 {
            let small = shrink(&Case::from_seed(seed), &limits(2000), |_| true);
            assert!(weight(&small) <= (1, 6), "{}", small.describe());
        }
    }

    #[test]
    fn no_more_runs_than_allowed() {
        let case = Case::from_seed(5);
        let mut runs = 0;
        shrink(&case, &limits(3), |_| {
            runs += 1;
            false
        });
        assert!(runs <= 3);
    }
}
