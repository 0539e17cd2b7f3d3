//! The commit word: the first sector of the header.

use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{put_be32, put_be64};
use instar_formats::io::IoError;
use instar_formats::qcow2::Header;
use instar_formats::qcow2::header::{AUTOCLEAR_BITMAPS, AUTOCLEAR_RAW, at};

/// As much of the header sector as a resize may change: up to the end of the autoclear word.
const FIELDS: usize = 96;

/// Changes the header's size field, and nothing else, for good.
///
/// # Errors
/// The device's.
pub fn size<T: Target>(image: &mut T, header: &Header, size: u64) -> Result<(), PlanError> {
    fields(image, &Header { size_field: size, ..*header })
}

/// Writes the size, L1 and refcount-table fields of `header` over those on disk, in one write inside
/// one sector, with a barrier behind it. Every other byte stays, but that autoclear bits nobody here
/// knows are cleared, as whoever writes to an image must.
///
/// # Errors
/// The device's.
pub fn fields<T: Target>(image: &mut T, header: &Header) -> Result<(), PlanError> {
    let mut old = [0; FIELDS];
    image.read_at(0, &mut old)?;
    let mut new = old;
    put_be64(&mut new, at::SIZE, header.size_field);
    put_be32(&mut new, at::L1_SIZE, u32::try_from(header.l1_entries).unwrap_or(u32::MAX));
    put_be64(&mut new, at::L1_OFFSET, header.l1_offset);
    put_be64(&mut new, at::REFCOUNT_TABLE_OFFSET, header.refcount_table_offset);
    let clusters = u32::try_from(header.refcount_table_clusters).unwrap_or(u32::MAX);
    put_be32(&mut new, at::REFCOUNT_TABLE_CLUSTERS, clusters);
    if header.version >= 3 {
        put_be64(&mut new, at::AUTOCLEAR, header.autoclear & (AUTOCLEAR_BITMAPS | AUTOCLEAR_RAW));
    }
    write_difference(image, &old, &new)?;
    image.apply(Patch::Barrier)?;
    Ok(())
}

fn write_difference<T: Target>(image: &mut T, old: &[u8; FIELDS], new: &[u8; FIELDS]) -> Result<(), IoError> {
    let differs = |i: &usize| old.get(*i) != new.get(*i);
    let (Some(first), Some(last)) = ((0..FIELDS).find(differs), (0..FIELDS).rev().find(differs)) else {
        return Ok(());
    };
    let data = new.get(first..=last).unwrap_or_default();
    image.apply(Patch::Write { offset: first as u64, data })
}
