//! Around the writing of the header: flags, lengths, and what is let go of.

use super::super::release::Release;
use super::super::scratch::Scratch;
use super::change::Change;
use super::{AtEnd, BitmapsPlan, clear_behind, dropped_table, each, each_data, end_of};
use crate::{Patch, PlanError, Target};
use instar_formats::qcow2::Header;
use instar_formats::qcow2::bitmap::{BitmapEntry, IN_USE, at};

impl BitmapsPlan {
    /// Flags the bitmaps whose tables change in length, for good. The header's next write follows.
    pub fn guard<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        if !self.resized {
            return Ok(());
        }
        each(image, header, s.l1, |image, entry| {
            let change = Change::of(header.geometry, entry, self.old, self.new);
            if change.resizes() { write_word(image, entry, change.old.entries, IN_USE) } else { Ok(()) }
        })?;
        Ok(image.apply(Patch::Barrier)?)
    }

    /// Makes the bitmaps fit the disk, which has its new size, and lets go of what they lost. Ends with a
    /// barrier if there are bitmaps.
    pub fn finish<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        if !self.present {
            return Ok(());
        }
        let header = &Header { size_field: self.new, ..*header };
        if self.new <= self.old {
            self.clear_ends(image, header, s)?;
        }
        if self.resized {
            each(image, header, s.l1, |image, entry| {
                let change = Change::of(header.geometry, entry, self.old, self.new);
                if change.resizes() { write_word(image, entry, change.entries, 0) } else { Ok(()) }
            })?;
            image.apply(Patch::Barrier)?;
        }
        if self.resized && self.new < self.old { self.release(image, header, s) } else { Ok(()) }
    }

    fn clear_ends<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        each(image, header, s.l1, |image, entry| {
            let change = Change::of(header.geometry, entry, self.old, self.new);
            match end_of(image, header, &change)? {
                AtEnd::Data(offset) => clear_behind(image, header.geometry, offset, change.end, s.l2),
                AtEnd::Nothing | AtEnd::Ones => Ok(()),
            }
        })?;
        Ok(image.apply(Patch::Barrier)?)
    }

    /// Lets go of what is behind the ends of tables that became shorter: it is still written there.
    fn release<T: Target>(
        &self,
        image: &mut T,
        header: &Header,
        s: &mut Scratch<'_>,
    ) -> Result<(), PlanError> {
        let mut release = Release::new(header, s.table, s.block, s.batch, s.touched);
        each(image, header, s.l1, |image, entry| {
            let change = Change::of(header.geometry, entry, self.old, self.new);
            let dropped = (change.old, change.entries);
            each_data(image, header, dropped, s.copy, |image, (_, cluster)| release.cluster(image, cluster))?;
            let table = dropped_table(header.geometry, &change);
            (table.first..table.end()).try_for_each(|cluster| release.cluster(image, cluster))
        })?;
        release.flush(image)?;
        Ok(image.apply(Patch::Barrier)?)
    }
}

/// Writes the word of a directory entry that says how long its table is, and whether it is in use.
fn write_word<T: Target>(
    image: &mut T,
    entry: &BitmapEntry,
    entries: u64,
    in_use: u32,
) -> Result<(), PlanError> {
    let word = entries.wrapping_shl(32) | u64::from(entry.flags & !IN_USE | in_use);
    let offset = entry.offset.saturating_add(at::TABLE_ENTRIES);
    Ok(image.apply(Patch::Write { offset, data: &word.to_be_bytes() })?)
}
