//! The ways in which instar's outcome may differ from the recorded one; docs/divergences.md explains each at length.

use crate::Case;
use oracle_judge::text::Difference;
use serde_json::Value;

/// Bytes of a cluster where the case names no other number.
const DEFAULT_CLUSTER: u64 = 64 << 10;

/// One of those ways.
#[derive(Debug)]
pub struct Explained {
    /// What docs/divergences.md calls it.
    pub id: &'static str,
    /// Where it shows.
    paths: &'static [&'static str],
    /// The key of the baselines' case that shows it with every version that does what the case asks for.
    pub case: &'static str,
    /// What must hold beyond that.
    when: fn(&Case, &Difference) -> bool,
}

/// Where the length of the file shows.
const LENGTHS: &[&str] = &[
    "host.length",
    "info.children.info.virtual-size",
    "instar-info.children.info.virtual-size",
    "check.json.image-end-offset",
    "instar-check.json.image-end-offset",
];

const ALL: &[Explained] = &[
    // qemu-img writes all bitmaps anew, behind the old ones: a table and a directory.
    Explained {
        id: "bitmaps-stay-in-place",
        paths: LENGTHS,
        case: "531f981d9a2c5294",
        when: |case, difference| {
            case.format == "qcow2" && case.has("bitmap") && is_smaller_by(case, difference, 2)
        },
    },
    // qemu-img allocates the L2 tables that a shrink is about to drop, and leaves the last one behind.
    Explained {
        id: "shrink-leaves-no-empty-tables",
        paths: LENGTHS,
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
    // qemu-img moves the refcount table behind everything else whenever it preallocates data clusters: the table, and
    // what is needed to count it.
    Explained {
        id: "preallocation-keeps-the-refcount-table",
        paths: LENGTHS,
        case: "f77cfb335d36ba9d",
        when: |case, difference| preallocates_data(case) && is_smaller_by(case, difference, 2),
    },
    Explained {
        id: "preallocation-keeps-the-refcount-table",
        paths: &["header.refcount_table_offset"],
        case: "f77cfb335d36ba9d",
        when: |case, difference| {
            // `create` puts it there.
            let (ours, _) = numbers(difference);
            preallocates_data(case) && ours == Some(cluster(case)) && is_smaller(difference)
        },
    },
    // So one gap in front of the new clusters is qemu-img's alone.
    Explained {
        id: "preallocated-clusters-lie-elsewhere",
        paths: &["check.json.fragmented-clusters", "instar-check.json.fragmented-clusters"],
        case: "a570fad19498b9e5",
        when: |case, difference| {
            let (ours, theirs) = numbers(difference);
            preallocates_data(case) && ours.unwrap_or(0) + 1 == theirs.unwrap_or(0)
        },
    },
    // qemu-img puts new data where the old L1 table was.
    Explained {
        id: "the-old-l1-table-goes-last",
        paths: LENGTHS,
        case: "c71c61ebf315a8cc",
        when: |case, difference| {
            let (ours, theirs) = numbers(difference);
            let both = ours.zip(theirs);
            let longer = both.is_some_and(|(ours, theirs)| ours > theirs && ours <= theirs + old_l1(case));
            preallocates(case) && longer
        },
    },
    // Version 2 cannot hide a longer backing file: qemu-img finds out when it has preallocated the new area.
    Explained {
        id: "refusal-leaves-nothing-behind",
        paths: &[
            "host.length",
            "info.children.info.virtual-size",
            "instar-info.children.info.virtual-size",
            "check.json.image-end-offset",
            "instar-check.json.image-end-offset",
            "check.json.allocated-clusters",
            "instar-check.json.allocated-clusters",
        ],
        case: "5d375644074aba5d",
        when: |case, difference| {
            let v2 = case.options.get("compat").is_some_and(|compat| compat == "0.10");
            let metadata = case.has_flag("--preallocation=metadata");
            v2 && metadata && case.backing().is_some() && is_smaller(difference)
        },
    },
];

fn has_mode(case: &Case, modes: &[&str]) -> bool {
    case.format == "qcow2" && modes.iter().any(|mode| case.has_flag(&format!("--preallocation={mode}")))
}

fn preallocates_data(case: &Case) -> bool {
    has_mode(case, &["falloc", "full"])
}

fn preallocates(case: &Case) -> bool {
    has_mode(case, &["metadata", "falloc", "full"])
}

fn shrinks(case: &Case) -> bool {
    case.format == "qcow2" && case.has_flag("--shrink")
}

/// Ours and theirs.
fn numbers(difference: &Difference) -> (Option<u64>, Option<u64>) {
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_u64);
    (number(&difference.left), number(&difference.right))
}

fn is_smaller(difference: &Difference) -> bool {
    matches!(numbers(difference), (Some(ours), Some(theirs)) if ours < theirs)
}

/// Whether our number of bytes is smaller than theirs, by so many clusters at most.
fn is_smaller_by(case: &Case, difference: &Difference, clusters: u64) -> bool {
    let most = clusters * cluster(case);
    matches!(numbers(difference), (Some(ours), Some(theirs)) if ours < theirs && theirs - ours <= most)
}

/// Bytes of a cluster.
fn cluster(case: &Case) -> u64 {
    let named = case.options.get("cluster_size").and_then(|size| bytes_of(size));
    named.unwrap_or(DEFAULT_CLUSTER).max(1)
}

/// Bytes of the clusters that the L1 table takes before the resize.
fn old_l1(case: &Case) -> u64 {
    let cluster = cluster(case);
    // qcow2.txt: an L2 table is a cluster of entries of 8 bytes.
    let entries = case.start.div_ceil(cluster * (cluster / 8).max(1));
    (8 * entries).next_multiple_of(cluster)
}

/// A size with an optional `k` or `M` behind it, in bytes.
fn bytes_of(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let unit = match text.as_bytes().last()? {
        b'k' => 1 << 10,
        b'm' => 1 << 20,
        _ => 1,
    };
    text.trim_end_matches(['k', 'm']).parse::<u64>().ok().map(|number| number * unit)
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
    fn what_is_explained_has_a_case_and_stands_in_the_document() {
        let known = oracle_judge::known().unwrap();
        let document = include_str!("../../../docs/divergences.md");
        let baselines = concat!(env!("CARGO_MANIFEST_DIR"), "/../../baselines");
        let store = crate::Store::load(std::path::Path::new(baselines)).unwrap();
        for one in explained() {
            assert!(store.entries().any(|entry| entry.case.key() == one.case), "{}", one.id);
            let heading = document.lines().any(|line| line.strip_prefix("### ") == Some(one.id));
            assert!(heading || known.iter().any(|entry| entry.id == one.id), "{}", one.id);
        }
    }

    #[test]
    fn a_longer_file_is_explained_by_the_old_l1_table_only() {
        let difference = |ours: u64| Difference {
            path: "host.length".into(),
            left: Some(json!(ours)),
            right: Some(json!(7_687_680)),
        };
        let cases = matrix();
        let case = cases.iter().find(|case| case.key() == "c71c61ebf315a8cc").unwrap();
        assert!(explain(case, &difference(7_687_680 + 512)).is_some());
        assert!(explain(case, &difference(7_687_680 + 1024)).is_none());
        let plain = Case { resizes: vec![], ..case.clone() };
        assert!(explain(&plain, &difference(7_687_680 + 512)).is_none());
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
