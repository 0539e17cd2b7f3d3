//! What a check finds, to and from the message of `guest.proto`.

use crate::{CheckFinding, Damage, Fault, Table};
use instar_abi::message::{CheckFindingMessage, FindingFault, FindingKind, FindingTable};

const fn table_to_wire(table: Table) -> FindingTable {
    match table {
        Table::L1 => FindingTable::L1,
        Table::L2 => FindingTable::L2,
        Table::RefcountTable => FindingTable::RefcountTable,
    }
}

const fn table_from_wire(table: FindingTable) -> Option<Table> {
    match table {
        FindingTable::L1 => Some(Table::L1),
        FindingTable::L2 => Some(Table::L2),
        FindingTable::RefcountTable => Some(Table::RefcountTable),
        _ => None,
    }
}

const fn fault_to_wire(fault: Fault) -> FindingFault {
    match fault {
        Fault::Other => FindingFault::Other,
        Fault::Reserved => FindingFault::Reserved,
        Fault::Unaligned => FindingFault::Unaligned,
        Fault::DataUnaligned => FindingFault::DataUnaligned,
        Fault::ZeroUnaligned => FindingFault::ZeroUnaligned,
        Fault::PastEnd => FindingFault::PastEnd,
        Fault::Overflow => FindingFault::Overflow,
        Fault::CopiedCompressed => FindingFault::CopiedCompressed,
        Fault::Subclusters => FindingFault::Subclusters,
        Fault::NoCluster => FindingFault::NoCluster,
        Fault::BlockPastEnd => FindingFault::BlockPastEnd,
        Fault::BlockShared => FindingFault::BlockShared,
    }
}

const fn fault_from_wire(fault: FindingFault) -> Option<Fault> {
    Some(match fault {
        FindingFault::Other => Fault::Other,
        FindingFault::Reserved => Fault::Reserved,
        FindingFault::Unaligned => Fault::Unaligned,
        FindingFault::DataUnaligned => Fault::DataUnaligned,
        FindingFault::ZeroUnaligned => Fault::ZeroUnaligned,
        FindingFault::PastEnd => Fault::PastEnd,
        FindingFault::Overflow => Fault::Overflow,
        FindingFault::CopiedCompressed => Fault::CopiedCompressed,
        FindingFault::Subclusters => Fault::Subclusters,
        FindingFault::NoCluster => Fault::NoCluster,
        FindingFault::BlockPastEnd => Fault::BlockPastEnd,
        FindingFault::BlockShared => Fault::BlockShared,
        _ => return None,
    })
}

/// The message of a finding.
#[must_use]
pub fn finding_to_wire(finding: CheckFinding) -> CheckFindingMessage {
    let message = |kind, [a, b, c]: [u64; 3], fixed| CheckFindingMessage {
        kind,
        a,
        b,
        c,
        fixed,
        ..CheckFindingMessage::default()
    };
    match finding {
        CheckFinding::Leak { cluster, refcount, references, fixed } => {
            message(FindingKind::Leak, [cluster, refcount, references], fixed)
        }
        CheckFinding::Refcount { cluster, refcount, references, fixed } => {
            message(FindingKind::Refcount, [cluster, refcount, references], fixed)
        }
        CheckFinding::Entry { fault, table, offset, value, about: [c, d], fixed } => CheckFindingMessage {
            table: table_to_wire(table),
            fault: fault_to_wire(fault),
            d,
            ..message(FindingKind::Entry, [offset, value, c], fixed)
        },
        CheckFinding::Copied { table, index, value, refcount, fixed } => CheckFindingMessage {
            table: table_to_wire(table),
            ..message(FindingKind::Copied, [value, refcount, index], fixed)
        },
        CheckFinding::Unreadable { cluster } => message(FindingKind::Unreadable, [cluster, 0, 0], false),
        CheckFinding::NeedsRebuild => message(FindingKind::NeedsRebuild, [0; 3], false),
        CheckFinding::Rebuilding => message(FindingKind::Rebuilding, [0; 3], false),
        CheckFinding::Unclean => message(FindingKind::Unclean, [0; 3], false),
        CheckFinding::Damage { what, fixed } => {
            let (number, [b, c]) = what.to_wire();
            message(FindingKind::Damage, [u64::from(number), b, c], fixed)
        }
    }
}

/// The inverse of [`finding_to_wire`]; `None` for a kind, a table or a fault that means nothing.
#[must_use]
pub fn finding_from_wire(message: &CheckFindingMessage) -> Option<CheckFinding> {
    let CheckFindingMessage { kind, table, a, b, c, d, fault, fixed } = *message;
    Some(match kind {
        FindingKind::Leak => CheckFinding::Leak { cluster: a, refcount: b, references: c, fixed },
        FindingKind::Refcount => CheckFinding::Refcount { cluster: a, refcount: b, references: c, fixed },
        FindingKind::Entry => CheckFinding::Entry {
            fault: fault_from_wire(fault)?,
            table: table_from_wire(table)?,
            offset: a,
            value: b,
            about: [c, d],
            fixed,
        },
        FindingKind::Copied => {
            CheckFinding::Copied { table: table_from_wire(table)?, index: c, value: a, refcount: b, fixed }
        }
        FindingKind::Unreadable => CheckFinding::Unreadable { cluster: a },
        FindingKind::NeedsRebuild => CheckFinding::NeedsRebuild,
        FindingKind::Rebuilding => CheckFinding::Rebuilding,
        FindingKind::Unclean => CheckFinding::Unclean,
        FindingKind::Damage => {
            CheckFinding::Damage { what: Damage::from_wire(u32::try_from(a).ok()?, [b, c])?, fixed }
        }
        _ => return None,
    })
}
