//! What a check finds, as `qemu-img` puts it on standard error.

use crate::message::to_stderr;
use instar_ops::{CheckFinding, Fault, Table};

/// What follows a cluster with more references than a refcount can say.
const OVERFLOW_HINT: &str = "Use qemu-img amend to increase the refcount entry width or qemu-img convert to \
                             create a clean copy if the image cannot be opened for writing";

/// Puts a finding on standard error.
pub fn show_finding(finding: CheckFinding) {
    if let Some(text) = text(&finding) {
        to_stderr(&text);
    }
}

const fn verb(fixed: bool) -> &'static str {
    if fixed { "Repairing" } else { "ERROR" }
}

fn text(finding: &CheckFinding) -> Option<String> {
    Some(match *finding {
        CheckFinding::Leak { cluster, refcount, references, fixed } => {
            let verb = if fixed { "Repairing" } else { "Leaked" };
            format!("{verb} cluster {cluster} refcount={refcount} reference={references}")
        }
        CheckFinding::Refcount { cluster, refcount, references, fixed } => {
            format!("{} cluster {cluster} refcount={refcount} reference={references}", verb(fixed))
        }
        CheckFinding::Entry { fault, table, offset, value, about, fixed } => {
            let reason = match table {
                Table::RefcountTable => block_text(fault, about),
                Table::L1 | Table::L2 => entry_text(fault, table, value, about),
            };
            let other = || format!(" {} entry at byte {offset} is invalid: {value:x}", table_name(table));
            format!("{}{}", verb(fixed), reason.unwrap_or_else(other))
        }
        CheckFinding::Copied { table, index, value, refcount, fixed } => {
            let what = match table {
                Table::L1 => format!("L2 cluster: l1_index={index} l1_entry"),
                Table::L2 => "data cluster: l2_entry".to_owned(),
                Table::RefcountTable => "refcount block: entry".to_owned(),
            };
            format!("{} OFLAG_COPIED {what}={value:x} refcount={refcount}", verb(fixed))
        }
        CheckFinding::Unreadable { cluster } => {
            format!("Can't get refcount for cluster {cluster}: Input/output error")
        }
        CheckFinding::NeedsRebuild => "ERROR need to rebuild refcount structures".to_owned(),
        CheckFinding::Rebuilding => "Rebuilding refcount structure".to_owned(),
        CheckFinding::Damage { what, fixed: false } if what.is_leak() => format!("Leaked {what}"),
        CheckFinding::Damage { what, fixed: true } if what.is_discarded() => format!("Discarding {what}"),
        CheckFinding::Damage { what, fixed } => format!("{} {what}", verb(fixed)),
        CheckFinding::Unclean => return None,
    })
}

/// What follows the verb for an entry of an L1 or L2 table, or what something else names past the
/// end of the file or too often; `None` where QEMU has no words.
fn entry_text(fault: Fault, table: Table, value: u64, [a, b]: [u64; 2]) -> Option<String> {
    let name = if table == Table::L1 { "L1" } else { "l2" };
    Some(match fault {
        Fault::Reserved => format!(" found {name} entry with reserved bits set: {value:x}"),
        Fault::Unaligned if table == Table::L1 => {
            format!(" l2_offset={a:x}: Table is not cluster aligned; L1 entry corrupted")
        }
        Fault::DataUnaligned => {
            format!(" offset={a:x}: Data cluster is not properly aligned; L2 entry corrupted.")
        }
        Fault::ZeroUnaligned => {
            format!(" offset={a:x}: Preallocated cluster is not properly aligned; L2 entry corrupted.")
        }
        Fault::CopiedCompressed => {
            format!(": coffset=0x{a:x}: copied flag must never be set for compressed clusters")
        }
        Fault::Subclusters => {
            format!(" offset={a:x}: Allocated cluster has corrupted subcluster allocation bitmap")
        }
        Fault::NoCluster => ": Unallocated cluster has non-zero subcluster allocation map".to_owned(),
        fault => return reference_text(fault, [a, b]),
    })
}

/// The same for an entry of the refcount table.
fn block_text(fault: Fault, [a, b]: [u64; 2]) -> Option<String> {
    Some(match fault {
        Fault::Reserved => format!(" refcount table entry {a} has reserved bits set"),
        Fault::Unaligned => {
            format!(" refcount block {a} is not cluster aligned; refcount table entry corrupted")
        }
        Fault::BlockPastEnd => format!(" refcount block {a} is outside image"),
        Fault::BlockShared => format!(" refcount block {a} refcount={b}"),
        fault => return reference_text(fault, [a, b]),
    })
}

/// The same for a reference that cannot be counted.
fn reference_text(fault: Fault, [a, b]: [u64; 2]) -> Option<String> {
    match fault {
        Fault::PastEnd => Some(format!(
            ": counting reference for region exceeding the end of the file by one cluster or more: offset \
             0x{a:x} size 0x{b:x}"
        )),
        Fault::Overflow => Some(format!(": overflow cluster offset=0x{a:x}\n{OVERFLOW_HINT}")),
        _ => None,
    }
}

const fn table_name(table: Table) -> &'static str {
    match table {
        Table::L1 => "L1",
        Table::L2 => "L2",
        Table::RefcountTable => "refcount table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_in_qemu_words() {
        let copied = |table, fixed| {
            let value = 0x8000_0000_0005_0000;
            text(&CheckFinding::Copied { table, index: 3, value, refcount: 0, fixed }).unwrap_or_default()
        };
        let data = "ERROR OFLAG_COPIED data cluster: l2_entry=8000000000050000 refcount=0";
        assert_eq!(copied(Table::L2, false), data);
        let l1 = "Repairing OFLAG_COPIED L2 cluster: l1_index=3 l1_entry=8000000000050000 refcount=0";
        assert_eq!(copied(Table::L1, true), l1);
    }

    #[test]
    fn a_fault_that_qemu_has_no_words_for_says_where_it_is() {
        let finding = CheckFinding::Entry {
            fault: Fault::Other,
            table: Table::L2,
            offset: 4096,
            value: 17,
            about: [0; 2],
            fixed: false,
        };
        assert_eq!(text(&finding).as_deref(), Some("ERROR L2 entry at byte 4096 is invalid: 11"));
    }
}
