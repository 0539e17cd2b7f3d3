//! Changing images by hand, with checksums that are right again.

use crate::Verdict;
use crate::pair::{Answer, qemu_img};
use libtest_mimic::Failed;
use std::path::Path;
use std::process::Command;

/// Where things are in images that `qemu-img create` makes with a log of 1 MiB and a BAT of 1 MiB.
pub const HEADERS: [usize; 2] = [64 << 10, 128 << 10];
pub const TABLES: [usize; 2] = [192 << 10, 256 << 10];
pub const LOG: usize = 1 << 20;
pub const BAT: usize = 2 << 20;
pub const METADATA: usize = 3 << 20;
pub const ITEMS: usize = METADATA + (64 << 10);

/// Bytes of an image that is being changed.
pub type Bytes = Vec<u8>;

/// Makes a populated image of 64 MiB in blocks of 8 MiB, and returns it.
pub fn populated(dir: &Path) -> Result<Bytes, Failed> {
    done(&qemu_img(dir, &["create", "-q", "-f", "vhdx", "x.vhdx", "64M"])?)?;
    io(&dir.join("x.vhdx"), &["write -P 7 0 1M", "write -P 8 60M 1M"])?;
    Ok(std::fs::read(dir.join("x.vhdx"))?)
}

/// Runs commands of `qemu-io`, all of which must do what they say.
pub fn io(image: &Path, commands: &[&str]) -> Verdict {
    let mut run = Command::new("qemu-io");
    run.args(["-f", "vhdx"]);
    for command in commands {
        run.args(["-c", command]);
    }
    let output = run.arg(image).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && !text.contains("failed") {
        return Ok(());
    }
    Err(format!("{commands:?}: {text} {}", String::from_utf8_lossy(&output.stderr)).into())
}

pub fn put(bytes: &mut [u8], at: usize, data: &[u8]) {
    bytes[at..at + data.len()].copy_from_slice(data);
}

pub fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Puts the checksum of the `len` bytes at `at` where it belongs.
pub fn seal(bytes: &mut [u8], at: usize, len: usize) {
    put(bytes, at + 4, &[0; 4]);
    let crc = crc32c(&bytes[at..at + len]);
    put(bytes, at + 4, &crc.to_le_bytes());
}

/// Bit by bit, as the polynomial is written.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

/// Changes both headers, or both region tables.
pub fn both(bytes: &mut Bytes, structures: [usize; 2], at: usize, data: &[u8]) {
    let len = if structures == HEADERS { 4096 } else { 65536 };
    for structure in structures {
        put(bytes, structure + at, data);
        seal(bytes, structure, len);
    }
}

/// What is left of an answer when everything is gone in which the same image may differ twice.
pub fn plain(mut answer: Answer) -> Answer {
    if let Ok(mut value) = serde_json::from_str::<serde_json::Value>(&answer.out) {
        forget_space(&mut value);
        answer.out = value.to_string();
    }
    let kept = answer.out.lines().filter(|line| !line.contains("disk size: "));
    answer.out = kept.flat_map(|line| [line, "\n"]).collect();
    answer
}

fn forget_space(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.remove("actual-size");
            map.values_mut().for_each(forget_space);
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(forget_space),
        _ => {}
    }
}

pub fn equal<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Verdict {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: {ours:?}\nnot {theirs:?}").into()) }
}

pub fn done(answer: &Answer) -> Verdict {
    if answer.code == Some(0) { Ok(()) } else { Err(format!("{answer:?}").into()) }
}
