//! What an interrupted shrink leaves, and every later resize has to mend: redundant tables that name other copies of grains than the tables do. Nobody reads them, but
//! whoever would fall back on them should find what everybody else finds.
//!
//! # After a crash
//! A table is written by the sector, each of which names the old copy or the new one of a grain, both of which are whole.

use super::shrink::write_changes;
use super::tables::{TABLE, byte, directories, entry};
use super::walk::{Finding, Walk, whole};
use crate::longer::Longer;
use crate::{Patch, PlanError, ReadAt, Target};
use instar_formats::bytes::index;
use instar_formats::vmdk::{ENTRY_LEN, SparseHeader};

/// Most tables of a disk that is looked at: one of 16 TiB has so many, of 1 GiB. To read more takes longer than it is worth.
const MOST_TABLES: u64 = 1 << 19;

/// Makes redundant tables say what the tables say, if they differ and nothing else is wrong, in a file that is or shall be
/// `len` bytes long. Only the first `tables` are compared: the others are new. What is right already is not written.
///
/// # Errors
/// The device's.
pub fn mend<T: Target>(
    image: &mut T,
    (header, tables, len): (&SparseHeader, u64, u64),
    scratch: &mut [u8],
) -> Result<(), PlanError> {
    let image = &mut Longer { image, len };
    let (mut differ, mut wrong) = (false, false);
    // Where a directory or a table cannot be, a resize to another size says so.
    let Ok(walk) = whole(header, len) else { return Ok(()) };
    let tables = tables.min(header.tables());
    if header.tables() > MOST_TABLES || !(Walk { tables, ..walk }).differs(image, scratch)? {
        return Ok(());
    }
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

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    extern crate std;

    use super::*;
    use instar_formats::io::IoError;
    use instar_formats::vmdk::Layout;
    use std::{assert, assert_eq, vec};

    /// A file of nothing but zeros, which counts what is read.
    struct Zeros(u64);

    impl ReadAt for Zeros {
        fn len(&self) -> u64 {
            u64::MAX
        }

        fn read_at(&mut self, _: u64, buf: &mut [u8]) -> Result<(), IoError> {
            self.0 += buf.len() as u64;
            buf.fill(0);
            Ok(())
        }
    }

    impl Target for Zeros {
        fn apply(&mut self, _: Patch<'_>) -> Result<(), IoError> {
            panic!("nothing differs")
        }
    }

    #[test]
    fn what_would_take_minutes_is_left_alone() {
        let read = |tables: u64| {
            let header = Layout::new(tables * 65536).header(3);
            assert_eq!(header.tables(), tables);
            let mut file = Zeros(0);
            mend(&mut file, (&header, tables, 1 << 50), &mut vec![0; crate::SCRATCH_LEN])
                .expect("no device fails");
            file.0
        };
        assert!(read(MOST_TABLES) > 0);
        assert_eq!(read(MOST_TABLES + 1), 0);
    }
}
