//! Reading persistent bitmaps by hand, every number straight from the specification.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// A bitmap as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Bits {
    pub flags: u64,
    pub granularity_bits: u64,
    /// A byte for eight bits, least significant first; nothing behind the last bit of the disk.
    pub bytes: Vec<u8>,
    /// Whether any bit behind the end of the disk is set.
    pub stray: bool,
}

/// The bitmaps of the image at `path`, by name.
pub fn bitmaps(path: &Path) -> Result<BTreeMap<String, Bits>, Box<dyn Error>> {
    let image = std::fs::read(path)?;
    let mut all = BTreeMap::new();
    let Some(extension) = extension(&image) else { return Ok(all) };
    let mut at = num(&image, extension + 16, 8);
    for _ in 0..num(&image, extension, 4) {
        let (name_len, extra) = (num(&image, at + 18, 2), num(&image, at + 20, 4));
        let name = &image[at + 24 + extra..][..name_len];
        all.insert(String::from_utf8(name.to_vec())?, read(&image, at));
        at += (24 + extra + name_len).next_multiple_of(8);
    }
    Ok(all)
}

/// Changes the directory entry of a bitmap.
pub fn change(path: &Path, name: &str, change: impl Fn(&mut [u8])) -> Result<(), Box<dyn Error>> {
    let mut image = std::fs::read(path)?;
    let at = find(&image, name)?;
    change(&mut image[at..at + 24]);
    Ok(std::fs::write(path, image)?)
}

/// Changes the first bit of a bitmap's first cluster of data.
pub fn flip_data(path: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    let mut image = std::fs::read(path)?;
    let at = find(&image, name)?;
    let (table, entries) = (num(&image, at, 8), num(&image, at + 8, 4));
    let data = (0..entries).map(|i| num(&image, table + i * 8, 8)).find(|data| *data != 0);
    image[data.ok_or("no data")?] ^= 1;
    Ok(std::fs::write(path, image)?)
}

/// The directory entry of a bitmap.
fn find(image: &[u8], name: &str) -> Result<usize, Box<dyn Error>> {
    let extension = extension(image).ok_or("no bitmaps")?;
    let mut at = num(image, extension + 16, 8);
    for _ in 0..num(image, extension, 4) {
        let len = num(image, at + 18, 2);
        if &image[at + 24..at + 24 + len] == name.as_bytes() {
            return Ok(at);
        }
        at += (24 + len).next_multiple_of(8);
    }
    Err("no such bitmap".into())
}

/// The data of the bitmaps extension, if it is valid.
fn extension(image: &[u8]) -> Option<usize> {
    let mut at = num(image, 100, 4);
    while num(image, at, 4) != 0 && at < 4096 {
        if num(image, at, 4) == 0x2385_2875 {
            return (num(image, 88, 8) & 1 == 1).then_some(at + 8);
        }
        at += 8 + num(image, at + 4, 4).next_multiple_of(8);
    }
    None
}

fn read(image: &[u8], at: usize) -> Bits {
    let (table, entries) = (num(image, at, 8), num(image, at + 8, 4));
    let granularity_bits = image[at + 17];
    let cluster = 1 << num(image, 20, 4);
    let mut bytes = Vec::new();
    for i in 0..entries {
        let entry = num(image, table + i * 8, 8);
        let start = entry & 0x00ff_ffff_ffff_fe00;
        let mut data = vec![if entry & 1 == 1 { 0xff } else { 0 }; cluster];
        if start != 0 {
            let there = &image[start.min(image.len())..image.len().min(start + cluster)];
            data[..there.len()].copy_from_slice(there);
        }
        bytes.extend(data);
    }
    let bits = num(image, 24, 8).div_ceil(1 << granularity_bits);
    let rest = bytes.split_off(bits.div_ceil(8).min(bytes.len()));
    let mut stray = rest.iter().any(|b| *b != 0);
    if let (Some(last), true) = (bytes.last_mut(), !bits.is_multiple_of(8)) {
        let mask = (1 << (bits % 8)) - 1;
        stray |= *last & !mask != 0;
        *last &= mask;
    }
    let (flags, granularity_bits) = (num(image, at + 12, 4) as u64, u64::from(granularity_bits));
    Bits { flags, granularity_bits, bytes, stray }
}

/// A big-endian number of `len` bytes.
fn num(image: &[u8], at: usize, len: usize) -> usize {
    image.get(at..at + len).map_or(0, |b| b.iter().fold(0, |n, b| n << 8 | usize::from(*b)))
}
