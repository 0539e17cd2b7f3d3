use super::*;
use crate::grid::{Column, Status};
use oracle_baseline::{judge, matrix};
use serde_json::json;

/// A grid of one row, and what `add` makes of an instar's host length of `ours` where 10 is recorded for the
/// case with this key.
fn sum(key: &str, ours: u64) -> (Grid, Tally) {
    let case = matrix().into_iter().find(|case| case.key() == key).unwrap();
    let (label, reader): (Label, Version) = ("8.1.0".parse().unwrap(), "10.0.2".parse().unwrap());
    let outcome = |length: u64| {
        let resizes = case.resizes.iter().map(|_| json!({"rc": 0, "out": "", "err": ""}));
        json!({"create": {"rc": 0}, "resizes": resizes.collect::<Vec<_>>(), "host": {"length": length}})
    };
    let (theirs, ours) = (outcome(10), outcome(ours));
    let column = Column { origin: Origin::Baseline, version: label.to_string() };
    let row =
        Row { label: String::new(), describe: String::new(), failure: None, cells: vec![Cell::default()] };
    let mut grid = Grid::default();
    (grid.columns, grid.rows) = (vec![column], vec![row]);
    let mut sum = Sum {
        grid: &mut grid,
        first: 0,
        columns: BTreeMap::from([(label.clone(), 0)]),
        explain: true,
        counts: BTreeMap::new(),
        groups: BTreeMap::new(),
        known: BTreeMap::new(),
        checked: BTreeSet::new(),
        shown: BTreeSet::new(),
    };
    let pair = Pair { label: &label, theirs: &theirs, ours: &ours, reader: &reader };
    sum.add(0, "instar", &case, &pair, judge(&case, &label, &theirs, &ours, &reader));
    let mut tally = Tally::default();
    sum.finish(&mut tally);
    (grid, tally)
}

#[test]
fn a_divergence_is_a_finding_with_both_documents() {
    let (grid, tally) = sum(explained()[0].case, 11);
    assert_eq!(grid.rows[0].cells[0].status(), Status::Disagree);
    let found = &grid.rows[0].cells[0].found[0];
    assert_eq!(found.class, "baseline-host/qcow2/host.length/grow/more");
    let evidence = found.evidence.as_ref().unwrap();
    let marked: Vec<_> = evidence.lines.iter().filter(|line| line.differs).collect();
    assert_eq!(marked.iter().map(|line| line.path.as_str()).collect::<Vec<_>>(), [found.field.as_str()]);
    assert_eq!((marked[0].left.trim(), marked[0].right.trim()), ("length: 11", "length: 10"));
    assert_eq!(tally.groups.len(), 1);
    assert!(tally.groups[0].between.contains("instar and qemu-img 8.1.0 (baseline)"));
    assert_eq!(tally.causes.len(), 1);
}

#[test]
fn what_is_known_is_excused_and_what_its_own_case_does_not_show_is_stale() {
    let (grid, tally) = sum(explained()[0].case, 9);
    assert_eq!(grid.rows[0].cells[0].status(), Status::Known);
    assert_eq!(grid.rows[0].cells[0].found[0].known, [explained()[0].id]);
    assert!(tally.groups.is_empty() && tally.stale.is_empty());
    let (grid, tally) = sum(explained()[0].case, 10);
    assert_eq!(grid.rows[0].cells[0].status(), Status::Agree);
    assert_eq!(tally.stale, [explained()[0].id]);
    let other = matrix().into_iter().find(|case| case.format == "raw").unwrap();
    assert!(sum(&other.key(), 10).1.stale.is_empty());
}
