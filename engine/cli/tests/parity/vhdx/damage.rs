//! Damaged images: neither program opens what the other refuses for good reason, and what is refused stays as it was.

use super::image::{
    BAT, Bytes, HEADERS, ITEMS, LOG, METADATA, TABLES, both, done, equal, io, plain, populated, put, seal,
    word,
};
use crate::Verdict;
use crate::pair::{Engine, instar, qemu_img};
use std::path::Path;

/// What becomes of a damaged image.
#[derive(Clone, Copy)]
pub enum Fate {
    /// Both refuse to open it.
    Refused,
    /// Only ours does: qemu-img believes more.
    RefusedHere,
    /// Both open it, and both find nothing wrong. It is resized.
    Fine,
    /// Ours finds something and does not resize it. Whether qemu-img opens it is its business.
    Found,
    /// The same, but a repair sets it right, and then it is resized.
    Repaired,
}

/// Damage, and what comes of it.
pub type Spoil = (fn(&mut Bytes), Fate);

const ONE: [u8; 4] = 1_u32.to_le_bytes();

/// All of it.
pub const ALL: &[(&str, Spoil)] = &[
    ("nothing", (|_| {}, Fate::Fine)),
    ("a header", (|b| b[HEADERS[0] + 8] ^= 1, Fate::Repaired)),
    ("the other header", (|b| b[HEADERS[1] + 8] ^= 1, Fate::Repaired)),
    ("both headers", (|b| HEADERS.iter().for_each(|h| b[h + 8] ^= 1), Fate::Refused)),
    ("two headers that contradict each other", (contradiction, Fate::Refused)),
    ("version", (|b| both(b, HEADERS, 66, &[2]), Fate::Refused)),
    ("log version", (|b| both(b, HEADERS, 64, &[1]), Fate::Refused)),
    ("no log", (|b| both(b, HEADERS, 68, &[0; 4]), Fate::Found)),
    ("a log of a page", (|b| both(b, HEADERS, 68, &4096_u32.to_le_bytes()), Fate::Found)),
    ("a log in the header", (|b| both(b, HEADERS, 72, &[0; 8]), Fate::Refused)),
    ("a log over the BAT", (|b| both(b, HEADERS, 72, &(BAT as u64).to_le_bytes()), Fate::Refused)),
    ("a log past the end", (|b| both(b, HEADERS, 72, &(1_u64 << 40).to_le_bytes()), Fate::Found)),
    ("a log that is lost", (|b| both(b, HEADERS, 48, &[5]), Fate::Found)),
    ("region table", (|b| b[TABLES[0] + 8] ^= 1, Fate::Refused)),
    ("the other region table", (|b| b[TABLES[1] + 8] ^= 1, Fate::Repaired)),
    ("no regions", (|b| both(b, TABLES, 8, &[0]), Fate::Refused)),
    ("a region only", (|b| both(b, TABLES, 8, &[1]), Fate::Refused)),
    ("2048 regions", (|b| both(b, TABLES, 8, &2048_u32.to_le_bytes()), Fate::Refused)),
    ("an unknown region", (|b| third_region(b, 0), Fate::Fine)),
    ("an unknown region that is required", (|b| third_region(b, 1), Fate::Refused)),
    ("BAT over metadata", (|b| both(b, TABLES, 32, &(METADATA as u64).to_le_bytes()), Fate::Refused)),
    ("BAT in the header", (|b| both(b, TABLES, 32, &[0; 8]), Fate::Refused)),
    ("BAT past the end", (|b| both(b, TABLES, 32, &(1_u64 << 40).to_le_bytes()), Fate::Found)),
    ("BAT beyond everything", (|b| both(b, TABLES, 32, &(u64::MAX << 20).to_le_bytes()), Fate::Refused)),
    ("BAT of a few entries", (|b| both(b, TABLES, 40, &8_u32.to_le_bytes()), Fate::Refused)),
    ("metadata past the end", (|b| both(b, TABLES, 64, &(1_u64 << 40).to_le_bytes()), Fate::Refused)),
    ("metadata of no length", (|b| both(b, TABLES, 72, &[0; 4]), Fate::RefusedHere)),
    ("metadata signature", (|b| b[METADATA] = 1, Fate::Refused)),
    ("no items", (|b| b[METADATA + 10] = 0, Fate::Refused)),
    ("an item less", (|b| b[METADATA + 10] = 4, Fate::Refused)),
    ("2048 items", (|b| put(b, METADATA + 10, &2048_u16.to_le_bytes()), Fate::Refused)),
    ("an unknown item", (|b| sixth_item(b, 0), Fate::Fine)),
    ("an unknown item that is required", (|b| sixth_item(b, 4), Fate::Refused)),
    ("an item twice", (twice, Fate::Refused)),
    ("an item in the table", (|b| put(b, METADATA + 80, &8_u32.to_le_bytes()), Fate::RefusedHere)),
    ("an item past the region", (|b| put(b, METADATA + 80, &0x10_0000_u32.to_le_bytes()), Fate::Refused)),
    ("an item across sectors", (across, Fate::RefusedHere)),
    ("block size", (|b| put(b, ITEMS, &(3_u32 << 20).to_le_bytes()), Fate::Refused)),
    ("small blocks", (|b| put(b, ITEMS, &(1_u32 << 19).to_le_bytes()), Fate::Refused)),
    ("large blocks", (|b| put(b, ITEMS, &(1_u32 << 29).to_le_bytes()), Fate::Refused)),
    ("a parent", (|b| b[ITEMS + 4] = 2, Fate::Refused)),
    ("a disk of nothing", (|b| put(b, ITEMS + 8, &[0; 8]), Fate::Refused)),
    ("a disk of 65 TiB", (|b| put(b, ITEMS + 8, &(65_u64 << 40).to_le_bytes()), Fate::Refused)),
    ("a disk beyond its BAT", (|b| put(b, ITEMS + 8, &(2_u64 << 40).to_le_bytes()), Fate::Refused)),
    ("a disk of odd bytes", (|b| put(b, ITEMS + 8, &((64_u64 << 20) - 24).to_le_bytes()), Fate::Found)),
    ("sectors of 1024 bytes", (|b| put(b, ITEMS + 32, &1024_u32.to_le_bytes()), Fate::Refused)),
    ("physical sectors of 1000 bytes", (|b| put(b, ITEMS + 36, &1000_u32.to_le_bytes()), Fate::Found)),
    ("a block twice", (|b| entry(b, word(b, BAT)), Fate::Found)),
    ("a block in part over another", (|b| entry(b, word(b, BAT) + (1 << 20)), Fate::Found)),
    ("a block past the end", (|b| entry(b, 100 << 20 | 6), Fate::Found)),
    ("a block beyond everything", (|b| entry(b, u64::MAX << 20 | 6), Fate::Found)),
    ("a block over the BAT", (|b| entry(b, BAT as u64 | 6), Fate::Found)),
    ("a block over the header", (|b| entry(b, 6), Fate::Found)),
    ("state 4", (|b| entry(b, 9 << 20 | 4), Fate::Found)),
    ("state 7", (|b| entry(b, 9 << 20 | 7), Fate::Found)),
    ("reserved bits", (|b| entry(b, 1 << 16), Fate::Found)),
    ("a place of a block that is not there", (|b| entry(b, 9 << 20 | 3), Fate::Fine)),
    ("a file of a MiB", (|b| b.truncate(1 << 20), Fate::Refused)),
    ("a file of half a header section", (|b| b.truncate(100 << 10), Fate::Refused)),
];

