//! Resized images through qemu-img, qemu-io, 7-Zip and vhdiinfo: size and content, before and after QEMU writes into the new area.

use super::image::{done, equal, io};
use crate::Verdict;
use crate::pair::{Engine, instar, qemu_img};
use libtest_mimic::{Failed, Trial};
use std::path::Path;
use std::process::Command;

/// Options, the size to begin with, and the sizes it goes through, all in bytes.
type Journey = (&'static str, u64, &'static [u64]);

const M: u64 = 1 << 20;
const G: u64 = 1 << 30;

/// The BAT stays, moves, comes back; blocks beyond the first chunk; a disk that ends within a block.
const JOURNEYS: &[Journey] = &[
    ("block_size=1M", 64 * M, &[100 * M, 200 * G, 30 * M, 40 * M, 61 * M + 1024, 64 * M]),
    ("subformat=dynamic", 64 * M, &[5 * G, 2048 * G, 30 * M, 40 * M]),
    ("block_state_zero=off,block_size=2M", 64 * M, &[100 * M, 600 * G, 21 * M, 40 * M]),
    ("block_size=256M,log_size=4M", 64 * M, &[64 << 40, 63 * M]),
    ("subformat=fixed", 65 * M, &[100 * M, 30 * M, 40 * M]),
    ("subformat=fixed,block_state_zero=off", 65 * M, &[100 * M, 30 * M, 40 * M, 3 * G]),
];

/// Where the guest writes before anything else, how much, and which byte.
const WRITES: [(u64, u64, u8); 3] = [(0, M, 1), (20 * M, 3 * M, 2), (62 * M, 2 * M, 3)];

/// The trials for `engine`.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let here = |tool: &str, arg: &str| Command::new(tool).arg(arg).output().is_ok();
    let readers = [
        (Reader::Qemu, None),
        (Reader::SevenZip, (!here("7zz", "i")).then_some("no 7zz on PATH")),
        (Reader::Vhdiinfo, (!here("vhdiinfo", "-V")).then_some("no vhdiinfo on PATH")),
    ];
    let mut trials = Vec::new();
    for (options, size, sizes) in JOURNEYS {
        for (reader, missing) in readers {
            let name = format!("{} vhdx: {reader:?} reads {options}", engine.name());
            let trial = Trial::test(name, move || journey(engine, options, *size, sizes, reader));
            trials.push(crate::unless(missing, trial));
        }
    }
    for (overlay, size) in [("30M", "100M"), ("61M", "62M"), ("60929K", "61M"), ("80M", "100M")] {
        let name = format!("{} vhdx: an overlay of {overlay} grows to {size}", engine.name());
        trials.push(Trial::test(name, move || overlaid(engine, overlay, size)));
    }
    for mode in ["metadata", "falloc", "full"] {
        for options in ["subformat=dynamic", "subformat=fixed", "subformat=fixed,block_state_zero=off"] {
            let name = format!("{} vhdx: preallocation={mode} {options}", engine.name());
            trials.push(Trial::test(name, move || preallocated(engine, mode, options)));
        }
    }
    trials
}

/// Who looks at the image after each resize.
#[derive(Debug, Clone, Copy)]
enum Reader {
    Qemu,
    SevenZip,
    Vhdiinfo,
}

fn journey(engine: Engine, options: &str, from: u64, sizes: &[u64], reader: Reader) -> Verdict {
    let dir = tempfile::tempdir()?;
    let (dir, image) = (dir.path(), dir.path().join("x.vhdx"));
    done(&qemu_img(dir, &["create", "-q", "-f", "vhdx", "-o", options, "x.vhdx", &from.to_string()])?)?;
    for (offset, len, byte) in WRITES {
        io(&image, &[&format!("write -P {byte} {offset} {len}")])?;
    }
    let mut least = from;
    for size in sizes {
        least = least.min(*size);
        done(&instar(dir, engine, &["resize", "--shrink", "x.vhdx", &size.to_string()])?)?;
        match reader {
            Reader::Qemu => sound(dir, engine, *size)?,
            Reader::Vhdiinfo => media_size(dir, *size)?,
            // Beyond this it takes too long to unpack a disk.
            Reader::SevenZip if *size <= 200 * M => unzipped(dir, least, *size)?,
            Reader::SevenZip => {}
        }
        for (offset, len, byte) in WRITES.into_iter().filter(|(offset, ..)| *offset < least) {
            io(&image, &[&format!("read -P {byte} {offset} {}", len.min(least - offset))])?;
        }
        let beyond = (size - least).min(64 * M);
        if beyond > 0 {
            io(&image, &[&format!("read -P 0 {least} {beyond}")])?;
        }
    }
    let last = sizes.last().ok_or("no sizes")? - 64 * 1024;
    io(&image, &[&format!("write -P 77 {last} 64k"), &format!("read -P 77 {last} 64k")])?;
    done(&qemu_img(dir, &["check", "x.vhdx"])?)?;
    done(&instar(dir, engine, &["check", "x.vhdx"])?)
}

