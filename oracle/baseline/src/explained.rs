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
    /// The key of the matrix's case that shows it with every version that does what the case asks for.
    pub case: &'static str,
    /// What must hold beyond that.
    when: fn(&Case, &Difference) -> bool,
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
        case: "a24cb65b576fe63c",
        when: |case, difference| shrinks(case) && is_smaller(difference),
    },
    // Those tables may need more refcount blocks than the refcount table has room for: qemu-img moves it.
    Explained {
        id: "shrink-moves-no-refcount-table",
        paths: &["header.refcount_table_offset", "header.refcount_table_clusters"],
        case: "cf15a5d05f00af38",
        when: |case, difference| shrinks(case) && is_smaller(difference),
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
    ALL.iter().find(|e| e.paths.contains(&difference.path.as_str()) && (e.when)(case, difference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix;
    use serde_json::json;

    #[test]
    fn what_is_explained_has_a_case_in_the_matrix_and_is_known() {
        let known = oracle_judge::known().unwrap();
        for one in explained() {
            assert!(matrix().iter().any(|case| case.key() == one.case && shrinks(case)), "{}", one.id);
            assert!(known.iter().any(|entry| entry.id == one.id), "{}", one.id);
        }
    }

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
