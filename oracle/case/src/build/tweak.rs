//! Changes of a finished qcow2 file that no qemu-img makes, found again through the file's own tables.

use std::path::Path;

use super::file::ImageFile;
use super::header::{AUTOCLEAR, COMPATIBLE, CORRUPT, Header, L1_SIZE, OFFSET_MASK};
use super::refcounts::occupy;
use super::{BuildError, damage};
use crate::Tweak;

/// The byte that unreferenced areas are filled with.
const GARBAGE: u8 = 0xe7;

/// Free clusters looked at beyond the end of the file for one leak.
const LEAK_SEARCH: u64 = 4096;

/// Bytes of a header extension's type and length fields.
const EXTENSION_HEAD: u64 = 8;

/// Applies `tweaks` in order.
pub fn apply<'a>(tweaks: impl IntoIterator<Item = &'a Tweak>, path: &Path) -> Result<(), BuildError> {
    let file = ImageFile::open(path)?;
    for tweak in tweaks {
        let header = Header::read(&file)?;
        match tweak {
            // Only our own builder leaves holes, while it lays the image out.
            Tweak::RefcountHole { .. } => {}
            Tweak::SpareL1 { entries } => spare_l1(&file, &header, (*entries).into())?,
            Tweak::HeaderExtension { kind, len } => header_extension(&file, &header, *kind, *len)?,
            Tweak::CompatibleBit { bit } => set_bit(&file, &header, COMPATIBLE, *bit)?,
            Tweak::AutoclearBit { bit } => set_bit(&file, &header, AUTOCLEAR, *bit)?,
            Tweak::Leak { clusters } => leak(&file, &header, (*clusters).into())?,
            Tweak::ShortTail => short_tail(&file, &header)?,
            Tweak::TrailingBytes { len } => trailing_bytes(&file, &header, (*len).into())?,
            Tweak::Dirty { lost } => damage::dirty(&file, &header, *lost)?,
            Tweak::InUseBitmaps => damage::bitmaps_in_use(&file, &header)?,
            Tweak::Corrupt => damage::set_incompatible(&file, &header, CORRUPT)?,
        }
    }
    Ok(())
}

/// As many more entries as the last cluster of the table has room for.
fn spare_l1(file: &ImageFile, header: &Header, entries: u64) -> Result<(), BuildError> {
    let room = (header.l1_end().next_multiple_of(header.cluster) - header.l1_end()) / 8;
    let entries = entries.min(room);
    file.fill(header.l1_end(), 8 * entries, 0)?;
    let count = u32::try_from(header.l1_size + entries).unwrap_or(u32::MAX);
    file.write(L1_SIZE, &count.to_be_bytes())
}

/// Puts the extension where the list of extensions ended.
fn header_extension(file: &ImageFile, header: &Header, kind: u32, len: u16) -> Result<(), BuildError> {
    let mut at = header.length;
    while at + EXTENSION_HEAD <= header.cluster && file.be32(at)? != 0 {
        at += EXTENSION_HEAD + u64::from(file.be32(at + 4)?).next_multiple_of(8);
    }
    let padded = u64::from(len).next_multiple_of(8);
    if at + 2 * EXTENSION_HEAD + padded > header.cluster {
        return Err(file.unexpected("no room for a header extension", at));
    }
    file.write(at, &kind.to_be_bytes())?;
    file.write(at + 4, &u32::from(len).to_be_bytes())?;
    let data: Vec<u8> = (0..len).map(|place| place.to_be_bytes()[1] ^ 0x5a).collect();
    file.fill(at + EXTENSION_HEAD, padded + EXTENSION_HEAD, 0)?;
    file.write(at + EXTENSION_HEAD, &data)
}

fn set_bit(file: &ImageFile, header: &Header, field: u64, bit: u8) -> Result<(), BuildError> {
    if header.version < 3 {
        return Err(BuildError::Illegal("version 2 has no feature bits"));
    }
    let bits = file.be64(field)? | 1 << (bit % 64);
    file.write(field, &bits.to_be_bytes())
}

/// Takes the free clusters from the end of the file on, then those before it.
fn leak(file: &ImageFile, header: &Header, clusters: u64) -> Result<(), BuildError> {
    let end = file.len()?.div_ceil(header.cluster);
    let mut left = clusters;
    let mut last = end;
    for cluster in (end..end + LEAK_SEARCH).chain(1..end.min(LEAK_SEARCH)) {
        if left == 0 {
            break;
        }
        if occupy(file, header, cluster)? {
            left -= 1;
            last = last.max(cluster + 1);
        }
    }
    if last > end { file.set_len(last * header.cluster) } else { Ok(()) }
}

/// Cuts an L1 table after its last entry and data after its last byte; other structures need their whole cluster.
fn short_tail(file: &ImageFile, header: &Header) -> Result<(), BuildError> {
    let len = file.len()?;
    let start = (len - 1) / header.cluster * header.cluster;
    if header.l1_offset < len && header.l1_end() > start {
        return file.set_len(header.l1_end());
    }
    if is_table(file, header, start)? {
        return Ok(());
    }
    let mut data = vec![0; usize::try_from(len - start).unwrap_or(0)];
    file.read(start, &mut data)?;
    let used = data.iter().rposition(|byte| *byte != 0).map_or(1, |place| place + 1);
    file.set_len(start + used as u64)
}

/// Whether the cluster at `start` is an L2 table, a refcount block or part of the refcount table.
fn is_table(file: &ImageFile, header: &Header, start: u64) -> Result<bool, BuildError> {
    let table_bytes = header.table_clusters * header.cluster;
    if (header.table_offset..header.table_offset + table_bytes).contains(&start) {
        return Ok(true);
    }
    Ok(names(file, header.table_offset, table_bytes / 8, start)?
        || names(file, header.l1_offset, header.l1_size, start)?)
}

/// Whether a table of 8-byte entries has one that points to `start`.
fn names(file: &ImageFile, table: u64, entries: u64, start: u64) -> Result<bool, BuildError> {
    let mut bytes = vec![0; usize::try_from(8 * entries).unwrap_or(0)];
    file.read(table, &mut bytes)?;
    let mut entries = bytes
        .chunks_exact(8)
        .map(|entry| entry.iter().fold(0u64, |value, byte| (value << 8) | u64::from(*byte)) & OFFSET_MASK);
    Ok(entries.any(|offset| offset == start))
}

/// The last cluster is filled up with zeros first: what it lacks may be guest data.
fn trailing_bytes(file: &ImageFile, header: &Header, len: u64) -> Result<(), BuildError> {
    let end = file.len()?.next_multiple_of(header.cluster);
    file.fill(end, len, GARBAGE)
}

#[cfg(test)]
mod tests;
