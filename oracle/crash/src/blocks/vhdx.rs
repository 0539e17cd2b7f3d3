//! VHDX, after Microsoft's "VHDX Format Specification". All integers are little-endian.

use super::crc::is_sealed;
use super::log::Log;
use super::{Claims, Piece, Reading, bytes, le};
use crate::image::Image;

const MIB: u64 = 1 << 20;
/// Places of the two headers and of the two region tables.
const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
const REGION_TABLES: [u64; 2] = [192 << 10, 256 << 10];
/// Their lengths.
const HEADER: u64 = 4 << 10;
const REGION_TABLE: u64 = 64 << 10;
/// Most regions and items there are.
const MOST_ENTRIES: u64 = 2047;
/// What regions and items are, as it stands in the file.
const BAT: [u8; 16] = guid(0x2dc2_7766, 0xf623, 0x4200, 0x9d64_115e_9bfd_4a08);
const METADATA: [u8; 16] = guid(0x8b7c_a206, 0x4790, 0x4b9a, 0xb8fe_575f_050f_886e);
const FILE_PARAMETERS: [u8; 16] = guid(0xcaa1_6737, 0xfa36, 0x4d43, 0xb3b6_33f0_aa44_e76b);
const DISK_SIZE: [u8; 16] = guid(0x2fa5_4224, 0xcd1b, 0x4876, 0xb211_5dbe_d83b_f4b8);
const SECTOR_SIZE: [u8; 16] = guid(0x8141_bf1d, 0xa96f, 0x4709, 0xba47_f233_a8fa_ab5f);
/// Bits of an entry of the block table that are its state, and those that are a place in the file.
const STATE: u64 = 7;
const PLACE: u64 = !(MIB - 1);
/// States of a block: from this one on the file has its bytes.
const PRESENT: u64 = 6;
/// States that read as zeros.
const ABSENT: [u64; 4] = [0, 1, 2, 3];

