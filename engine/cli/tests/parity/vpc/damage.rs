//! Damaged images: what qemu-img does not open ours does not, in the same words; what ours finds, or refuses to
//! resize, stays as it was.

use super::{done, plain, same_words};
use crate::Verdict;
use crate::pair::{Engine, instar, qemu_img};
use std::path::Path;

/// A byte of the image at an offset within a structure.
#[derive(Clone, Copy)]
pub enum Spoil {
    /// In the footer in front, whose checksum is right again.
    Front(usize, &'static [u8]),
    /// In both footers.
    Both(usize, &'static [u8]),
    /// In the header.
    Header(usize, &'static [u8]),
    /// Anywhere, and no checksum with it; the offset counts from the end if there is a minus.
    Raw(isize, &'static [u8]),
    /// So many bytes are left.
    Cut(usize),
}
use Spoil::{Both, Cut, Front, Header, Raw};

/// What `check` exits with, and whether the image can be resized.
type Fate = (i32, bool);

const FULL: [u8; 8] = [0xff; 8];
/// The table of the image, and the entry of its sixth block.
const ENTRY: isize = 1536 + 4 * 5;

/// All of it.
pub const ALL: &[(&str, (Spoil, Fate))] = &[
    ("nothing", (Both(8, &[0, 0, 0, 2]), (0, true))),
    ("reserved bytes", (Both(200, &[1]), (0, true))),
    ("the footers differ", (Front(48, &[0, 0, 0, 0, 3, 0xe0, 0, 0]), (2, true))),
    ("no footer in front", (Raw(0, &[0]), (2, false))),
    ("a damaged footer in front", (Raw(100, &[1]), (2, false))),
    ("no footer at the end", (Raw(-512, &[0]), (2, true))),
    ("a damaged footer at the end", (Raw(-400, &[1]), (2, true))),
    ("a disk beyond its table", (Both(48, &[0, 0, 0, 1]), (1, false))),
    ("a header that is none", (Header(0, &[0]), (1, false))),
    ("a damaged header", (Raw(512 + 800, &[1]), (2, true))),
    ("a header beyond the file", (Both(16, &[0, 0, 1]), (1, false))),
    ("a header beyond everything", (Both(16, &FULL), (1, false))),
    ("blocks of nothing", (Header(32, &[0; 4]), (1, false))),
    ("blocks of 256 bytes", (Header(32, &[0, 0, 1, 0]), (1, false))),
    ("blocks of 3 MiB", (Header(32, &[0, 0x30, 0, 0]), (1, false))),
    ("blocks of 2 GiB", (Header(32, &[0x80, 0, 0, 0]), (2, false))),
    ("no entries", (Header(28, &[0; 4]), (1, false))),
    ("an entry too many", (Header(28, &[0, 0, 0, 33]), (2, true))),
    ("2^30 entries", (Header(28, &[0x40, 0, 0, 0]), (1, false))),
    ("a table beyond the file", (Header(16, &[0, 0, 1]), (1, false))),
    ("a table beyond everything", (Header(16, &FULL), (1, false))),
    ("a table in the footer", (Header(16, &[0; 8]), (2, false))),
    ("a block over the footer", (Raw(ENTRY, &[0, 0, 0, 0]), (2, false))),
    ("a block over the table", (Raw(ENTRY, &[0, 0, 0, 3]), (2, false))),
    ("a block past the end", (Raw(ENTRY, &[0, 1, 0, 0]), (2, false))),
    ("a block beyond everything", (Raw(ENTRY, &[0xff, 0xff, 0xff, 0xfe]), (2, false))),
    ("a block twice", (Raw(ENTRY, &[0, 0, 0, 4]), (2, true))),
    ("a hidden sector", (Raw(2048, &[0x7f]), (2, true))),
    ("a saved state", (Both(84, &[1]), (0, false))),
    ("a differencing image", (Both(60, &[0, 0, 0, 4]), (0, false))),
    ("an unknown disk type", (Both(60, &[0, 0, 0, 5]), (2, false))),
    ("half a block", (Cut(1 << 20), (2, false))),
    ("half a table", (Cut(1600), (1, false))),
    ("half a header", (Cut(900), (1, false))),
    ("half a footer", (Cut(300), (1, false))),
];

/// A footer's checksum is at 64, a header's at 36.
fn seal(structure: &mut [u8], at: usize) {
    structure[at..at + 4].fill(0);
    let sum = !structure.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    structure[at..at + 4].copy_from_slice(&sum.to_be_bytes());
}

fn spoil(bytes: &mut Vec<u8>, how: Spoil) {
    let end = bytes.len() - 512;
    let footer = |bytes: &mut [u8], start: usize, at: usize, data: &[u8]| {
        bytes[start + at..start + at + data.len()].copy_from_slice(data);
        seal(&mut bytes[start..start + 512], 64);
    };
    match how {
        Front(at, data) => footer(bytes, 0, at, data),
        Both(at, data) => [0, end].into_iter().for_each(|start| footer(bytes, start, at, data)),
        Header(at, data) => {
            bytes[512 + at..512 + at + data.len()].copy_from_slice(data);
            seal(&mut bytes[512..1536], 36);
        }
        Raw(at, data) => {
            let at = bytes.len().saturating_add_signed(at) % bytes.len().max(1);
            bytes[at..at + data.len()].copy_from_slice(data);
        }
        Cut(len) => bytes.truncate(len),
    }
}

/// What both programs make of a damaged image.
pub fn judged(dir: &Path, engine: Engine, (how, (code, resizes)): &(Spoil, Fate)) -> Verdict {
    done(&qemu_img(dir, &["create", "-q", "-f", "vpc", "-o", "force_size=on", "x.vhd", "64M"])?)?;
    super::readers::io(dir, &["write -P 7 0 1M", "write -P 8 60M 1M"])?;
    let image = dir.join("x.vhd");
    let mut bytes = std::fs::read(&image)?;
    spoil(&mut bytes, *how);
    std::fs::write(&image, &bytes)?;
    let looked = ["info", "-f", "vpc", "x.vhd"];
    same_words(&plain(instar(dir, engine, &looked)?), &plain(qemu_img(dir, &looked)?))?;
    let check = instar(dir, engine, &["check", "-f", "vpc", "x.vhd"])?;
    if check.code != Some(*code) {
        return Err(format!("{check:?}, not {code}").into());
    }
    let grown = instar(dir, engine, &["resize", "-f", "vpc", "x.vhd", "20G"])?;
    if grown.code != Some(i32::from(!resizes)) || grown.err.lines().count() > 1 {
        return Err(format!("{grown:?}").into());
    }
    if !resizes {
        let same = std::fs::read(&image)? == bytes;
        return if same { Ok(()) } else { Err("the image was changed".into()) };
    }
    super::readers::io(dir, &["read -P 7 0 1M", "read -P 8 60M 1M", "read -P 0 64M 32M"])
}
