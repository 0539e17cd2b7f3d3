//! Making a case smaller while it still shows what it shows.

use oracle_case::Case;

/// The smallest case found, in at most `runs` tries, for which `shows` still holds.
pub fn shrink(case: &Case, runs: usize, mut shows: impl FnMut(&Case) -> bool) -> Case {
    let mut best = case.clone();
    let mut left = runs;
    'again: loop {
        for candidate in candidates(&best) {
            if left == 0 {
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
    offer(&|c| c.after.clear());
    offer(&|c| c.fixture.writes.clear());
    offer(&|c| c.fixture.tweaks.clear());
    for i in 0..case.resizes.len() {
        offer(&|c| take(&mut c.resizes, i));
    }
    for i in 0..case.fixture.tweaks.len() {
        offer(&|c| take(&mut c.fixture.tweaks, i));
    }
    let writes = case.fixture.writes.len();
    offer(&|c| c.fixture.writes.truncate(writes / 2));
    offer(&|c| c.fixture.writes = c.fixture.writes.split_off(writes / 2));
    for i in 0..writes {
        offer(&|c| take(&mut c.fixture.writes, i));
    }
    offer(&|c| {
        if let oracle_case::FormatOptions::Qcow2(q) = &mut c.fixture.format {
            (q.lazy_refcounts, q.zstd, q.preallocated) = (false, false, false);
        }
    });
    found
}

fn take<T>(list: &mut Vec<T>, index: usize) {
    let _ = list.remove(index);
}

/// How much there is to a case: parts, not bytes.
fn weight(case: &Case) -> usize {
    let options = case
        .fixture
        .format
        .qcow2()
        .map_or(0, |q| usize::from(q.lazy_refcounts) + usize::from(q.zstd) + usize::from(q.preallocated));
    let fixture = case.fixture.writes.len() + case.fixture.tweaks.len();
    case.resizes.len() + case.after.len() + fixture + options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_goes_and_what_does_stays() {
        let rich = |case: &Case| case.fixture.writes.len() > 2 && !case.resizes.is_empty();
        let (_, case) = Case::sequence(1, rich).next().unwrap();
        let needed = case.fixture.writes[1].clone();
        let small = shrink(&case, 200, |c| c.fixture.writes.contains(&needed));
        assert_eq!(small.fixture.writes, [needed]);
        assert!(weight(&small) < weight(&case));
    }

    #[test]
    fn no_more_runs_than_allowed() {
        let case = Case::from_seed(5);
        let mut runs = 0;
        shrink(&case, 3, |_| {
            runs += 1;
            false
        });
        assert!(runs <= 3);
    }
}
