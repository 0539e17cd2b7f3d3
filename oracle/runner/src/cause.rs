//! Which kinds of divergence probably have one cause: what is seen only where another is seen follows from it.

use crate::tally::Group;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Oracles whose findings name a cause better than those of the others, the best first.
const TELLING: [&str; 5] = ["outcome", "refusal", "engines", "untouched", "clean"];

/// An oracle that carries steps of a case out in other ways: what it finds in any case of a root follows from that.
const DERIVED: &str = "metamorphic";

/// Of the cases that show a kind, how many in four must show the root for it to be a consequence.
const MOSTLY: usize = 3;

/// Kinds of divergence that are read as one finding.
#[derive(Debug, Clone, Serialize)]
pub struct Cause {
    /// Indices of the groups, the one to read first.
    pub groups: Vec<usize>,
    /// How many cases show any of them.
    pub cases: usize,
}

impl Cause {
    /// The group to read.
    pub fn first<'g>(&self, groups: &'g [Group]) -> Option<&'g Group> {
        groups.get(*self.groups.first()?)
    }

    /// The others.
    pub fn others<'g>(&self, groups: &'g [Group]) -> Vec<&'g Group> {
        self.groups.iter().skip(1).filter_map(|i| groups.get(*i)).collect()
    }
}

/// The same kind of divergence whichever way the resize goes.
struct Family {
    groups: Vec<usize>,
    cases: BTreeSet<usize>,
    rank: usize,
    derived: bool,
}

/// Puts groups together: the family seen in most cases is a root, and takes those that mostly appear
/// with it; then the next. Of equals, the one whose oracle tells most is the root.
pub fn causes(groups: &[Group]) -> Vec<Cause> {
    let mut left = families(groups);
    left.sort_by_key(|family| (std::cmp::Reverse(family.cases.len()), family.rank));
    let mut causes = Vec::new();
    while !left.is_empty() {
        let mut root = left.remove(0);
        let (follow, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|family| {
            let shared = family.cases.intersection(&root.cases).count();
            shared * 4 >= family.cases.len() * MOSTLY || family.derived && shared > 0
        });
        left = others;
        let mut telling: Vec<Family> = follow;
        let mut cases = std::mem::take(&mut root.cases);
        cases.extend(telling.iter().flat_map(|family| family.cases.iter().copied()));
        telling.sort_by_key(|family| family.rank);
        let groups = root.groups.into_iter().chain(telling.into_iter().flat_map(|family| family.groups));
        causes.push(Cause { groups: groups.collect(), cases: cases.len() });
    }
    causes
}

fn families(groups: &[Group]) -> Vec<Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for (i, group) in groups.iter().enumerate() {
        let class = &group.class;
        let key = format!("{}/{}/{}/{}", class.oracle, class.format, class.field, class.kind);
        let rank = TELLING.iter().position(|oracle| *oracle == class.oracle).unwrap_or(TELLING.len());
        let derived = class.oracle == DERIVED;
        let new = Family { groups: Vec::new(), cases: BTreeSet::new(), rank, derived };
        let family = families.entry(key).or_insert(new);
        family.groups.push(i);
        family.cases.extend(&group.jobs);
    }
    let mut families: Vec<Family> = families.into_values().collect();
    let cases = |i: &usize| std::cmp::Reverse(groups.get(*i).map_or(0, |group| group.jobs.len()));
    families.iter_mut().for_each(|family| family.groups.sort_by_key(cases));
    families
}

#[cfg(test)]
mod tests {
    use super::*;
    use oracle_judge::{Class, Direction, Kind};

    fn group(oracle: &'static str, direction: Direction, jobs: &[usize]) -> Group {
        let class = Class { oracle, format: "raw", field: "size".into(), direction, kind: Kind::Less };
        Group { jobs: jobs.iter().copied().collect(), ..Group::new(class, "", jobs[0], "") }
    }

    #[test]
    fn what_appears_with_another_follows_from_it() {
        let groups = [
            group("content", Direction::Grow, &[1, 2]),
            group("outcome", Direction::Grow, &[1, 2, 3]),
            group("outcome", Direction::Mixed, &[4]),
            group("info", Direction::Grow, &[1, 9, 10]),
        ];
        let causes = causes(&groups);
        let found: Vec<&[usize]> = causes.iter().map(|cause| cause.groups.as_slice()).collect();
        assert_eq!(found, [&[1, 2, 0][..], &[3]]);
        assert_eq!(causes[0].cases, 4);
    }

    #[test]
    fn of_equals_the_one_that_tells_most_is_read_first() {
        let groups = [group("content", Direction::Grow, &[1]), group("clean", Direction::Grow, &[1])];
        assert_eq!(causes(&groups)[0].groups, [1, 0]);
    }
}
