//! What is left of a disk after a resize, for every reader at hand.

use super::{done, plain, same_words};
use crate::Verdict;
use crate::pair::{Engine, instar, qemu_img};
use libtest_mimic::{Failed, Trial};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// Options, the size before, and the sizes after, one resize after the other.
const RESIZES: &[(&str, &str, &[&str])] = &[
    ("subformat=dynamic", "64M", &["100M"]),
    ("force_size=on", "64M", &["200M"]),
    ("force_size=on", "64M", &["300M", "301M"]),
    ("subformat=dynamic", "64M", &["300M", "31M", "64M"]),
    ("force_size=on", "64M", &["32509952", "270M", "40M"]),
    ("force_size=on", "64M", &["--preallocation=falloc 100M"]),
    ("force_size=on", "65M", &["--preallocation=full 280M", "20M"]),
    ("subformat=dynamic", "65M", &["--preallocation=metadata 90M"]),
    ("subformat=fixed", "64M", &["100M", "31M", "64M"]),
    ("subformat=fixed,force_size=on", "64M", &["67109376", "64M", "33554944"]),
    ("subformat=fixed,force_size=on", "64M", &["--preallocation=full 70M"]),
];

/// Blocks are written in this order: bytes, offset and length.
const WRITES: &[&str] = &[
    "write -P 1 60M 2M",
    "write -P 2 0 64k",
    "write -P 3 21M 4M",
    "write -P 4 40M 1M",
    "write -P 5 30M 1M",
    "write -P 6 2M 512",
];

/// Programs that read VHD images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Qemu,
    SevenZip,
    Libvhdi,
}

impl Reader {
    /// Why it cannot be had, if it cannot.
    fn missing(self) -> Option<&'static str> {
        let (program, reason) = match self {
            Self::Qemu => return None,
            Self::SevenZip => ("7zz", "7-Zip (7zz) is not installed"),
            Self::Libvhdi => ("vhdiinfo", "vhdiinfo is not installed"),
        };
        Command::new(program).stdout(Stdio::null()).stderr(Stdio::null()).status().err().map(|_| reason)
    }
}

/// One trial for each list of resizes and each reader.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let mut trials = Vec::new();
    // Some lists do for those that read what qemu-img converts as well.
    for (reader, step) in [(Reader::Qemu, 1), (Reader::SevenZip, 2), (Reader::Libvhdi, 3)] {
        for (options, size, resizes) in RESIZES.iter().step_by(step) {
            let name = format!("{} vpc: {reader:?} on {options} {size} {resizes:?}", engine.name());
            let body = move || resized(tempfile::tempdir()?.path(), engine, reader, (options, size, resizes));
            trials.push(crate::unless(reader.missing(), Trial::test(name, body)));
        }
    }
    trials
}

fn resized(
    dir: &Path,
    engine: Engine,
    reader: Reader,
    (options, size, resizes): (&str, &str, &[&str]),
) -> Verdict {
    done(&qemu_img(dir, &["create", "-q", "-f", "vpc", "-o", options, "x.vhd", size])?)?;
    io(dir, WRITES)?;
    for resize in resizes {
        let before = raw(dir)?;
        let words: Vec<&str> =
            ["resize", "-f", "vpc", "--shrink"].into_iter().chain(resize.split(' ')).collect();
        let (size, words) = words.split_last().ok_or("no size")?;
        done(&instar(dir, engine, &[words, &["x.vhd", size]].concat())?)?;
        let after = raw(dir)?;
        let kept = before.len().min(after.len());
        if after[..kept] != before[..kept] || after[kept..].iter().any(|byte| *byte != 0) {
            return Err(format!("{resize}: the content is another one").into());
        }
        fresh(dir, options, size)?;
        agrees(dir, reader, &after)?;
        done(&instar(dir, engine, &["check", "-f", "vpc", "x.vhd"])?)?;
        let end = after.len() - 512;
        io(dir, &[&format!("write -P 9 {end} 512"), &format!("write -P 8 {} 64k", end / 2)])?;
        agrees(dir, reader, &raw(dir)?)?;
        done(&instar(dir, engine, &["check", "-f", "vpc", "x.vhd"])?)?;
    }
    Ok(())
}

/// That the image is described as a new one of its size.
fn fresh(dir: &Path, options: &str, size: &str) -> Verdict {
    let fresh = dir.join("fresh");
    std::fs::create_dir_all(&fresh)?;
    done(&qemu_img(&fresh, &["create", "-q", "-f", "vpc", "-o", options, "x.vhd", size])?)?;
    let looked = ["info", "-f", "vpc", "x.vhd"];
    let of_disk = |dir: &Path| -> Result<_, Failed> {
        let mut answer = plain(qemu_img(dir, &looked)?);
        answer.out = answer.out.lines().take(3).filter(|line| !line.contains("disk size")).collect();
        Ok(answer)
    };
    same_words(&of_disk(dir)?, &of_disk(&fresh)?)
}

/// The disk, as qemu-img converts it.
fn raw(dir: &Path) -> Result<Vec<u8>, Failed> {
    done(&qemu_img(dir, &["convert", "-f", "vpc", "-O", "raw", "x.vhd", "x.raw"])?)?;
    Ok(std::fs::read(dir.join("x.raw"))?)
}

/// That the reader sees this disk.
fn agrees(dir: &Path, reader: Reader, disk: &[u8]) -> Verdict {
    match reader {
        Reader::Qemu => Ok(()),
        Reader::SevenZip => {
            let mut run = Command::new("7zz");
            run.args(["x", "-so", "-tvhd", "x.vhd"]).current_dir(dir);
            let mut child = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
            let mut seen = Vec::with_capacity(disk.len());
            child.stdout.take().ok_or("no output")?.read_to_end(&mut seen)?;
            let well = child.wait()?.success() && seen == disk;
            if well { Ok(()) } else { Err(format!("7-Zip sees {} bytes, or others", seen.len()).into()) }
        }
        Reader::Libvhdi => {
            let output = Command::new("vhdiinfo").arg("x.vhd").current_dir(dir).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let size = format!("({} bytes)", disk.len());
            let exact = format!(": {} bytes", disk.len());
            let well = output.status.success() && (text.contains(&size) || text.contains(&exact));
            if well { Ok(()) } else { Err(format!("{} bytes: {text}", disk.len()).into()) }
        }
    }
}

/// Runs commands of `qemu-io`, all of which must do what they say.
pub fn io(dir: &Path, commands: &[&str]) -> Verdict {
    let mut run = Command::new("qemu-io");
    run.args(["-f", "vpc"]);
    for command in commands {
        run.args(["-c", command]);
    }
    let output = run.arg("x.vhd").current_dir(dir).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && !text.contains("failed") && File::open(dir.join("x.vhd")).is_ok() {
        return Ok(());
    }
    Err(format!("{commands:?}: {text} {}", String::from_utf8_lossy(&output.stderr)).into())
}