fn contradiction(bytes: &mut Bytes) {
    both(bytes, HEADERS, 8, &7_u64.to_le_bytes());
    bytes[HEADERS[1] + 16] ^= 1;
    seal(bytes, HEADERS[1], 4096);
}

/// A region of 1 MiB behind everything that is known.
fn third_region(bytes: &mut Bytes, required: u8) {
    let place = bytes.len().next_multiple_of(1 << 20);
    bytes.resize(place + (1 << 20), 0xaa);
    both(bytes, TABLES, 8, &[3]);
    both(bytes, TABLES, 80, &[0x77; 16]);
    both(bytes, TABLES, 96, &(place as u64).to_le_bytes());
    both(bytes, TABLES, 104, &(1_u32 << 20).to_le_bytes());
    both(bytes, TABLES, 108, &[required]);
}

fn sixth_item(bytes: &mut Bytes, flags: u8) {
    bytes[METADATA + 10] = 6;
    put(bytes, METADATA + 192, &[0x79; 16]);
    put(bytes, METADATA + 208, &[0, 1, 1, 0, 8, 0, 0, 0, flags]);
}

fn twice(bytes: &mut Bytes) {
    bytes[METADATA + 10] = 6;
    let item = bytes[METADATA + 64..METADATA + 96].to_vec();
    put(bytes, METADATA + 192, &item);
}

