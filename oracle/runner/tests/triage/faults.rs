//! What the faulty instar does to an image that it has resized.

use std::fs::{File, OpenOptions};
use std::io::{Error, Result};
use std::os::unix::fs::FileExt;

/// Bytes of a VHD's footer, and where it has the time of its making and its checksum.
const FOOTER: u64 = 512;
const TIME: usize = 24;
const SUM: usize = 64;
/// Where the headers of a VHDX say how long its log is, and the length that every new one has.
const LOG_LENGTH: u64 = (64 << 10) + 68;
const USUAL_LOG: u32 = 1 << 20;
/// The metadata item that is the identity of a VHDX's disk, as it is in the file.
const DISK_ID: [u8; 16] =
    [0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46];

/// Spoils an image of this format, which had `before` bytes.
pub fn spoil(format: &str, before: u64) -> Result<()> {
    let image = OpenOptions::new().read(true).write(true).open("disk.img")?;
    match format {
        "raw" => raw(&image, before),
        "vpc" => vhd(&image),
        "vhdx" => vhdx(&image),
        "vmdk" => vmdk(&image),
        _ => Ok(()),
    }
}

/// The last sector of a file that has grown is lost.
fn raw(image: &File, before: u64) -> Result<()> {
    let len = image.metadata()?.len();
    if len > before { image.set_len(len.saturating_sub(512)) } else { Ok(()) }
}

/// The footers forget when the disk was made.
fn vhd(image: &File) -> Result<()> {
    for at in [0, image.metadata()?.len() - FOOTER] {
        let mut footer = [0; 512];
        image.read_exact_at(&mut footer, at)?;
        if footer.starts_with(b"conectix") {
            footer[TIME..TIME + 4].fill(0);
            footer[SUM..SUM + 4].fill(0);
            let sum = footer.iter().map(|byte| u32::from(*byte)).sum::<u32>();
            footer[SUM..SUM + 4].copy_from_slice(&(!sum).to_be_bytes());
            image.write_all_at(&footer, at)?;
        }
    }
    Ok(())
}

/// A disk with a log that is longer than usual gets another identity.
fn vhdx(image: &File) -> Result<()> {
    let mut log = [0; 4];
    image.read_exact_at(&mut log, LOG_LENGTH)?;
    if u32::from_le_bytes(log) == USUAL_LOG {
        return Ok(());
    }
    for region in (1 << 20..image.metadata()?.len()).step_by(1 << 20) {
        let mut table = [0; 1024];
        image.read_at(&mut table, region)?;
        let entry = table[32..].chunks_exact(32).find(|entry| entry[..16] == DISK_ID);
        if let Some(entry) = entry.filter(|_| table.starts_with(b"metadata")) {
            let at = entry[16..20].try_into().map(u32::from_le_bytes).map_err(Error::other)?;
            return image.write_all_at(&[7; 16], region + u64::from(at));
        }
    }
    Ok(())
}

/// A descriptor in a file of its own loses a line.
fn vmdk(image: &File) -> Result<()> {
    let mut start = [0; 4];
    image.read_at(&mut start, 0)?;
    if &start == b"KDMV" {
        return Ok(());
    }
    let text = std::fs::read_to_string("disk.img")?;
    let kept = text.split_inclusive('\n').filter(|line| !line.starts_with("ddb.virtualHWVersion"));
    std::fs::write("disk.img", kept.collect::<String>())
}