/// A GUID as it stands in a file: the first three parts are little-endian.
const fn guid(a: u32, b: u16, c: u16, d: u64) -> [u8; 16] {
    let (a, b, c, d) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes(), d.to_be_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

/// Reads it, after its log if there is something in that.
pub fn read(image: &Image) -> Result<Reading, String> {
    if bytes(image, 0, 8) != b"vhdxfile" {
        return Err("no VHDX signature".into());
    }
    let valid: Vec<Vec<u8>> = HEADERS
        .into_iter()
        .map(|at| bytes(image, at, HEADER))
        .filter(|header| header.starts_with(b"head") && is_sealed(header))
        .collect();
    let sequence = |header: &&Vec<u8>| le(header, 8, 8);
    let header = valid.iter().max_by_key(sequence).ok_or("no valid header")?;
    if valid.len() == 2 && valid[0] != valid[1] && sequence(&&valid[0]) == sequence(&&valid[1]) {
        return Err("two headers count".into());
    }
    let log = Log {
        offset: le(header, 72, 8),
        len: le(header, 68, 4),
        guid: header[48..64].try_into().unwrap_or_default(),
    };
    if log.guid == [0; 16] {
        let reading = plain(image, &log)?;
        return Ok(Reading { unfinished: (valid.len() < 2).then_some("one header is not valid"), ..reading });
    }
    let replayed = log.replay(image)?;
    let reading = plain(&replayed, &log)?;
    Ok(Reading { unfinished: Some("the log is to be replayed"), replayed: Some(replayed), ..reading })
}

/// The region table, of which both copies are whole and the same: they change through the log only.
fn regions(image: &Image) -> Result<Vec<u8>, String> {
    let [one, other] = REGION_TABLES.map(|at| bytes(image, at, REGION_TABLE));
    if !one.starts_with(b"regi") || !is_sealed(&one) {
        return Err("the first region table is not valid".into());
    }
    if one != other {
        return Err("the region tables differ".into());
    }
    Ok(one)
}

/// Reads an image whose log is empty.
fn plain(image: &Image, log: &Log) -> Result<Reading, String> {
    let table = regions(image)?;
    let mut claims = Claims::default();
    claims.claim(0, MIB, "head of the file");
    claims.claim(log.offset, log.len, "log");
    let (mut bat, mut metadata) = (None, None);
    for number in 0..le(&table, 8, 4).min(MOST_ENTRIES) {
        let entry = &table[crate::image::to_usize(16 + 32 * number)..][..32];
        let (offset, len) = (le(entry, 16, 8), le(entry, 24, 4));
        claims.claim(offset, len, "region");
        match &entry[..16] {
            guid if guid == BAT => bat = Some((offset, len)),
            guid if guid == METADATA => metadata = Some(offset),
            _ => {}
        }
    }
    let (bat, metadata) = (bat.ok_or("no BAT")?, metadata.ok_or("no metadata")?);
    let disk = Disk::read(image, metadata)?;
    let pieces = disk.pieces(image, bat, &mut claims)?;
    claims.check(image.len())?;
    Ok(Reading { size: disk.size, pieces, ..Reading::default() })
}

/// What the metadata says.
struct Disk {
    size: u64,
    block: u64,
    sector: u64,
}

impl Disk {
    fn read(image: &Image, at: u64) -> Result<Self, String> {
        let table = bytes(image, at, 64 << 10);
        if !table.starts_with(b"metadata") {
            return Err("the metadata table is not valid".into());
        }
        let item = |guid: [u8; 16], len: u64| {
            let entries = table[32..].chunks_exact(32).take(crate::image::to_usize(le(&table, 10, 2)));
            let mut found = entries.filter(|entry| entry[..16] == guid);
            let offset = found.next().map(|entry| le(entry, 16, 4)).ok_or("a metadata item is missing");
            offset.map(|offset| bytes(image, at + offset, len))
        };
        let [parameters, size] = [item(FILE_PARAMETERS, 8)?, item(DISK_SIZE, 8)?];
        let disk = Self {
            size: le(&size, 0, 8),
            block: le(&parameters, 0, 4),
            sector: le(&item(SECTOR_SIZE, 4)?, 0, 4),
        };
        let sane = disk.block.is_power_of_two() && disk.block >= MIB && matches!(disk.sector, 512 | 4096);
        if sane && disk.size.is_multiple_of(disk.sector) {
            Ok(disk)
        } else {
            Err("the metadata make no sense".into())
        }
    }

    /// Its blocks: behind so many entries of them each, a chunk, the table has one for sector bitmaps.
    fn pieces(
        &self,
        image: &Image,
        (bat, len): (u64, u64),
        claims: &mut Claims,
    ) -> Result<Vec<Piece>, String> {
        let chunk = (self.sector << 23) / self.block;
        let blocks = self.size.div_ceil(self.block);
        let entries = blocks + blocks.saturating_sub(1) / chunk;
        if entries * 8 > len {
            return Err(format!("a BAT of {len} bytes for {entries} entries"));
        }
        let (mut pieces, mut wrong) = (Vec::new(), None);
        image.words(bat, entries * 8, |index, word| {
            let (entry, state) = (word.swap_bytes(), word.swap_bytes() & STATE);
            let (place, is_bitmap) = (entry & PLACE, index % (chunk + 1) == chunk);
            if state == PRESENT && !is_bitmap && entry == place | state {
                let guest = (index - index / (chunk + 1)) * self.block;
                // The last block of a fixed image that QEMU has made may end with the disk.
                let here = self.block.min(self.size - guest);
                claims.claim(
                    place,
                    if place + self.block > image.len() { here } else { self.block },
                    "block",
                );
                pieces.push(Piece { guest, len: here, file: 0, at: place });
            } else if is_bitmap || !ABSENT.contains(&state) || entry & (MIB - 1) != state {
                wrong.get_or_insert(index);
            }
        });
        match wrong {
            Some(index) => Err(format!("entry {index} of the BAT is not valid")),
            None => Ok(pieces),
        }
    }
}
