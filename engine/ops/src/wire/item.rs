//! What an operation may have many of, to and from the item messages of `guest.proto`.

use crate::{Bitmap, Extent, ExtentKind, InfoItem, Snapshot};
use instar_abi::message::{BitmapMessage, DiskExtentMessage, GuestMessage_::Payload, SnapshotMessage};

/// The message of a snapshot, a bitmap or an extent.
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
        InfoItem::Extent(extent) => Payload::DiskExtent(DiskExtentMessage {
            name: extent.name,
            kind: match extent.kind {
                ExtentKind::Own => 0,
                ExtentKind::Flat => 1,
                ExtentKind::Sparse => 2,
                ExtentKind::Vmfs => 3,
            },
            virtual_size: extent.virtual_size,
            cluster_size: extent.cluster_size,
            compressed: extent.compressed,
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
        Payload::DiskExtent(message) => Some(InfoItem::Extent(Extent {
            name: message.name,
            kind: match message.kind {
                0 => ExtentKind::Own,
                1 => ExtentKind::Flat,
                2 => ExtentKind::Sparse,
                3 => ExtentKind::Vmfs,
                _ => return None,
            },
            virtual_size: message.virtual_size,
            cluster_size: message.cluster_size,
            compressed: message.compressed,
        })),
        _ => None,
    }
}
