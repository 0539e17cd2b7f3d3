//! VHDX: numbers have their least significant byte first.

use super::source::{Bytes, Source};
use super::{Disk, Run};
use crate::JudgeError;

/// Bytes of a MiB: regions, blocks and the log lie at multiples of it.
const MIB: u64 = 1 << 20;
/// Where the two headers are, and how much of them is checked.
const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
const HEADER: u64 = 4096;
/// Where the two region tables are, and their length.
const TABLES: [u64; 2] = [192 << 10, 256 << 10];
const TABLE: u64 = 64 << 10;
/// Entries that a table has at most.
const MOST_ENTRIES: u64 = 2047;
/// States of a block that is in the file, and the largest of those that read as zeros.
const PRESENT: u64 = 6;
const LAST_ZERO: u64 = 3;

/// Metadata items by their name in the specification.
const FILE_PARAMETERS: &str = "3767a1ca36fa434db3b633f0aa44e76b";
const DISK_SIZE: &str = "2442a52f1bcd7648b2115dbed83bf4b8";
const LOGICAL_SECTOR: &str = "1dbf41816fa90947ba47f233a8faab5f";
/// Regions by theirs.
const BAT_REGION: &str = "6677c22d23f600429d64115e9bfd4a08";
const METADATA_REGION: &str = "06a27c8b90479a4bb8fe575f050f886e";

/// Reads the image.
pub fn read(disk: &mut Disk) -> Result<(), JudgeError> {
    let name = disk.files[0].bytes(0, 8)?;
    disk.want(name.at(0) == *b"vhdxfile", "signature", || "no vhdxfile".into());
    let creator = disk.files[0].bytes(8, 512)?;
    disk.keep("creator", &creator.0);
    let mut ranges = vec![(0, MIB, "the headers".to_string())];
    headers(disk, &mut ranges)?;
    let regions = regions(disk, &mut ranges)?;
    let find =
        |wanted: &str| regions.iter().find(|(guid, ..)| guid == wanted).map(|(_, at, len)| (*at, *len));
    let (Some(bat), Some(metadata)) = (find(BAT_REGION), find(METADATA_REGION)) else {
        disk.wrong("regions", "no BAT or no metadata");
        return Ok(());
    };
    let Some((block, sector)) = items(disk, metadata.0)? else {
        disk.wrong("metadata", "items that must be there are not");
        return Ok(());
    };
    blocks(disk, bat, (block, sector), &mut ranges)?;
    let end = disk.files[0].len;
    disk.apart(ranges, end);
    Ok(())
}

fn headers(disk: &mut Disk, ranges: &mut Vec<(u64, u64, String)>) -> Result<(), JudgeError> {
    let mut newest: Option<(u64, Bytes)> = None;
    for at in HEADERS {
        let header = disk.files[0].bytes(at, HEADER)?;
        let valid = header.at(0) == *b"head" && crc(&header.0) == header.le32(4);
        disk.want(valid, "header", || format!("that at {at:#x} is not valid"));
        let sequence = header.le64(8);
        if valid && newest.as_ref().is_none_or(|(other, _)| *other < sequence) {
            newest = Some((sequence, header));
        }
    }
    let Some((_, header)) = newest else { return Ok(()) };
    disk.want(header.at(48) == [0; 16], "log", || "it is not empty".into());
    let (len, at) = (header.le32(68), header.le64(72));
    ranges.push((at, len, "the log".into()));
    disk.keep("log", header.part(64, 16));
    Ok(())
}

/// Where the log is, and its length.
pub fn log(file: &Source) -> Result<(u64, u64), JudgeError> {
    let header = file.bytes(HEADERS[0], HEADER)?;
    Ok((header.le64(72), header.le32(68)))
}

