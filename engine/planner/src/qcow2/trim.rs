//! Giving the file's tail back: refcount blocks that count nothing any more, and what is behind the last
//! cluster in use.

use super::alloc::{end_of_named, end_of_used};
use super::leftover::{l1_of, l2_at, l2_format};
use super::refcounts::{Blocks, Run, covered_by, table_of};
use super::release::{Release, next_bit, set_bit, take_bit};
use super::scratch::Scratch;
use super::table::{TableWindow, clear};
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{index, is_zero};
use instar_formats::io::IoError;
use instar_formats::qcow2::{Cluster, Geometry, Header, Incompatible, refcount};

/// Bytes of the largest L2 entry.
const ENTRY: usize = 16;

/// Takes empty refcount blocks out of the table and returns the length in bytes that the file must
/// be given: up to the end of its last cluster in use, but never more than it has.
pub fn give_back<T: Target>(
    image: &mut T,
    header: &Header,
    file_len: u64,
    s: &mut Scratch<'_>,
) -> Result<u64, PlanError> {
    let mut release = Release::new(header, s.table, s.block, s.batch, s.touched);
    release.touch_last_blocks(image)?;
    while release.empty_blocks(image)? {
        release.touch_last_blocks(image)?;
    }
    // Refcounts may be wrong: what the image needs to be opened and resized is never cut off.
    let end = end_of_used(image, header, s)?.max(end_of_named(image, header, s)?);
    let end = end.max(end_of_disk(image, header, s)?);
    Ok(header.geometry.offset(end).min(file_len))
}

/// The index after the cluster in which the disk ends, if it does so in the middle of one: every resize looks at that.
fn end_of_disk<T: Target>(image: &mut T, header: &Header, s: &mut Scratch<'_>) -> Result<u64, IoError> {
    let (g, end) = (header.geometry, header.virtual_size());
    if g.in_cluster(end) == 0 || header.has(Incompatible::DATA_FILE) {
        return Ok(0);
    }
    let slot = end.wrapping_shr(g.l1_coverage_bits());
    let table = match l2_at(image, header, &mut TableWindow::new(l1_of(header), s.l1), slot) {
        Ok(Some(table)) => table,
        Err(PlanError::Io(failed)) => return Err(failed),
        Ok(None) | Err(_) => return Ok(0),
    };
    let (at, mut entry) = (g.cluster(end).saturating_sub(slot.wrapping_shl(g.l2_bits())), [0; ENTRY]);
    let own = entry.get_mut(..index(g.l2_entry_size())).unwrap_or_default();
    image.read_at(table.saturating_add(at.saturating_mul(g.l2_entry_size())), own)?;
    match l2_format(header).get(own, 0).1 {
        Cluster::Allocated(offset) => Ok(g.cluster(offset).saturating_add(1)),
        _ => Ok(0),
    }
}

impl Release<'_, '_> {
    /// Has the last blocks looked at, down to the first that counts anything but itself: whoever
    /// emptied them, they hold the end of the file.
    fn touch_last_blocks<T: Target>(&mut self, image: &mut T) -> Result<(), PlanError> {
        let g = self.header.geometry;
        let mut end = table_of(self.header).entries;
        while let Some((entry, _)) = self.window.last_used(image, end)? {
            end = entry;
            let mut blocks = Blocks { header: self.header, window: &mut self.window, buf: self.block };
            let Some((block, counts)) = blocks.load_mut(image, entry)? else { continue };
            if !counts_nothing_else(counts, g, covered_by(g, entry), g.cluster(block)) {
                break;
            }
            set_bit(self.touched, entry);
        }
        Ok(())
    }

    /// Takes blocks that count nothing but themselves out of the refcount table; then, behind a
    /// barrier, lets their own clusters go. Returns whether there was any: another may be empty now.
    fn empty_blocks<T: Target>(&mut self, image: &mut T) -> Result<bool, PlanError> {
        let table = table_of(self.header);
        let mut any = false;
        let mut next = 0;
        while let Some(entry) = next_bit(self.touched, next).filter(|entry| *entry < table.entries) {
            take_bit(self.touched, entry);
            next = entry.saturating_add(1);
            let mut blocks = Blocks { header: self.header, window: &mut self.window, buf: self.block };
            let Some((block, counts)) = blocks.load_mut(image, entry)? else { continue };
            let own = self.header.geometry.cluster(block);
            if counts_nothing_else(counts, self.header.geometry, covered_by(self.header.geometry, entry), own)
            {
                if self.batch.is_full() {
                    set_bit(self.touched, entry);
                    any = true;
                    break;
                }
                clear(image, table.at(entry), 8)?;
                self.batch.push(own);
                any = true;
            }
        }
        if any {
            image.apply(Patch::Barrier)?;
            self.window.forget();
            self.flush(image)?;
            image.apply(Patch::Barrier)?;
        }
        Ok(any)
    }
}

/// Whether a block counts no cluster, or only the one that it lies in itself.
fn counts_nothing_else(counts: &mut [u8], g: Geometry, covered: Run, own: u64) -> bool {
    if own >= covered.first && own < covered.end() {
        refcount::set(counts, g.refcount_order(), own.saturating_sub(covered.first), 0);
    }
    is_zero(counts)
}