/// No entry of the log replaces two halves of a word.
fn across(bytes: &mut Bytes) {
    let size = word(bytes, ITEMS + 8);
    put(bytes, METADATA + 80, &(0x1_1000_u32 - 4).to_le_bytes());
    put(bytes, METADATA + 0x1_1000 - 4, &size.to_le_bytes());
}

fn entry(bytes: &mut Bytes, value: u64) {
    put(bytes, BAT + 8, &value.to_le_bytes());
}

/// What both programs make of a damaged image.
pub fn judged(dir: &Path, engine: Engine, (spoil, fate): Spoil) -> Verdict {
    let mut bytes = populated(dir)?;
    spoil(&mut bytes);
    let image = dir.join("x.vhdx");
    std::fs::write(&image, &bytes)?;
    let [theirs, ours] = [
        qemu_img(dir, &["info", "-f", "vhdx", "x.vhdx"])?,
        instar(dir, engine, &["info", "-f", "vhdx", "x.vhdx"])?,
    ];
    let opened = [theirs.code == Some(0), ours.code == Some(0)];
    match fate {
        Fate::Refused => equal("opened", &opened, &[false, false])?,
        Fate::RefusedHere => equal("opened", &opened, &[true, false])?,
        Fate::Fine | Fate::Repaired => equal("info", &plain(ours), &plain(theirs))?,
        Fate::Found => equal("opened here", &opened[1], &true)?,
    }
    let check = instar(dir, engine, &["check", "-f", "vhdx", "x.vhdx"])?;
    let wanted = match fate {
        Fate::Refused | Fate::RefusedHere => 1,
        Fate::Fine => 0,
        Fate::Found | Fate::Repaired => 2,
    };
    equal(&format!("{check:?}"), &check.code, &Some(wanted))?;
    let grown = instar(dir, engine, &["resize", "-f", "vhdx", "x.vhdx", "20G"])?;
    // An image of which a header is gone is whole, and resized.
    let resizes = matches!(fate, Fate::Fine) || (grown.code == Some(0) && bytes_agree(&bytes));
    if resizes {
        return whole(dir);
    }
    one_line(&grown.err)?;
    equal("untouched", &(std::fs::read(&image)? == bytes), &true)?;
    if matches!(fate, Fate::Repaired) {
        done(&instar(dir, engine, &["check", "-r", "all", "x.vhdx"])?)?;
        done(&instar(dir, engine, &["check", "x.vhdx"])?)?;
        done(&instar(dir, engine, &["resize", "x.vhdx", "20G"])?)?;
        whole(dir)?;
    }
    Ok(())
}

