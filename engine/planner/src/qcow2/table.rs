//! Tables of 8-byte entries (L1, refcount table), read through a window.

use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{be64, index, last_used_word, used_words};
use instar_formats::io::{IoError, ReadAt};

/// Where a table lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Byte offset in the file.
    pub offset: u64,
    /// Number of entries.
    pub entries: u64,
}

impl Table {
    /// The byte offset of entry `index`.
    pub const fn at(&self, index: u64) -> u64 {
        self.offset.saturating_add(index.saturating_mul(8))
    }
}

/// A window on a table, so that reading entries in any near order costs one request a window.
pub struct TableWindow<'s> {
    table: Table,
    buf: &'s mut [u8],
    first: u64,
    held: u64,
}

impl<'s> TableWindow<'s> {
    /// A window on `table` that holds as much as `buf` does.
    pub const fn new(table: Table, buf: &'s mut [u8]) -> Self {
        Self { table, buf, first: 0, held: 0 }
    }

    /// Entry `index`; beyond the table there are only empty ones.
    pub fn get<R: ReadAt + ?Sized>(&mut self, image: &mut R, entry: u64) -> Result<u64, IoError> {
        if entry >= self.table.entries {
            return Ok(0);
        }
        if entry < self.first || entry >= self.first.saturating_add(self.held) {
            self.load(image, entry)?;
        }
        Ok(be64(self.buf, index(entry.saturating_sub(self.first).saturating_mul(8))))
    }

    /// Forgets what was read: the table has changed.
    pub const fn forget(&mut self) {
        self.held = 0;
    }

    /// The first entry from `from` on that is not empty.
    pub fn next_used<R: ReadAt + ?Sized>(
        &mut self,
        image: &mut R,
        from: u64,
    ) -> Result<Option<(u64, u64)>, IoError> {
        let mut entry = from;
        while entry < self.table.entries {
            if self.get(image, entry)? != 0 {
                break;
            }
            let held = self.held_entries();
            let next = used_words(held, index(entry.saturating_sub(self.first))).next();
            entry = self.first.saturating_add(next.map_or(held.len(), |(i, _)| i) as u64);
        }
        Ok(if entry < self.table.entries { Some((entry, self.get(image, entry)?)) } else { None })
    }

    /// The last entry before `end` that is not empty.
    pub fn last_used<R: ReadAt + ?Sized>(
        &mut self,
        image: &mut R,
        end: u64,
    ) -> Result<Option<(u64, u64)>, IoError> {
        let mut end = end.min(self.table.entries);
        while let Some(last) = end.checked_sub(1) {
            self.get(image, last)?;
            let held = self.held_entries();
            let before = held.get(..index(end.saturating_sub(self.first))).unwrap_or_default();
            if let Some((i, value)) = last_used_word(before) {
                return Ok(Some((self.first.saturating_add(i as u64), value)));
            }
            end = self.first;
        }
        Ok(None)
    }

    /// The entries at hand.
    fn held_entries(&self) -> &[[u8; 8]] {
        self.buf.get(..index(self.held.saturating_mul(8))).unwrap_or_default().as_chunks().0
    }

    /// Loads the aligned window that holds `entry`, so that walking down is as cheap as walking up.
    fn load<R: ReadAt + ?Sized>(&mut self, image: &mut R, entry: u64) -> Result<(), IoError> {
        let room = (self.buf.len() as u64 / 8).max(1);
        self.first = entry.saturating_sub(entry.checked_rem(room).unwrap_or(0));
        let held = room.min(self.table.entries.saturating_sub(self.first));
        self.held = 0;
        let part = self.buf.get_mut(..index(held.saturating_mul(8))).unwrap_or_default();
        image.read_at(self.table.at(self.first), part)?;
        self.held = held;
        Ok(())
    }
}

/// Copies a table to its new, larger place, and zeroes the rest of that.
pub fn copy_table<T: Target>(image: &mut T, old: Table, new: Table, buf: &mut [u8]) -> Result<(), PlanError> {
    copy_table_with(image, old, new, buf, |_, _, _| Ok(()))
}

/// As [`copy_table`], with parts of it changed on the way: `change` is given the index of a part's first entry, and the
/// part.
pub fn copy_table_with<T: Target>(
    image: &mut T,
    old: Table,
    new: Table,
    buf: &mut [u8],
    mut change: impl FnMut(&mut T, u64, &mut [u8]) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    let (mut done, all) = (0, old.entries.saturating_mul(8));
    while done < all {
        let part = index(all.saturating_sub(done)).min(buf.len());
        let part = buf.get_mut(..part).unwrap_or_default();
        image.read_at(old.offset.saturating_add(done), part)?;
        change(image, done / 8, part)?;
        image.apply(Patch::Write { offset: new.offset.saturating_add(done), data: part })?;
        done = done.saturating_add(part.len() as u64);
    }
    let len = new.entries.saturating_mul(8).saturating_sub(all);
    image.apply(Patch::ZeroFill { offset: new.at(old.entries), len, unmap: false })?;
    Ok(())
}

/// Zeros for entries that are cleared; longer runs are filled by the device.
const ZEROS: [u8; 4096] = [0; 4096];

/// Writes zeros over table entries.
pub fn clear<T: Target>(image: &mut T, offset: u64, len: u64) -> Result<(), IoError> {
    match ZEROS.get(..index(len)) {
        Some(data) => image.apply(Patch::Write { offset, data }),
        None => image.apply(Patch::ZeroFill { offset, len, unmap: false }),
    }
}
