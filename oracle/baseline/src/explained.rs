//! The ways in which instar's outcome may differ from the recorded one; docs/divergences.md explains each at length.

use crate::Case;
use oracle_judge::text::Difference;
use serde_json::Value;

/// One of those ways.
#[derive(Debug)]
pub struct Explained {
    /// What docs/divergences.md calls it.
    pub id: &'static str,
    /// Where it shows.
    paths: &'static [&'static str],
    /// The cases in which it may show.
    cases: fn(&Case) -> bool,
    /// What must hold beyond that.
    when: fn(&Difference) -> bool,
}

impl Explained {
    /// Whether it may show in this case.
    #[must_use]
    pub fn concerns(&self, case: &Case) -> bool {
        (self.cases)(case)
    }
}

const ALL: &[Explained] = &[
    // qemu-img allocates the L2 tables that a shrink is about to drop, and leaves the last one behind.
    Explained {
        id: "shrink-leaves-no-empty-tables",
        paths: &[
            "host.length",
            "info.children.info.virtual-size",
            "instar-info.children.info.virtual-size",
            "check.json.image-end-offset",
            "instar-check.json.image-end-offset",
        ],
        cases: shrinks,
        when: is_smaller,
    },
    // Those tables may need more refcount blocks than the refcount table has room for: qemu-img moves it.
    Explained {
        id: "shrink-moves-no-refcount-table",
        paths: &["header.refcount_table_offset", "header.refcount_table_clusters"],
        cases: shrinks,
        when: is_smaller,
    },
];

fn shrinks(case: &Case) -> bool {
    case.format == "qcow2" && case.has_flag("--shrink")
}

fn is_smaller(difference: &Difference) -> bool {
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_u64);
    matches!((number(&difference.left), number(&difference.right)), (Some(ours), Some(theirs)) if ours < theirs)
}

/// All of them.
#[must_use]
pub fn explained() -> &'static [Explained] {
    ALL
}

/// The one that explains `difference`, instar's value being the left one, if there is one.
#[must_use]
pub fn explain(case: &Case, difference: &Difference) -> Option<&'static Explained> {
    ALL.iter()
        .find(|e| e.paths.contains(&difference.path.as_str()) && e.concerns(case) && (e.when)(difference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix;
    use serde_json::json;

    #[test]
    fn only_a_smaller_number_after_a_shrink_is_explained() {
        let difference = |ours: u64| Difference {
            path: "host.length".into(),
            left: Some(json!(ours)),
            right: Some(json!(10)),
        };
        let cases = matrix();
        let case = |shrinks| {
            cases.iter().find(|c| c.format == "qcow2" && c.has_flag("--shrink") == shrinks).unwrap()
        };
        assert!(explain(case(true), &difference(9)).is_some());
        assert!(explain(case(true), &difference(11)).is_none());
        assert!(explain(case(false), &difference(9)).is_none());
    }
}
