//! Giving the grains of a new area their places.

use super::grow::{Grow, Home};
use super::tables::{PIECE, byte, entry};
use crate::{Patch, Preallocation, Target};
use instar_formats::bytes::{index, put_le32};
use instar_formats::io::IoError;
use instar_formats::vmdk::ENTRY_LEN;

/// Bytes of zeros that are written at a time.
const ZEROS: usize = 1 << 20;

impl Grow {
    /// Gives new grains their space, as it was asked for.
    pub(super) fn allocate<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        let (mut offset, end) = (byte(self.data.first), byte(self.data.end));
        let len = end.saturating_sub(offset);
        match self.mode {
            _ if len == 0 => Ok(()),
            Preallocation::Off => Ok(()),
            Preallocation::Metadata => image.apply(Patch::ZeroFill { offset, len, unmap: true }),
            Preallocation::Falloc => image.apply(Patch::ZeroFill { offset, len, unmap: false }),
            Preallocation::Full => {
                // All of the space first: a disk too small for it says so before anything is written.
                image.apply(Patch::ZeroFill { offset, len, unmap: false })?;
                let zeros = scratch.get_mut(..ZEROS).unwrap_or_default();
                zeros.fill(0);
                while offset < end {
                    let now = end.saturating_sub(offset).min(zeros.len() as u64).max(1);
                    image
                        .apply(Patch::Write { offset, data: zeros.get(..index(now)).unwrap_or_default() })?;
                    offset = offset.saturating_add(now);
                }
                Ok(())
            }
        }
    }

    /// Writes the entries of new grains.
    pub(super) fn map<T: Target>(&self, image: &mut T, scratch: &mut [u8]) -> Result<(), IoError> {
        if self.data.end == self.data.first {
            return Ok(());
        }
        for home in self.homes.iter().flatten() {
            let mut grain = self.first_grain;
            while grain < self.new.grains_for(self.new.capacity) {
                grain = self.map_some(image, home, grain, scratch)?;
            }
        }
        Ok(())
    }

    /// Writes entries from that of `grain` on, in one table or in several that follow each other, and returns the
    /// grain behind them.
    fn map_some<T: Target>(
        &self,
        image: &mut T,
        home: &Home,
        grain: u64,
        scratch: &mut [u8],
    ) -> Result<u64, IoError> {
        let per = self.old.table_entries.max(1);
        let (table, first) = (grain.checked_div(per).unwrap_or(0), grain.checked_rem(per).unwrap_or(0));
        let (sector, run) = self.tables_from(image, home, table)?;
        let buf = scratch.get_mut(..PIECE).unwrap_or_default();
        let room = (buf.len() as u64).checked_div(byte(self.old.table_sectors())).unwrap_or(0).max(1);
        let end = self.new.grains_for(self.new.capacity);
        let run = run.min(room).min(self.new.tables().saturating_sub(table));
        let behind = table.saturating_add(run).saturating_mul(per).min(end);
        let used =
            buf.get_mut(..index(byte(run.saturating_mul(self.old.table_sectors())))).unwrap_or_default();
        image.read_at(byte(sector), used)?;
        for g in grain..behind {
            let inside = first.saturating_add(g.saturating_sub(grain));
            let within = inside.checked_rem(per).unwrap_or(0).saturating_mul(ENTRY_LEN);
            let table = inside.checked_div(per).unwrap_or(0).saturating_mul(byte(self.old.table_sectors()));
            let place = g.saturating_sub(self.first_grain).saturating_mul(self.old.grain);
            let place = u32::try_from(self.data.first.saturating_add(place)).unwrap_or(0);
            put_le32(used, index(table.saturating_add(within)), place);
        }
        image.apply(Patch::Write { offset: byte(sector), data: used })?;
        Ok(behind)
    }

    /// Where table `n` of this directory will be, and how many follow it there.
    fn tables_from<T: Target>(&self, image: &mut T, home: &Home, n: u64) -> Result<(u64, u64), IoError> {
        let old = self.old.tables();
        let new = |k: u64| home.tables.saturating_add(k.saturating_mul(self.old.table_sectors()));
        if let Some(beyond) = n.checked_sub(old) {
            return Ok((new(home.holes.saturating_add(beyond)), u64::MAX));
        }
        // The last of the old ones, if not behind them.
        Ok(match entry(image, home.from, n)? {
            0 => (new(home.holes.saturating_sub(1)), 1),
            sector => (u64::from(sector), 1),
        })
    }
}