/// An overlay hides what a VHDX image behind it has in the new area, and keeps what that has in the old one.
fn overlaid(engine: Engine, overlay: &str, size: &str) -> Verdict {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    super::image::populated(dir)?;
    for name in ["ours.qcow2", "theirs.qcow2"] {
        done(&qemu_img(dir, &["create", "-q", "-f", "qcow2", "-b", "x.vhdx", "-F", "vhdx", name, overlay])?)?;
    }
    let before = std::fs::read(dir.join("x.vhdx"))?;
    let mode = "--preallocation=full";
    done(&instar(dir, engine, &["resize", mode, "ours.qcow2", size])?)?;
    done(&qemu_img(dir, &["resize", mode, "theirs.qcow2", size])?)?;
    done(&qemu_img(dir, &["check", "ours.qcow2"])?)?;
    done(&qemu_img(dir, &["compare", "ours.qcow2", "theirs.qcow2"])?)?;
    equal("the image behind it", &(std::fs::read(dir.join("x.vhdx"))? == before), &true)
}

/// Both programs say the same of it, and find nothing wrong.
fn sound(dir: &Path, engine: Engine, size: u64) -> Verdict {
    for words in [&["info", "--output=json", "x.vhdx"][..], &["check", "x.vhdx"], &["info", "x.vhdx"]] {
        let theirs = qemu_img(dir, words)?;
        equal(
            &format!("{words:?}"),
            &super::image::plain(instar(dir, engine, words)?),
            &super::image::plain(theirs),
        )?;
    }
    let info = qemu_img(dir, &["info", "--output=json", "x.vhdx"])?;
    let info: serde_json::Value = serde_json::from_str(&info.out)?;
    equal("size", &info["virtual-size"].as_u64(), &Some(size))
}

fn media_size(dir: &Path, size: u64) -> Verdict {
    let output = Command::new("vhdiinfo").arg("x.vhdx").current_dir(dir).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found =
        text.lines().any(|line| line.contains("Media size") && line.contains(&format!("{size} bytes")));
    if found { Ok(()) } else { Err(format!("not {size} bytes: {text}").into()) }
}

/// 7-Zip opens it without a complaint, and unpacks what is to be on the disk.
fn unzipped(dir: &Path, least: u64, size: u64) -> Verdict {
    let output = Command::new("7zz").args(["x", "-so", "x.vhdx"]).current_dir(dir).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(format!("{size} bytes: {complaint}").into());
    }
    let mut wanted = vec![0; usize::try_from(size)?];
    for (offset, len, byte) in WRITES.into_iter().filter(|(offset, ..)| *offset < least) {
        let end = usize::try_from(least.min(offset + len))?;
        wanted[usize::try_from(offset)?..end].fill(byte);
    }
    equal("what 7-Zip unpacks", &(output.stdout == wanted), &true)
}

/// Every block of the new area is there at once, and QEMU writes to it where it is.
fn preallocated(engine: Engine, mode: &str, options: &str) -> Verdict {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir()?;
    let (dir, image) = (dir.path(), dir.path().join("x.vhdx"));
    done(&qemu_img(dir, &["create", "-q", "-f", "vhdx", "-o", options, "x.vhdx", "60M"])?)?;
    io(&image, &["write -P 5 50M 2M"])?;
    let stat = || -> Result<(u64, u64), Failed> {
        let meta = std::fs::metadata(dir.join("x.vhdx"))?;
        Ok((meta.len(), meta.blocks() * 512))
    };
    let before = stat()?;
    done(&instar(dir, engine, &["resize", &format!("--preallocation={mode}"), "x.vhdx", "101M"])?)?;
    sound(dir, engine, 101 * M)?;
    let after = stat()?;
    io(&image, &["read -P 5 50M 2M", "read -P 0 60M 41M", "write -P 6 60M 41M"])?;
    done(&instar(dir, engine, &["check", "x.vhdx"])?)?;
    equal("length after writes", &stat()?.0, &after.0)?;
    let allocated = after.1 >= before.1 + 37 * M;
    equal("allocated", &allocated, &(mode != "metadata"))
}
