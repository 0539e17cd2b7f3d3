//! The snapshot table ("Snapshots"): entries of varying length, each padded to 8 bytes.

use super::extension::ExtensionError;
use super::header::Header;
use super::walk::Buffered;
use crate::ImageError;
use crate::bytes::{be16, be32, be64, index};
use crate::io::ReadAt;

/// Length in bytes of what every entry has.
pub const FIXED_LEN: usize = 40;
/// Longest extra data of an entry that QEMU reads, in bytes.
pub const MAX_EXTRA: u64 = 1024;
/// Longest snapshot table that QEMU reads, in bytes.
const MAX_TABLE: u64 = 64 << 20;
/// Extra data that version 3 demands: vm state size and disk size.
const V3_EXTRA: u64 = 16;
/// Extra data that is understood here: those two and the instruction counter.
pub const KNOWN_EXTRA: usize = 24;
/// An instruction counter that was not recorded.
pub const NO_ICOUNT: u64 = u64::MAX;

/// An entry of the snapshot table. Names stay in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotEntry {
    /// Its place in the table, from 0.
    pub index: u64,
    /// Byte offset of the entry in the file.
    pub offset: u64,
    /// Length of its extra data in bytes.
    pub extra_len: u64,
    /// Byte offset of its L1 table.
    pub l1_offset: u64,
    /// Entries of that table.
    pub l1_entries: u64,
    /// Byte offset of its id.
    pub id_offset: u64,
    /// Length of its id in bytes.
    pub id_len: u64,
    /// Length in bytes of its name, which follows the id.
    pub name_len: u64,
    /// When it was taken, seconds since the epoch.
    pub date_sec: u32,
    /// And nanoseconds.
    pub date_nsec: u32,
    /// Guest clock in nanoseconds.
    pub vm_clock_nsec: u64,
    /// Size of the saved machine state in bytes.
    pub vm_state_size: u64,
    /// Virtual size in bytes at that time, where recorded.
    pub disk_size: Option<u64>,
    /// Instruction counter, where recorded.
    pub icount: Option<u64>,
    /// Whether it lacks fields that its image's version demands.
    pub incomplete: bool,
}

impl SnapshotEntry {
    /// Byte offset of its name.
    #[must_use]
    pub const fn name_offset(&self) -> u64 {
        self.id_offset.saturating_add(self.id_len)
    }

    /// Whether it has more extra data than QEMU reads.
    #[must_use]
    pub const fn has_excess(&self) -> bool {
        self.extra_len > MAX_EXTRA
    }

    /// Length in bytes of the extra data that it should have: no more than is read, and no less than its version demands.
    #[must_use]
    pub fn fitting_extra(&self) -> u64 {
        if self.incomplete { KNOWN_EXTRA as u64 } else { self.extra_len.min(MAX_EXTRA) }
    }

    /// Length in bytes of the entry with that extra data.
    #[must_use]
    pub fn fitting_len(&self) -> u64 {
        let names = self.id_len.saturating_add(self.name_len);
        padded((FIXED_LEN as u64).saturating_add(self.fitting_extra()).saturating_add(names))
    }
}

/// What follows `end` bytes begins at a multiple of 8.
const fn padded(end: u64) -> u64 {
    end.saturating_add(7) & !7
}

/// Walks the snapshot table.
#[derive(Debug)]
pub struct Snapshots {
    start: u64,
    next: u64,
    count: u32,
    left: u32,
    version: u32,
    repairable: bool,
}

impl Snapshots {
    /// The table that `header` names.
    #[must_use]
    pub const fn new(header: &Header) -> Self {
        Self {
            start: header.snapshots_offset,
            next: header.snapshots_offset,
            count: header.snapshots,
            left: header.snapshots,
            version: header.version,
            repairable: false,
        }
    }

    /// The same, whose entries may have too much extra data.
    #[must_use]
    pub const fn repairable(header: &Header) -> Self {
        Self { repairable: true, ..Self::new(header) }
    }

    /// The next entry, or `None` at the end.
    ///
    /// # Errors
    /// The device's, [`ImageError::SnapshotExtra`] or [`ImageError::SnapshotTableTooBig`].
    pub fn next<R: ReadAt + ?Sized>(
        &mut self,
        image: &mut R,
        reader: &mut Buffered<'_>,
    ) -> Result<Option<SnapshotEntry>, ExtensionError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        let offset = self.next;
        let entry = u64::from(self.count.saturating_sub(self.left));
        let mut fixed = [0; FIXED_LEN];
        let mut extra = [0; KNOWN_EXTRA];
        reader.exact(image, offset, MAX_TABLE, &mut fixed)?;
        let extra_len = u64::from(be32(&fixed, 36));
        if extra_len > MAX_EXTRA && !self.repairable {
            return Err(ImageError::SnapshotExtra { entry }.into());
        }
        let known = extra.get_mut(..index(extra_len).min(KNOWN_EXTRA)).unwrap_or_default();
        let extra_at = offset.saturating_add(FIXED_LEN as u64);
        reader.exact(image, extra_at, MAX_TABLE, known)?;
        let entry = self.decode((offset, entry), &fixed, &extra, extra_len);
        let next = padded(entry.name_offset().saturating_add(entry.name_len));
        if next.saturating_sub(self.start) > MAX_TABLE {
            return Err(ImageError::SnapshotTableTooBig { overhanging: u64::from(self.left) }.into());
        }
        (self.next, self.left) = (next, left);
        Ok(Some(entry))
    }

    /// Bytes of the entries walked so far; of the table, once there are no more.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.next.saturating_sub(self.start)
    }

    /// Whether nothing was walked so far.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn decode(
        &self,
        (offset, index): (u64, u64),
        fixed: &[u8],
        extra: &[u8],
        extra_len: u64,
    ) -> SnapshotEntry {
        let recorded = |at: usize| (extra_len >= (at as u64).saturating_add(8)).then(|| be64(extra, at));
        SnapshotEntry {
            index,
            offset,
            extra_len,
            l1_offset: be64(fixed, 0),
            l1_entries: u64::from(be32(fixed, 8)),
            id_offset: offset.saturating_add(FIXED_LEN as u64).saturating_add(extra_len),
            id_len: u64::from(be16(fixed, 12)),
            name_len: u64::from(be16(fixed, 14)),
            date_sec: be32(fixed, 16),
            date_nsec: be32(fixed, 20),
            vm_clock_nsec: be64(fixed, 24),
            vm_state_size: recorded(0).unwrap_or_else(|| u64::from(be32(fixed, 32))),
            disk_size: recorded(8),
            icount: recorded(16).filter(|n| *n != NO_ICOUNT),
            incomplete: self.version >= 3 && extra_len < V3_EXTRA,
        }
    }
}
