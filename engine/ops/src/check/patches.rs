//! Entries of tables that are about to be replaced, written many at a time where they are neighbours.

use crate::Disk;
use instar_formats::bytes::put_be64;
use instar_formats::io::IoError;

/// Bytes of an entry.
const ENTRY: usize = 8;
/// Bytes of neighbours that are written at once.
const RUN: usize = 4096;

/// A run of entries to be written, and one that may continue it.
#[derive(Debug)]
pub(super) struct Patches {
    next: Option<(u64, u64)>,
    start: u64,
    len: usize,
    run: [u8; RUN],
}

impl Default for Patches {
    fn default() -> Self {
        Self { next: None, start: 0, len: 0, run: [0; RUN] }
    }
}

impl Patches {
    /// The entry at byte `offset` of the file shall be `value`. [`Self::settle`] must come before the next one.
    pub const fn replace(&mut self, offset: u64, value: u64) {
        self.next = Some((offset, value));
    }

    /// Adds the entry that was replaced last, if any, to the run, and writes a run that it does not continue.
    ///
    /// # Errors
    /// The device's.
    pub fn settle<D: Disk>(&mut self, disk: &mut D) -> Result<(), IoError> {
        let Some((offset, value)) = self.next.take() else {
            return Ok(());
        };
        let continues = self.len < RUN && self.start.saturating_add(self.len as u64) == offset;
        if !continues {
            self.write(disk)?;
            self.start = offset;
        }
        put_be64(&mut self.run, self.len, value);
        self.len = self.len.saturating_add(ENTRY);
        Ok(())
    }

    /// Whether there is something left to write.
    pub const fn is_pending(&self) -> bool {
        self.len != 0
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The device's.
    pub fn write<D: Disk>(&mut self, disk: &mut D) -> Result<(), IoError> {
        let data = self.run.get(..self.len).unwrap_or_default();
        if !data.is_empty() {
            disk.write_at(self.start, data)?;
        }
        self.len = 0;
        Ok(())
    }
}
