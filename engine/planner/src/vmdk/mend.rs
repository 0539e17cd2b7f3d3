//! What an interrupted shrink leaves: redundant tables that name other copies of grains than the tables do. Nobody reads them, but
//! whoever would fall back on them should find what everybody else finds.
//!
//! # After a crash
//! A table is written by the sector, each of which names the old copy or the new one of a grain, both of which are whole.

use super::shrink::write_changes;
use super::tables::{TABLE, byte, directories, entry};
use super::walk::{Finding, whole};
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::index;
use instar_formats::vmdk::{ENTRY_LEN, SparseHeader};

/// Makes redundant tables say what the tables say, if they differ and nothing else is wrong. What is right already is not
/// written.
///
/// # Errors
/// The device's.
pub fn mend<T: Target>(image: &mut T, header: &SparseHeader, scratch: &mut [u8]) -> Result<(), PlanError> {
    let (mut differ, mut wrong) = (false, false);
    // Where a directory or a table cannot be, a resize to another size says so.
    let Ok(walk) = whole(header, image.len()) else { return Ok(()) };
    let walked = walk.run::<_, PlanError>(image, scratch, &mut |finding| match finding {
        Finding::Differs { .. } => differ = true,
        _ => wrong = true,
    });
    match walked {
        Err(PlanError::Io(e)) => return Err(e.into()),
        Ok(_) if differ && !wrong => {}
        _ => return Ok(()),
    }
    let mut places = directories(header);
    let (Some(primary), Some(redundant)) = (places.next(), places.next()) else { return Ok(()) };
    let (len, mut table) = (index(header.table_entries.saturating_mul(ENTRY_LEN)).min(TABLE), [0; TABLE]);
    for n in 0..header.tables() {
        let (from, to) = (entry(image, primary, n)?, entry(image, redundant, n)?);
        image.read_at(byte(u64::from(from)), table.get_mut(..len).unwrap_or_default())?;
        write_changes(image, u64::from(to), &table, len)?;
    }
    Ok(image.apply(Patch::Barrier)?)
}
