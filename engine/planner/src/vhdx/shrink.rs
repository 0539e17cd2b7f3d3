//! Shrinking: the disk first, and then the file, by moving its last blocks into what is free. [`super`] says why a
//! crash does no harm.

use super::blocks::{Gaps, copy, halves, least_end};
use super::commit::{Batch, Session};
use super::grow::{clear_from, clear_tail, switch_tables};
use super::{Guids, Parts, Plan, each_entry};
use crate::{IoError, Target};
use instar_formats::vhdx::{Entry, Image, MIB, Region, State, up_mib};

/// Carries it out. Returns how long the file shall be, in bytes.
///
/// # Errors
/// The device's.
pub fn run<T: Target>(
    target: &mut T,
    plan: &Plan,
    guids: &Guids,
    parts: &mut Parts<'_>,
) -> Result<u64, IoError> {
    let mut session = Session::begin(target, &plan.image, guids)?;
    // As the log has it: in whole MiB, and there.
    let file_len = plan.file_len & !(MIB - 1);
    let mut image = plan.image;
    {
        let mut batch = Batch::new(parts.batch);
        let mut first = image.geometry().entries(plan.new_virtual_size);
        clear_from(target, &image, &mut batch, &mut first)?;
        batch.put(target, image.metadata.disk_size_at, &plan.new_virtual_size.to_le_bytes())?;
        session.commit(target, &mut batch, file_len)?;
    }
    image.metadata.disk_size = plan.new_virtual_size;
    clear_tail(target, plan, plan.new_virtual_size)?;
    let kept = present(target, &image, parts)?;
    let mut end = least_end(target, &image, kept, parts)?;
    if image.bat.end() > end && move_bat_down(target, &mut image, &mut session, file_len, parts)? {
        end = least_end(target, &image, kept, parts)?;
    }
    let regions = image.regions().map(|region| region.end()).max().unwrap_or(0);
    end = end.max(regions);
    gather(target, &image, &mut session, (end, file_len), parts)?;
    Ok(if image.metadata.fixed && kept == 0 { end.max(reserved(plan, file_len)) } else { end })
}

/// How long the file of a fixed image stays that keeps room for its disk without naming it.
const fn reserved(plan: &Plan, file_len: u64) -> u64 {
    let less = plan.old_virtual_size.saturating_sub(plan.new_virtual_size);
    up_mib(file_len.saturating_sub(less))
}

/// How many blocks are present.
fn present<T: Target>(target: &mut T, image: &Image, parts: &mut Parts<'_>) -> Result<u64, IoError> {
    let (geometry, mut count) = (image.geometry(), 0_u64);
    let entries = geometry.entries(image.virtual_size());
    each_entry(target, image, (0, entries), parts.window, &mut |_, number, entry| {
        let there = entry.state() == State::Present && geometry.block_of(number).is_some();
        count = count.saturating_add(u64::from(there));
        Ok::<(), IoError>(())
    })?;
    Ok(count)
}

/// Moves the BAT to the first gap before it that it fits into, and says whether there is one.
fn move_bat_down<T: Target>(
    target: &mut T,
    image: &mut Image,
    session: &mut Session,
    file_len: u64,
    parts: &mut Parts<'_>,
) -> Result<bool, IoError> {
    let len = image.geometry().region_len(image.virtual_size());
    let place = {
        let (mut taken, mut ends, window) = halves(parts);
        Gaps::new(len).next(target, image, image.bat.offset, (&mut taken, &mut ends), window)?
    };
    let Some(offset) = place else {
        return Ok(false);
    };
    let region = Region { offset, len };
    copy(target, (image.bat.offset, offset), len, true, parts.copy)?;
    let mut batch = Batch::new(parts.batch);
    switch_tables(target, &mut batch, region, parts.window)?;
    session.commit(target, &mut batch, file_len)?;
    image.bat = region;
    image.table.set_bat(region);
    Ok(true)
}

/// Moves every block that ends behind `end` into a gap before it.
fn gather<T: Target>(
    target: &mut T,
    image: &Image,
    session: &mut Session,
    (end, file_len): (u64, u64),
    parts: &mut Parts<'_>,
) -> Result<(), IoError> {
    let (size, geometry) = (image.metadata.block_size, image.geometry());
    let entries = geometry.entries(image.virtual_size());
    let Parts { window, inner, copy: buffer, batch, usage } = parts;
    let bits = usage.bits();
    let half = bits.len() / 2;
    let (taken, ends) = bits.split_at_mut_checked(half).unwrap_or_default();
    let (mut taken, mut ends) = (super::Usage::new(taken), super::Usage::new(ends));
    let (mut batch, mut gaps) = (Batch::new(batch), Gaps::new(size));
    each_entry(target, image, (0, entries), window, &mut |target, number, entry: Entry| {
        let there = entry.state() == State::Present && geometry.block_of(number).is_some();
        if !there || entry.offset().saturating_add(size) <= end {
            return Ok(());
        }
        let Some(to) = gaps.next(target, image, end, (&mut taken, &mut ends), inner)? else {
            return Ok(());
        };
        if !batch.has_room_for(image.entry_at(number)) {
            session.commit(target, &mut batch, file_len)?;
        }
        copy(target, (entry.offset(), to), size, image.metadata.fixed, buffer)?;
        batch.put(target, image.entry_at(number), &entry.moved(to).0.to_le_bytes())
    })?;
    if batch.is_empty() { Ok(()) } else { session.commit(target, &mut batch, file_len) }
}
