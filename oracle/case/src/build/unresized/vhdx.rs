//! VHDX: numbers have their least significant byte first.

use super::{Image, Item, index, put};
use crate::build::BuildError;
use crate::{Oddity, Vhdx};

/// Bytes of a MiB: regions and blocks lie at multiples of it.
const MIB: u64 = 1 << 20;
/// Where the headers and region tables are.
const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
const TABLES: [u64; 2] = [192 << 10, 256 << 10];
/// Their lengths in bytes.
const HEADER: usize = 4096;
const TABLE: usize = 64 << 10;
/// Bytes of the metadata region, and where its items begin at the earliest.
const METADATA: u64 = MIB;
const ITEMS: u32 = 64 << 10;
/// Flags of a metadata item: that it is about the disk, and that a reader must know it.
const OF_DISK: u32 = 2;
const REQUIRED: u32 = 4;
/// Flag of file parameters: blocks stay allocated.
const FIXED: u32 = 1;
/// State of a block that is in the file.
const PRESENT: u64 = 6;

/// GUIDs of regions and metadata items, as they stand in the file.
const BAT_REGION: u128 = 0x6677_c22d_23f6_0042_9d64_115e_9bfd_4a08;
const METADATA_REGION: u128 = 0x06a2_7c8b_9047_9a4b_b8fe_575f_050f_886e;
const FILE_PARAMETERS: u128 = 0x3767_a1ca_36fa_434d_b3b6_33f0_aa44_e76b;
const DISK_SIZE: u128 = 0x2442_a52f_1bcd_7648_b211_5dbe_d83b_f4b8;
const DISK_ID: u128 = 0xab12_cabe_e6b2_2345_93ef_c309_e000_c746;
const LOGICAL_SECTOR: u128 = 0x1dbf_4181_6fa9_0947_ba47_f233_a8fa_ab5f;
const PHYSICAL_SECTOR: u128 = 0xc748_a3cd_5d44_7144_9cc9_e988_5251_c556;
/// Those that nobody knows.
const STRANGE_REGION: u128 = 0x5472_616e_6765_2072_6567_696f_6e20_2121;
const STRANGE_ITEM: u128 = 0x5374_7261_6e67_6520_6974_656d_2021_2121;

/// What needs a place in the file.
enum Part {
    Log,
    Bat,
    Metadata,
    Strange,
    Block(u64),
}

/// Where what is.
struct Layout {
    log: u64,
    regions: Vec<(u128, u64, u64)>,
    bat: u64,
    metadata: u64,
    blocks: Vec<(u64, u64)>,
}

/// Makes the image.
pub fn make(image: &mut Image, options: &Vhdx) -> Result<(), BuildError> {
    let count = image.content.size().div_ceil(image.unit);
    if options.fixed && !options.zeroed {
        image.units.extend(0..count);
    }
    let entries = count + count.saturating_sub(1) / options.chunk();
    let spare = if image.once_in(3, Oddity::Gaps) { MIB } else { 0 };
    let bat_len = (entries * 8).next_multiple_of(MIB) + spare;
    let layout = layout(image, options, bat_len)?;
    write_headers(image, options, layout.log)?;
    write_regions(image, &layout)?;
    write_metadata(image, options, layout.metadata)?;
    write_bat(image, options, &layout, (entries, bat_len))?;
    layout.blocks.iter().try_for_each(|(number, at)| image.write_unit(*number, *at))
}

fn layout(image: &mut Image, options: &Vhdx, bat_len: u64) -> Result<Layout, BuildError> {
    let item = |what, len| Item { what, len, align: MIB };
    let mut regions = vec![item(Part::Log, u64::from(options.log_mib) * MIB), item(Part::Metadata, METADATA)];
    if image.once_in(3, Oddity::Extras) {
        regions.push(item(Part::Strange, MIB));
    }
    let mut items: Vec<_> = image.units.iter().map(|number| item(Part::Block(*number), image.unit)).collect();
    items.push(item(Part::Bat, bat_len));
    if image.once_in(2, Oddity::Order) {
        // Everything anywhere.
        items.append(&mut regions);
        image.shuffle(&mut items);
    } else {
        image.shuffle(&mut items);
        if !image.may_have(Oddity::Order) {
            // The table in front.
            items.rotate_right(1);
        }
        regions.append(&mut items);
        items = regions;
    }
    let (placed, end) = image.place(items, MIB)?;
    let mut layout = Layout { log: 0, regions: Vec::new(), bat: 0, metadata: 0, blocks: Vec::new() };
    for (part, at) in placed {
        match part {
            Part::Log => layout.log = at,
            Part::Bat => {
                layout.bat = at;
                layout.regions.push((BAT_REGION, at, bat_len));
            }
            Part::Metadata => {
                layout.metadata = at;
                layout.regions.push((METADATA_REGION, at, METADATA));
            }
            Part::Strange => {
                image.file.fill(at, MIB, 0x5a)?;
                layout.regions.push((STRANGE_REGION, at, MIB));
            }
            Part::Block(number) => layout.blocks.push((number, at)),
        }
    }
    image.file.set_len(end)?;
    // A log is zeros until it is used.
    image.file.fill(layout.log, u64::from(options.log_mib) * MIB, 0)?;
    Ok(layout)
}

