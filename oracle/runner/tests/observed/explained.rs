//! The ways in which instar's outcome may differ from the recorded one; docs/divergences.md explains
//! each at length.

use crate::record::Case;
use oracle_judge::text::Difference;
use serde_json::Value;

/// One of those ways.
pub struct Explained {
    /// What docs/divergences.md calls it.
    pub id: &'static str,
    /// Where it shows.
    pub paths: &'static [&'static str],
    /// What must hold beyond that.
    pub when: fn(&Case, &Difference) -> bool,
    /// The name of a record that shows it.
    pub shown_by: &'static str,
}

/// All of them.
pub const ALL: &[Explained] = &[
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
        when: |case, difference| shrinks(case) && is_smaller(difference),
        shown_by: "qcow2[]67108864:33554432--shrink",
    },
    // Those tables may need more refcount blocks than the refcount table has room for: qemu-img moves it.
    Explained {
        id: "shrink-leaves-no-empty-tables",
        paths: &["header.refcount_table_offset", "header.refcount_table_clusters"],
        when: |case, difference| shrinks(case) && is_smaller(difference),
        shown_by: "qcow2[cluster_size=512]4194304+data:1073741824:2097152--shrink:8388608",
    },
];

fn shrinks(case: &Case) -> bool {
    case.format == "qcow2" && case.resizes.iter().any(|resize| resize.flags.iter().any(|f| f == "--shrink"))
}

fn is_smaller(difference: &Difference) -> bool {
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_u64);
    matches!((number(&difference.left), number(&difference.right)), (Some(ours), Some(theirs)) if ours < theirs)
}

/// The one that explains `difference`, if there is one.
pub fn explain(case: &Case, difference: &Difference) -> Option<&'static Explained> {
    ALL.iter().find(|e| e.paths.contains(&difference.path.as_str()) && (e.when)(case, difference))
}
