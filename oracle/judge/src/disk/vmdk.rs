//! VMDK: numbers have their least significant byte first, places are counted in sectors.

use super::source::{Bytes, Source};
use super::{Disk, Run, place};
use crate::JudgeError;
use std::path::Path;

/// Bytes of a sector.
const SECTOR: u64 = 512;
/// Bytes of a table's entry.
const ENTRY: u64 = 4;
/// The longest descriptor, in bytes: 20 sectors.
const DESCRIPTOR: u64 = 20 * SECTOR;
/// Flags of an extent's header: it has a second directory, entries of 1 are grains of zeros.
const REDUNDANT: u64 = 1 << 1;
const ZEROED: u64 = 1 << 2;
/// The line of a descriptor, besides those of extents, that follows the size.
const CYLINDERS: &str = "ddb.geometry.cylinders";
/// The most tables that are read.
const MOST_TABLES: u64 = 1 << 16;

/// What an extent's header has besides the capacity and the places of the directories: name, first byte, length.
const FIELDS: [(&str, usize, usize); 5] = [
    ("version-and-flags", 4, 8),
    ("grain", 20, 8),
    ("descriptor", 28, 20),
    ("overhead", 64, 8),
    ("rest", 72, 440),
];

/// A line of the descriptor about an extent.
struct Line {
    sectors: u64,
    sparse: bool,
    file: String,
    /// The sector of the file where a flat one begins.
    offset: u64,
}

/// Reads the image in `dir`.
pub fn read(disk: &mut Disk, dir: &Path) -> Result<(), JudgeError> {
    let head = disk.files[0].bytes(0, SECTOR)?;
    let embedded = head.at(0) == *b"KDMV";
    let text = disk.files[0].bytes(if embedded { SECTOR } else { 0 }, DESCRIPTOR)?;
    let text: Vec<u8> = text.0.into_iter().take_while(|byte| *byte != 0).collect();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = descriptor(disk, &text);
    let mut start = 0;
    for (number, line) in lines.iter().enumerate() {
        let file = if embedded { 0 } else { disk.files.len() };
        if !embedded {
            disk.files.push(Source::open(&dir.join(&line.file))?);
        }
        let sectors = match line.sparse {
            true => sparse(disk, file, number, start)?,
            false => {
                let len = disk.files[file].len;
                let (offset, there) = (line.offset * SECTOR, line.sectors * SECTOR);
                disk.want(len >= offset + there, "file-length", || format!("{}: {len}", line.file));
                disk.runs.insert(start, Run { file, offset, len: there });
                line.sectors
            }
        };
        let said = line.sectors;
        disk.want(sectors == said, "capacity", || format!("{sectors} sectors, {said} in the descriptor"));
        start += sectors * SECTOR;
    }
    disk.size = start;
    Ok(())
}

/// Notes the lines that stay; the extents.
fn descriptor(disk: &mut Disk, text: &str) -> Vec<Line> {
    let mut extents = Vec::new();
    let mut others = 0;
    for line in text.lines() {
        match extent(line) {
            Some(extent) => extents.push(extent),
            None if line.starts_with(CYLINDERS) => {}
            None => {
                disk.keep(format!("descriptor.{others}"), line.as_bytes());
                others += 1;
            }
        }
    }
    disk.want(!extents.is_empty(), "descriptor", || "it names no extent".into());
    extents
}

fn extent(line: &str) -> Option<Line> {
    let (head, rest) = line.strip_prefix("RW ")?.split_once('"')?;
    let (sectors, kind) = head.trim().split_once(' ')?;
    let (file, offset) = rest.split_once('"')?;
    let offset = offset.trim().parse().unwrap_or(0);
    Some(Line { sectors: sectors.parse().ok()?, sparse: kind.trim() == "SPARSE", file: file.into(), offset })
}

/// Reads the sparse extent `number`, whose first guest byte is `start`; its capacity in sectors.
fn sparse(disk: &mut Disk, file: usize, number: usize, start: u64) -> Result<u64, JudgeError> {
    let header = disk.files[file].bytes(0, SECTOR)?;
    disk.want(header.at(0) == *b"KDMV", "header", || format!("extent {number} has none"));
    for (name, at, len) in FIELDS {
        disk.keep(format!("extent{number}.{name}"), header.part(at, len));
    }
    let (capacity, grain, per_table) = (header.le64(12), header.le64(20).max(1), header.le32(44).max(1));
    let flags = header.le32(8);
    let tables = capacity.div_ceil(grain * per_table).min(MOST_TABLES);
    let table_len = (per_table * ENTRY).next_multiple_of(SECTOR);
    let overhead = SECTOR + header.le64(36) * SECTOR;
    let mut ranges = vec![(0, overhead, "header and descriptor".to_string())];
    let mut read = |disk: &mut Disk, field: usize, what: &str| -> Result<Vec<Bytes>, JudgeError> {
        let at = header.le64(field) * SECTOR;
        let len = (tables * ENTRY).next_multiple_of(SECTOR);
        ranges.push((at, len, format!("the {what} directory")));
        let directory = disk.files[file].bytes(at, len)?;
        let mut found = Vec::new();
        for index in 0..tables {
            let table = directory.le32(place(index * ENTRY)) * SECTOR;
            disk.want(table != 0, "table-missing", || format!("number {index} of the {what} directory"));
            if table != 0 {
                ranges.push((table, table_len, format!("table {index} of the {what} directory")));
            }
            let present = table != 0;
            found.push(disk.files[file].bytes(table, if present { per_table * ENTRY } else { 0 })?);
        }
        Ok(found)
    };
    let primary = read(disk, 56, "first")?;
    if flags & REDUNDANT != 0 {
        let second = read(disk, 48, "second")?;
        disk.want(primary == second, "tables", || "those of the two directories differ".into());
    }
    for (index, table) in (0..).zip(&primary) {
        for slot in 0..per_table {
            let sector = table.le32(place(slot * ENTRY));
            let guest = (index * per_table + slot) * grain;
            let nowhere = sector == 0 || sector == 1 && flags & ZEROED != 0;
            if nowhere || guest >= capacity {
                continue;
            }
            ranges.push((sector * SECTOR, grain * SECTOR, format!("grain at {guest}")));
            let run = Run { file, offset: sector * SECTOR, len: grain * SECTOR };
            disk.runs.insert(start + guest * SECTOR, run);
        }
    }
    let end = disk.files[file].len;
    disk.apart(ranges, end);
    Ok(capacity)
}