fn write_headers(image: &mut Image, options: &Vhdx, log: u64) -> Result<(), BuildError> {
    let creator: Vec<u8> = "oracle".encode_utf16().flat_map(u16::to_le_bytes).collect();
    image.file.write(0, b"vhdxfile")?;
    image.file.write(8, &creator)?;
    let (writes, data) = (image.guid(), image.guid());
    let first = image.rng.below(3);
    for (sequence, at) in (first..).zip(HEADERS) {
        let mut header = vec![0; HEADER];
        put(&mut header, 0, b"head");
        put(&mut header, 8, &sequence.to_le_bytes());
        put(&mut header, 16, &writes);
        put(&mut header, 32, &data);
        put(&mut header, 66, &1u16.to_le_bytes());
        put(&mut header, 68, &(u32::from(options.log_mib) << 20).to_le_bytes());
        put(&mut header, 72, &log.to_le_bytes());
        seal(&mut header);
        image.file.write(at, &header)?;
    }
    Ok(())
}

fn write_regions(image: &mut Image, layout: &Layout) -> Result<(), BuildError> {
    let mut table = vec![0; TABLE];
    put(&mut table, 0, b"regi");
    put(&mut table, 8, &u32::try_from(layout.regions.len()).unwrap_or(0).to_le_bytes());
    let required = u32::from(image.once_in(2, Oddity::Extras));
    for (place, (guid, at, len)) in layout.regions.iter().enumerate() {
        let entry = 16 + 32 * place;
        put(&mut table, entry, &guid.to_be_bytes());
        put(&mut table, entry + 16, &at.to_le_bytes());
        put(&mut table, entry + 24, &u32::try_from(*len).unwrap_or(0).to_le_bytes());
        let must = if *guid == STRANGE_REGION { 0 } else { required };
        put(&mut table, entry + 28, &must.to_le_bytes());
    }
    seal(&mut table);
    TABLES.iter().try_for_each(|at| image.file.write(*at, &table))
}

fn write_metadata(image: &mut Image, options: &Vhdx, region: u64) -> Result<(), BuildError> {
    let parameters =
        [1u32 << options.block_bits, if options.fixed { FIXED } else { 0 }].map(u32::to_le_bytes);
    let physical: u32 = if image.once_in(2, Oddity::Extras) && !options.large_sectors { 512 } else { 4096 };
    let logical = u32::try_from(options.logical_sector()).unwrap_or(0);
    let mut items = vec![
        (FILE_PARAMETERS, REQUIRED, parameters.concat()),
        (DISK_SIZE, REQUIRED | OF_DISK, image.content.size().to_le_bytes().to_vec()),
        (DISK_ID, REQUIRED | OF_DISK, image.guid().to_vec()),
        (LOGICAL_SECTOR, REQUIRED | OF_DISK, logical.to_le_bytes().to_vec()),
        (PHYSICAL_SECTOR, REQUIRED | OF_DISK, physical.to_le_bytes().to_vec()),
    ];
    if image.once_in(3, Oddity::Extras) {
        items.push((STRANGE_ITEM, 0, b"nobody knows".to_vec()));
    }
    image.shuffle(&mut items);
    image.file.write(region, b"metadata")?;
    image.file.write(region + 10, &u16::try_from(items.len()).unwrap_or(0).to_le_bytes())?;
    let mut at = ITEMS;
    for (place, (guid, flags, data)) in (0..).zip(items) {
        at += 8 * u32::try_from(image.some(20, Oddity::Gaps)).unwrap_or(0);
        let len = u32::try_from(data.len()).unwrap_or(0);
        let entry = region + 32 + 32 * place;
        image.file.write(entry, &guid.to_be_bytes())?;
        let numbers = [at, len, flags].map(u32::to_le_bytes).concat();
        image.file.write(entry + 16, &numbers)?;
        image.file.write(region + u64::from(at), &data)?;
        at = (at + len).next_multiple_of(8);
    }
    Ok(())
}

fn write_bat(
    image: &mut Image,
    options: &Vhdx,
    layout: &Layout,
    (entries, len): (u64, u64),
) -> Result<(), BuildError> {
    let mut bat = vec![0; index(entries * 8)];
    let place = |number: u64| index((number + number / options.chunk()) * 8);
    if options.zeroed {
        // Not there, undefined, zeros, given up: all of them read as zeros.
        let count = image.content.size().div_ceil(image.unit);
        let states = image.some(2, Oddity::Extras);
        for number in 0..count {
            let state = if states == 0 { 2 } else { image.rng.below(4) };
            put(&mut bat, place(number), &state.to_le_bytes());
        }
    }
    for (number, at) in &layout.blocks {
        put(&mut bat, place(*number), &(at | PRESENT).to_le_bytes());
    }
    image.file.write(layout.bat, &bat)?;
    // What is behind the last entry means nothing.
    let rest = len - entries * 8;
    if image.once_in(2, Oddity::Garbage) {
        image.garbage(layout.bat + entries * 8, rest.min(4096))?;
    }
    Ok(())
}

/// Puts the CRC-32C of a structure in its place, its fifth byte, where there are zeros.
fn seal(structure: &mut [u8]) {
    let crc = structure.iter().fold(u32::MAX, |crc, byte| {
        let crc = crc ^ u32::from(*byte);
        (0..8).fold(crc, |crc, _| crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    });
    put(structure, 4, &(!crc).to_le_bytes());
}
