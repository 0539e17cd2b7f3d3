//! VHD: numbers have their most significant byte first.

use super::{Image, Item, index, put};
use crate::build::BuildError;
use crate::chs::{self, Chs};
use crate::{Oddity, Vpc};

/// Bytes of a footer, and of a sector.
const SECTOR: u64 = 512;
/// Bytes of a dynamic disk's header.
const HEADER: u64 = 1024;
/// Where footer and header have their checksum.
const FOOTER_SUM: usize = 64;
const HEADER_SUM: usize = 36;
/// 2020-09-13, in seconds since 2000-01-01.
const TIME_STAMP: u32 = 653_316_400;

enum Part {
    Table,
    Block(u64),
}

/// Makes the image.
pub fn make(image: &mut Image, options: &Vpc) -> Result<(), BuildError> {
    let size = image.content.size();
    if options.fixed {
        let footer = footer(image, options, u64::MAX);
        for extent in image.content.extents() {
            image.file.fill(extent.offset, extent.len, extent.byte)?;
        }
        return image.file.write(size, &footer);
    }
    let header_at = SECTOR * if image.once_in(3, Oddity::Gaps) { 1 + image.rng.below(20) } else { 1 };
    let entries = size.div_ceil(image.unit);
    let table = Item { what: Part::Table, len: (entries * 4).next_multiple_of(SECTOR), align: SECTOR };
    let bitmap = (image.unit / SECTOR).div_ceil(8).next_multiple_of(SECTOR);
    let block =
        |number| Item { what: Part::Block(number), len: bitmap + (1 << options.block_bits), align: SECTOR };
    let mut items: Vec<_> = image.units.iter().map(|number| block(*number)).collect();
    image.shuffle(&mut items);
    let place = if image.once_in(3, Oddity::Order) { image.rng.below(items.len() as u64 + 1) } else { 0 };
    items.insert(index(place), table);
    let (placed, end) = image.place(items, header_at + HEADER)?;
    write(image, options, (header_at, entries, bitmap), &placed, end)
}

fn write(
    image: &mut Image,
    options: &Vpc,
    (header_at, entries, bitmap): (u64, u64, u64),
    placed: &[(Part, u64)],
    end: u64,
) -> Result<(), BuildError> {
    let mut table = vec![0xff; index(entries * 4)];
    // What is behind the last entry means nothing.
    table.resize(
        index((entries * 4).next_multiple_of(SECTOR)),
        if image.once_in(2, Oddity::Garbage) { 0 } else { 0xff },
    );
    let mut table_at = 0;
    for (part, at) in placed {
        match part {
            Part::Table => table_at = *at,
            Part::Block(number) => {
                let sector = u32::try_from(at / SECTOR).unwrap_or(u32::MAX);
                put(&mut table, index(number * 4), &sector.to_be_bytes());
                image.file.fill(*at, bitmap, 0xff)?;
                image.write_unit(*number, at + bitmap)?;
            }
        }
    }
    image.file.write(table_at, &table)?;
    let footer = footer(image, options, header_at);
    image.file.write(0, &footer)?;
    image.file.write(header_at, &header(options, table_at, entries))?;
    image.file.write(end, &footer)
}

fn footer(image: &mut Image, options: &Vpc, data_offset: u64) -> Vec<u8> {
    let size = image.content.size();
    let geometry = match options.creator.counts_geometry() {
        true => Chs::at_least(size / SECTOR),
        false if image.once_in(2, Oddity::Extras) => Chs::of(size / SECTOR),
        false => chs::MOST,
    };
    let small = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
    let cylinders = u16::try_from(geometry.cylinders).unwrap_or(u16::MAX);
    let mut footer = vec![0; index(SECTOR)];
    put(&mut footer, 0, b"conectix");
    put(&mut footer, 8, &[0, 0, 0, 2, 0, 1, 0, 0]);
    put(&mut footer, 16, &data_offset.to_be_bytes());
    put(&mut footer, 24, &TIME_STAMP.to_be_bytes());
    put(&mut footer, 28, &options.creator.tag());
    put(&mut footer, 32, &[0, 6, 0, 1]);
    put(&mut footer, 36, b"Wi2k");
    put(&mut footer, 40, &size.to_be_bytes());
    put(&mut footer, 48, &size.to_be_bytes());
    put(&mut footer, 56, &cylinders.to_be_bytes());
    put(&mut footer, 58, &[small(geometry.heads), small(geometry.sectors)]);
    put(&mut footer, 60, &[0, 0, 0, if options.fixed { 2 } else { 3 }]);
    put(&mut footer, 68, &image.guid());
    sum(&mut footer, FOOTER_SUM);
    footer
}

fn header(options: &Vpc, table: u64, entries: u64) -> Vec<u8> {
    let mut header = vec![0; index(HEADER)];
    put(&mut header, 0, b"cxsparse");
    put(&mut header, 8, &[0xff; 8]);
    put(&mut header, 16, &table.to_be_bytes());
    put(&mut header, 24, &[0, 1, 0, 0]);
    put(&mut header, 28, &u32::try_from(entries).unwrap_or(u32::MAX).to_be_bytes());
    put(&mut header, 32, &(1u32 << options.block_bits).to_be_bytes());
    sum(&mut header, HEADER_SUM);
    header
}

/// Puts the checksum in its place, where there are zeros: the one's complement of the sum of all bytes.
fn sum(structure: &mut [u8], at: usize) {
    let sum = structure.iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
    put(structure, at, &(!sum).to_be_bytes());
}
