//! The clusters that bitmaps have, whatever their refcounts say.

use super::super::refcounts::Run;
use super::super::table::Table;
use super::{each, is_inside};
use crate::PlanError;
use instar_formats::bytes::be64;
use instar_formats::io::ReadAt;
use instar_formats::qcow2::Header;
use instar_formats::qcow2::bitmap::{Bitmaps, table_entry};
use instar_formats::qcow2::walk::Buffered;

/// Calls `each_run` with the clusters of the directory, of the tables and of the data. An entry of a table that makes no sense
/// names none: it keeps no disk from being resized.
///
/// # Errors
/// The device's, those of `each_run`, or [`PlanError::Image`] if the directory makes no sense.
pub fn each_named<R: ReadAt>(
    image: &mut R,
    header: &Header,
    (directory, table): (&mut [u8], &mut [u8]),
    each_run: &mut impl FnMut(&mut R, Run) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    let g = header.geometry;
    let found = Bitmaps::find(header, image)?;
    if found.start == 0 {
        return Ok(());
    }
    each_run(image, Run { first: g.cluster(found.start), count: g.clusters(found.len) })?;
    each(image, header, directory, |image, entry| {
        let old = Table { offset: entry.table_offset, entries: entry.table_entries };
        let count = g.clusters(old.entries.saturating_mul(8));
        each_run(image, Run { first: g.cluster(old.offset), count })?;
        let mut reader = Buffered::new(table);
        for n in 0..old.entries {
            let (mut word, ahead) = ([0; 8], old.entries.saturating_sub(n).saturating_mul(8));
            reader.exact(image, old.at(n), ahead, &mut word)?;
            match table_entry(be64(&word, 0), header) {
                Ok(offset) if offset != 0 && is_inside(image, header, offset) => {
                    each_run(image, Run { first: g.cluster(offset), count: 1 })?;
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    })
}
