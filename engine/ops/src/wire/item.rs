//! What an operation may have many of, to and from the item messages of `guest.proto`.

use crate::{Bitmap, CheckFinding, InfoItem, Snapshot, Table};
use instar_abi::message::{
    BitmapMessage, CheckFindingMessage, FindingKind, FindingTable, GuestMessage_::Payload, SnapshotMessage,
};

/// The message of a snapshot or a bitmap.
#[must_use]
pub fn info_item_to_wire(item: InfoItem) -> Payload {
    match item {
        InfoItem::Snapshot(snapshot) => Payload::Snapshot(SnapshotMessage {
            id: snapshot.id,
            name: snapshot.name,
            vm_state_size: snapshot.vm_state_size,
            date_sec: snapshot.date_sec,
            date_nsec: snapshot.date_nsec,
            vm_clock_nsec: snapshot.vm_clock_nsec,
            icount: snapshot.icount,
        }),
        InfoItem::Bitmap(bitmap) => Payload::Bitmap(BitmapMessage {
            name: bitmap.name,
            granularity: bitmap.granularity,
            in_use: bitmap.in_use,
            auto_load: bitmap.auto,
        }),
    }
}

/// The inverse of [`info_item_to_wire`]; `None` for any other message.
#[must_use]
pub fn info_item_from_wire(payload: Payload) -> Option<InfoItem> {
    match payload {
        Payload::Snapshot(message) => Some(InfoItem::Snapshot(Snapshot {
            id: message.id,
            name: message.name,
            vm_state_size: message.vm_state_size,
            date_sec: message.date_sec,
            date_nsec: message.date_nsec,
            vm_clock_nsec: message.vm_clock_nsec,
            icount: message.icount,
        })),
        Payload::Bitmap(message) => Some(InfoItem::Bitmap(Bitmap {
            name: message.name,
            granularity: message.granularity,
            in_use: message.in_use,
            auto: message.auto_load,
        })),
        _ => None,
    }
}

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

/// The message of a finding.
#[must_use]
pub fn finding_to_wire(finding: CheckFinding) -> CheckFindingMessage {
    let none = FindingTable::Unspecified;
    let (kind, table, [a, b, c]) = match finding {
        CheckFinding::Leak { cluster, refcount, references } => {
            (FindingKind::Leak, none, [cluster, refcount, references])
        }
        CheckFinding::Refcount { cluster, refcount, references } => {
            (FindingKind::Refcount, none, [cluster, refcount, references])
        }
        CheckFinding::Entry { table, offset, value } => {
            (FindingKind::Entry, table_to_wire(table), [offset, value, 0])
        }
        CheckFinding::Copied { table, value, refcount } => {
            (FindingKind::Copied, table_to_wire(table), [value, refcount, 0])
        }
    };
    CheckFindingMessage { kind, table, a, b, c }
}

/// The inverse of [`finding_to_wire`]; `None` for a kind or a table that means nothing.
#[must_use]
pub fn finding_from_wire(message: &CheckFindingMessage) -> Option<CheckFinding> {
    let CheckFindingMessage { kind, table, a, b, c } = *message;
    match kind {
        FindingKind::Leak => Some(CheckFinding::Leak { cluster: a, refcount: b, references: c }),
        FindingKind::Refcount => Some(CheckFinding::Refcount { cluster: a, refcount: b, references: c }),
        FindingKind::Entry => {
            Some(CheckFinding::Entry { table: table_from_wire(table)?, offset: a, value: b })
        }
        FindingKind::Copied => {
            Some(CheckFinding::Copied { table: table_from_wire(table)?, value: a, refcount: b })
        }
        _ => None,
    }
}