/// The regions: GUID, first byte, length.
fn regions(
    disk: &mut Disk,
    ranges: &mut Vec<(u64, u64, String)>,
) -> Result<Vec<(String, u64, u64)>, JudgeError> {
    let [one, other] = [disk.files[0].bytes(TABLES[0], TABLE)?, disk.files[0].bytes(TABLES[1], TABLE)?];
    disk.want(one == other, "region-tables", || "they differ".into());
    let valid = one.at(0) == *b"regi" && crc(&one.0) == one.le32(4);
    disk.want(valid, "region-table", || "the first one is not valid".into());
    let mut regions = Vec::new();
    for number in 0..one.le32(8).min(MOST_ENTRIES) {
        let entry = super::place(16 + 32 * number);
        let (guid, at, len) = (hex(one.part(entry, 16)), one.le64(entry + 16), one.le32(entry + 24));
        let whole = at.is_multiple_of(MIB) && len.is_multiple_of(MIB);
        disk.want(whole, "region", || format!("{guid} is not whole MiB"));
        ranges.push((at, len, format!("region {guid}")));
        if guid != BAT_REGION {
            disk.keep(format!("region.{guid}"), one.part(entry + 16, 16));
        }
        regions.push((guid, at, len));
    }
    Ok(regions)
}

/// Notes size and other metadata items; bytes of a block and of a logical sector.
fn items(disk: &mut Disk, region: u64) -> Result<Option<(u64, u64)>, JudgeError> {
    let table = disk.files[0].bytes(region, TABLE)?;
    disk.want(table.at(0) == *b"metadata", "metadata", || "no table".into());
    let (mut block, mut sector, mut size) = (0, 0, 0);
    for number in 0..table.le16(10).min(MOST_ENTRIES) {
        let entry = super::place(32 + 32 * number);
        let (at, len) = (table.le32(entry + 16), table.le32(entry + 20));
        let guid = hex(table.part(entry, 16));
        let item = disk.files[0].bytes(region + at, len.min(MIB))?;
        disk.keep(format!("item.{guid}.entry"), table.part(entry + 16, 16));
        match guid.as_str() {
            DISK_SIZE => size = item.le64(0),
            FILE_PARAMETERS => block = item.le32(0),
            LOGICAL_SECTOR => sector = item.le32(0),
            _ => {}
        }
        if guid != DISK_SIZE {
            disk.keep(format!("item.{guid}"), &item.0);
        }
    }
    disk.size = size;
    Ok((block > 0 && sector > 0 && size > 0).then_some((block, sector)))
}

/// Notes where blocks are.
fn blocks(
    disk: &mut Disk,
    (bat, len): (u64, u64),
    (block, sector): (u64, u64),
    ranges: &mut Vec<(u64, u64, String)>,
) -> Result<(), JudgeError> {
    let count = disk.size.div_ceil(block);
    let chunk = ((1 << 23) * sector / block).max(1);
    let entries = count + count.saturating_sub(1) / chunk;
    disk.want(entries * 8 <= len, "table-length", || format!("{entries} entries in {len} bytes"));
    let table = disk.files[0].bytes(bat, entries * 8)?;
    for index in 0..entries {
        let entry = table.le64(super::place(index * 8));
        if index % (chunk + 1) == chunk {
            disk.want(entry == 0, "bitmap-entry", || format!("entry {index} is {entry:#x}"));
            continue;
        }
        let (number, state) = (index - index / (chunk + 1), entry & 7);
        disk.want(entry & 0xf_fff8 == 0, "reserved-bits", || format!("entry {index} is {entry:#x}"));
        match state {
            ..=LAST_ZERO => continue,
            PRESENT => {}
            _ => disk.wrong("state", format!("entry {index} is {entry:#x}")),
        }
        let place = entry & !(MIB - 1);
        // The last block of a fixed image may be in the file only as far as the disk reaches.
        let whole = place + block <= disk.files[0].len;
        let len = if whole { block } else { block.min(disk.size - number * block) };
        ranges.push((place, len, format!("block {number}")));
        disk.runs.insert(number * block, Run { file: 0, offset: place, len: block });
    }
    Ok(())
}

/// CRC-32C of a structure whose own checksum, at its fifth byte, counts as zero.
fn crc(bytes: &[u8]) -> u64 {
    let value = |(at, byte): (usize, &u8)| if (4..8).contains(&at) { 0 } else { *byte };
    let crc = bytes.iter().enumerate().map(value).fold(u32::MAX, |crc, byte| {
        let crc = crc ^ u32::from(byte);
        (0..8).fold(crc, |crc, _| crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    });
    (!crc).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
