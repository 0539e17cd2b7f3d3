//! Writing the snapshot table anew, where entries have more extra data than anybody reads, or lack what version 3
//! demands. Everything else of them is copied.
//!
//! Order: the new table in free clusters | reserved | the header's word that names it | the clusters of the old one let
//! go of. `|` is a barrier. At any moment the header names a table that is complete and counted, the old one or the
//! new one, which say the same of every snapshot; the other one is leaked at most. The file reaches as far as all that is
//! new before any of that is counted: no check looks for leaks further out.

use super::release::Release;
use super::reserve::Reservation;
use super::scratch::Scratch;
use crate::longer::Longer;
use crate::{Patch, PlanError, Target};
use instar_formats::bytes::{index, put_be32, put_be64};
use instar_formats::io::{IoError, ReadAt};
use instar_formats::qcow2::snapshot::{
    FIXED_LEN, KNOWN_EXTRA, MAX_EXTRA, NO_ICOUNT, SnapshotEntry, Snapshots,
};
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{Header, header};

/// Longest entry that is written, without its names, in bytes.
const HEAD: usize = FIXED_LEN + 1024;
/// Bytes of names that are copied at a time.
const NAMES: usize = 512;
/// Where an entry says how long its extra data is, u32.
const EXTRA_LEN: usize = 36;

/// Writes the table anew, unless that takes clusters from `limit` on: what broken entries name may lie there. `header`
/// follows. Returns the length in bytes that the file has then at least.
///
/// # Errors
/// [`PlanError`]: there is no place, the metadata makes no sense, or the device failed; the table is as it was.
pub fn rewrite<T: Target>(
    image: &mut T,
    header: &mut Header,
    limit: u64,
    scratch: &mut [u8],
) -> Result<Option<u64>, PlanError> {
    let mut s = Scratch::split(scratch)?;
    let g = header.geometry;
    let (old_len, new_len) = lengths(image, header, s.l1)?;
    let place = Reservation::plan(image, header, g.clusters(new_len), &mut s)?;
    let start = g.offset(place.clusters().first);
    let len = start.saturating_add(new_len).max(place.refcounts_end(g)).max(image.len());
    if g.clusters(len) > limit {
        return Ok(None);
    }
    // What ends further out was never counted.
    let past = header.snapshots_offset.saturating_add(old_len).saturating_sub(image.len());
    let old = if past < g.cluster_size() { old_len } else { 0 };
    let mut image = Longer { image, len };
    write(&mut image, header, start, &mut s)?;
    if place.refcounts_end(g) > start.saturating_add(new_len) {
        let last = place.refcounts_end(g).saturating_sub(header::SECTOR);
        image.apply(Patch::ZeroFill { offset: last, len: header::SECTOR, unmap: false })?;
    }
    image.apply(Patch::Barrier)?;
    place.run(&mut image, header, &mut s)?;
    let old_start = core::mem::replace(&mut header.snapshots_offset, start);
    let data = start.to_be_bytes();
    image.apply(Patch::Write { offset: header::at::SNAPSHOTS_OFFSET as u64, data: &data })?;
    image.apply(Patch::Barrier)?;
    match let_go(&mut image, header, (old_start, old), s) {
        Err(PlanError::Io(e)) => Err(e.into()),
        // The old table stays leaked.
        Ok(()) | Err(_) => Ok(Some(len)),
    }
}

/// Bytes of the table, as it is and as it will be.
fn lengths<R: ReadAt>(image: &mut R, header: &Header, buf: &mut [u8]) -> Result<(u64, u64), PlanError> {
    let (mut table, mut reader) = (Snapshots::repairable(header), Buffered::new(buf));
    let mut len = 0_u64;
    while let Some(entry) = table.next(image, &mut reader)? {
        len = len.saturating_add(entry.fitting_len());
    }
    Ok((table.len(), len))
}

