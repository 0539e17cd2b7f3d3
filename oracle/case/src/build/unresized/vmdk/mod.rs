//! VMDK: numbers have their least significant byte first, places are counted in sectors.

mod files;
mod text;

use std::path::Path;

use super::{GARBAGE, Image, Item, index, put};
use crate::build::BuildError;
use crate::unresized::TABLE_ENTRIES;
use crate::{Oddity, Subformat, Vmdk};

/// Bytes of a sector.
const SECTOR: u64 = 512;
/// Sectors of a grain table.
const TABLE_SECTORS: u64 = 4;
/// Where the descriptor is, and its length, in sectors: readers look for it there.
const DESCRIPTOR: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;
/// Flags of the header: its line ends are right, it has a second directory, grains may be zeros.
const LINE_ENDS: u32 = 1;
const REDUNDANT: u32 = 2;
const ZEROED: u32 = 4;
/// What needs a place in the file.
enum Part {
    Directory(usize),
    Table(usize, u64),
    Grain(u64),
}

/// Makes the image, whose file is at `path`, and those of its extents.
pub fn make(image: &mut Image, options: &Vmdk, path: &Path) -> Result<(), BuildError> {
    if options.subformat != Subformat::MonolithicSparse {
        return files::make(image, options, path);
    }
    sparse(image, options)?;
    let line = format!("RW {} SPARSE \"image.vmdk\"\n", image.content.size() / SECTOR);
    let text = text::descriptor(image, options, &line);
    image.file.write(DESCRIPTOR * SECTOR, text.as_bytes())
}

/// Lays out a sparse extent; there is room in it for a descriptor.
fn sparse(image: &mut Image, options: &Vmdk) -> Result<(), BuildError> {
    let capacity = image.content.size() / SECTOR;
    let tables = image.content.size().div_ceil(options.coverage());
    let copies = if image.once_in(3, Oddity::Extras) { 1 } else { 2 };
    let directory =
        (tables * 4).next_multiple_of(SECTOR) + if image.once_in(3, Oddity::Gaps) { SECTOR } else { 0 };
    let item = |what, len| Item { what, len, align: SECTOR };
    let mut metadata: Vec<_> = (0..copies).map(|copy| item(Part::Directory(copy), directory)).collect();
    let each = (0..copies).flat_map(|copy| (0..tables).map(move |table| Part::Table(copy, table)));
    metadata.extend(each.map(|part| item(part, TABLE_SECTORS * SECTOR)));
    let grain = |number: &u64| Item { what: Part::Grain(*number), len: image.unit, align: image.unit };
    let mut grains: Vec<_> = image.units.iter().map(grain).collect();
    image.shuffle(&mut grains);
    if image.once_in(2, Oddity::Order) {
        image.shuffle(&mut metadata);
    }
    let items: Vec<_> = if image.once_in(3, Oddity::Order) {
        grains.into_iter().chain(metadata).collect()
    } else {
        metadata.into_iter().chain(grains).collect()
    };
    let (placed, end) = image.place(items, (DESCRIPTOR + DESCRIPTOR_SECTORS) * SECTOR)?;
    image.file.set_len(end.next_multiple_of(image.unit))?;
    let directories = write_tables(image, options, (copies, tables), &placed)?;
    let first = placed.iter().filter(|(part, _)| matches!(part, Part::Grain(_))).map(|(_, at)| *at).min();
    let overhead = first.unwrap_or(end.next_multiple_of(image.unit)) / SECTOR;
    image.file.write(0, &header(options, capacity, &directories, overhead))
}

/// Writes directories, tables and grains; where the directories are, in sectors.
fn write_tables(
    image: &mut Image,
    options: &Vmdk,
    (copies, tables): (usize, u64),
    placed: &[(Part, u64)],
) -> Result<Vec<u64>, BuildError> {
    let mut directories = vec![(0, vec![0; index(tables * 4)]); copies];
    let mut entries = vec![0; index(tables * TABLE_ENTRIES * 4)];
    let sector = |at: u64| u32::try_from(at / SECTOR).unwrap_or(u32::MAX).to_le_bytes();
    if options.zeroed_grain {
        for number in 0..image.content.size().div_ceil(image.unit).min(64) {
            put(&mut entries, index(number * 4), &u32::from(image.once_in(3, Oddity::Extras)).to_le_bytes());
        }
    }
    let beyond = index(image.content.size().div_ceil(image.unit) * 4);
    if image.once_in(2, Oddity::Garbage) {
        // Entries behind the end of the disk mean nothing.
        entries.iter_mut().skip(beyond).for_each(|byte| *byte = GARBAGE);
    }
    for (part, at) in placed {
        match part {
            Part::Directory(copy) => directories[*copy].0 = *at,
            Part::Table(copy, table) => put(&mut directories[*copy].1, index(table * 4), &sector(*at)),
            Part::Grain(number) => {
                put(&mut entries, index(number * 4), &sector(*at));
                image.write_unit(*number, *at)?;
            }
        }
    }
    for (part, at) in placed {
        if let Part::Table(_, table) = part {
            let len = index(TABLE_ENTRIES * 4);
            let from = index(table * TABLE_ENTRIES * 4);
            image.file.write(*at, entries.get(from..from + len).unwrap_or_default())?;
        }
    }
    for (at, directory) in &directories {
        image.file.write(*at, directory)?;
    }
    Ok(directories.into_iter().map(|(at, _)| at / SECTOR).collect())
}

fn header(options: &Vmdk, capacity: u64, directories: &[u64], overhead: u64) -> Vec<u8> {
    let second = directories.get(1);
    let redundant = if second.is_some() { REDUNDANT } else { 0 };
    let zeroed = if options.zeroed_grain { ZEROED } else { 0 };
    let version: u32 = if options.zeroed_grain { 2 } else { 1 };
    let mut header = vec![0; index(SECTOR)];
    put(&mut header, 0, b"KDMV");
    put(&mut header, 4, &version.to_le_bytes());
    put(&mut header, 8, &(LINE_ENDS | redundant | zeroed).to_le_bytes());
    let first = directories.first().copied().unwrap_or(0);
    let fields = [
        (12, capacity),
        (20, options.grain_size() / SECTOR),
        (28, DESCRIPTOR),
        (36, DESCRIPTOR_SECTORS),
        (48, second.copied().unwrap_or(0)),
        (56, first),
        (64, overhead),
    ];
    for (at, value) in fields {
        put(&mut header, at, &value.to_le_bytes());
    }
    put(&mut header, 44, &u32::try_from(TABLE_ENTRIES).unwrap_or(0).to_le_bytes());
    put(&mut header, 73, b"\n \r\n");
    header
}
