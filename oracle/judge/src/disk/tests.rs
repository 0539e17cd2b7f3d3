use super::*;

fn disk() -> Disk {
    Disk { size: 0, runs: BTreeMap::new(), problems: Vec::new(), kept: BTreeMap::new(), files: Vec::new() }
}

#[test]
fn what_lies_on_each_other_or_behind_the_end_is_named() {
    let mut disk = disk();
    let range = |at, len, name: &str| (at, len, name.to_string());
    disk.apart(vec![range(10, 10, "b"), range(0, 10, "a")], 20);
    assert!(disk.problems.is_empty());
    disk.apart(vec![range(10, 11, "b"), range(0, 11, "a")], 20);
    let fields: Vec<_> = disk.problems.iter().map(|problem| problem.field).collect();
    assert_eq!(fields, ["overlap", "past-the-end"]);
}