/// Writes the new table at byte `at`.
fn write<T: Target>(image: &mut T, header: &Header, at: u64, s: &mut Scratch<'_>) -> Result<(), PlanError> {
    let (mut table, mut reader) = (Snapshots::repairable(header), Buffered::new(s.l1));
    let mut out = Out { at, buf: s.copy, len: 0 };
    while let Some(entry) = table.next(image, &mut reader)? {
        let mut head = [0; HEAD];
        let kept = index(entry.extra_len.min(MAX_EXTRA)).saturating_add(FIXED_LEN);
        let part = head.get_mut(..kept).unwrap_or_default();
        reader.exact(image, entry.offset, part.len() as u64, part)?;
        fit(&mut head, &entry, header.virtual_size());
        let len = FIXED_LEN.saturating_add(index(entry.fitting_extra()));
        out.push(image, head.get(..len).unwrap_or_default())?;
        out.names(image, &mut reader, &entry)?;
    }
    Ok(out.flush(image)?)
}

/// Has the entry say how much extra data it has, and what was missing: the disk is as large as it is now.
fn fit(head: &mut [u8; HEAD], entry: &SnapshotEntry, virtual_size: u64) {
    put_be32(head, EXTRA_LEN, u32::try_from(entry.fitting_extra()).unwrap_or(u32::MAX));
    if entry.incomplete {
        let fields = [entry.vm_state_size, virtual_size, NO_ICOUNT];
        for (i, field) in fields.into_iter().enumerate() {
            put_be64(head, FIXED_LEN.saturating_add(i.saturating_mul(8)), field);
        }
    }
}

const _: () = assert!(KNOWN_EXTRA == 3 * 8 && HEAD as u64 == FIXED_LEN as u64 + MAX_EXTRA);

/// Lets go of the clusters of the old table, `len` bytes from `start`.
fn let_go<T: Target>(
    image: &mut T,
    header: &Header,
    (start, len): (u64, u64),
    s: Scratch<'_>,
) -> Result<(), PlanError> {
    let g = header.geometry;
    let mut release = Release::new(header, s.table, s.block, s.batch, s.touched);
    let end = if len == 0 { 0 } else { g.clusters(start.saturating_add(len)) };
    (g.cluster(start)..end).try_for_each(|cluster| release.cluster(image, cluster))?;
    release.flush(image)?;
    Ok(image.apply(Patch::Barrier)?)
}

/// What is written, a buffer at a time.
struct Out<'b> {
    at: u64,
    buf: &'b mut [u8],
    len: usize,
}

impl Out<'_> {
    /// Adds the id and the name of an entry, and zeros up to the next one.
    fn names<T: Target>(
        &mut self,
        image: &mut T,
        reader: &mut Buffered<'_>,
        entry: &SnapshotEntry,
    ) -> Result<(), IoError> {
        let mut buf = [0; NAMES];
        let len = entry.id_len.saturating_add(entry.name_len);
        let mut done = 0;
        while done < len {
            let ahead = len.saturating_sub(done);
            let part = buf.get_mut(..index(ahead.min(NAMES as u64))).unwrap_or_default();
            reader.exact(image, entry.id_offset.saturating_add(done), ahead, part)?;
            self.push(image, part)?;
            done = done.saturating_add(part.len() as u64);
        }
        let unpadded = (FIXED_LEN as u64).saturating_add(entry.fitting_extra()).saturating_add(len);
        let padding = index(entry.fitting_len().saturating_sub(unpadded));
        self.push(image, [0; 8].get(..padding).unwrap_or_default())
    }

    fn push<T: Target>(&mut self, image: &mut T, mut data: &[u8]) -> Result<(), IoError> {
        while !data.is_empty() {
            let room = self.buf.get_mut(self.len..).unwrap_or_default();
            let (now, later) = data.split_at_checked(room.len()).unwrap_or((data, &[]));
            for (to, from) in room.iter_mut().zip(now) {
                *to = *from;
            }
            self.len = self.len.saturating_add(now.len());
            data = later;
            if self.len >= self.buf.len() {
                self.flush(image)?;
            }
        }
        Ok(())
    }

    fn flush<T: Target>(&mut self, image: &mut T) -> Result<(), IoError> {
        let data = self.buf.get(..self.len).unwrap_or_default();
        if !data.is_empty() {
            image.apply(Patch::Write { offset: self.at, data })?;
        }
        self.at = self.at.saturating_add(data.len() as u64);
        self.len = 0;
        Ok(())
    }
}