/// Whether the region tables are the same.
fn bytes_agree(bytes: &Bytes) -> bool {
    bytes[TABLES[0]..TABLES[0] + 65536] == bytes[TABLES[1]..TABLES[1] + 65536]
}

fn one_line(text: &str) -> Verdict {
    if text.lines().count() == 1 { Ok(()) } else { Err(format!("no single line: {text:?}").into()) }
}

/// That a resized image is clean and holds what it held.
fn whole(dir: &Path) -> Verdict {
    done(&qemu_img(dir, &["check", "x.vhdx"])?)?;
    io(&dir.join("x.vhdx"), &["read -P 7 0 1M", "read -P 8 60M 1M", "read -P 0 64M 64M"])
}

/// An entry in the log that makes the disk 128 MiB, and a header that says so.
pub fn log_size(bytes: &mut Bytes) {
    let guid = [0x47; 16];
    let mut sector = bytes[ITEMS..ITEMS + 4096].to_vec();
    put(&mut sector, 8, &(128_u64 << 20).to_le_bytes());
    let mut entry = vec![0; 8192];
    put(&mut entry, 0, b"loge");
    put(&mut entry, 8, &8192_u32.to_le_bytes());
    put(&mut entry, 16, &[1]);
    put(&mut entry, 24, &ONE);
    put(&mut entry, 32, &guid);
    put(&mut entry, 48, &(bytes.len() as u64).to_le_bytes());
    put(&mut entry, 56, &(bytes.len() as u64).to_le_bytes());
    put(&mut entry, 64, b"desc");
    put(&mut entry, 68, &sector[4092..]);
    put(&mut entry, 72, &sector[..8]);
    put(&mut entry, 80, &(ITEMS as u64).to_le_bytes());
    put(&mut entry, 88, &[1]);
    put(&mut entry, 4096, b"data");
    put(&mut entry, 4104, &sector[8..4092]);
    put(&mut entry, 8188, &ONE);
    seal(&mut entry, 0, 8192);
    put(bytes, LOG, &entry);
    both(bytes, HEADERS, 48, &guid);
}

/// A log that is to be replayed keeps everybody who only reads from opening the image. A repair replays it as
/// qemu-img's does, and a resize replays it first.
pub fn replayed(dir: &Path, engine: Engine) -> Verdict {
    let mut bytes = populated(dir)?;
    log_size(&mut bytes);
    let image = dir.join("x.vhdx");
    std::fs::write(&image, &bytes)?;
    for words in [&["info", "x.vhdx"][..], &["check", "x.vhdx"], &["info", "--output=json", "x.vhdx"]] {
        crate::pair::same(words, &instar(dir, engine, words)?, &qemu_img(dir, words)?)?;
    }
    equal("untouched", &(std::fs::read(&image)? == bytes), &true)?;
    let mut made = Vec::new();
    for how in ["leaks", "all"] {
        let words = ["check", "-r", how, "x.vhdx"];
        let theirs = qemu_img(dir, &words)?;
        std::fs::write(&image, &bytes)?;
        crate::pair::same(&words, &instar(dir, engine, &words)?, &theirs)?;
        made.push(word(&std::fs::read(&image)?, ITEMS + 8));
        std::fs::write(&image, &bytes)?;
    }
    equal("sizes", &made, &vec![128 << 20; 2])?;
    done(&instar(dir, engine, &["resize", "x.vhdx", "+64M"])?)?;
    equal("size", &word(&std::fs::read(&image)?, ITEMS + 8), &(192 << 20))?;
    whole(dir)?;
    // A file that is shorter than it was when the log was written has lost something.
    bytes.truncate(bytes.len() - (1 << 20));
    std::fs::write(&image, &bytes)?;
    let short = instar(dir, engine, &["resize", "x.vhdx", "+64M"])?;
    one_line(&short.err)?;
    equal("untouched", &(short.code, std::fs::read(&image)? == bytes), &(Some(1), true))
}
