//! Files that nobody should have to resize, and a disk that is full: one clear line, exit code 1,
//! and a file that is as it was or still good.

use crate::Verdict;
use crate::pair::{Answer, Engine, instar, qemu_img};
use libtest_mimic::{Failed, Trial};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

/// A 1 MiB image of 64 KiB clusters: header, refcount table, refcount block, L1 table.
const CLUSTER: u64 = 1 << 16;
/// Header field: offset of the L1 table.
const L1_OFFSET: u64 = 40;

/// A file's name, how it is spoiled, the size asked for, and what the refusal says.
type Spoiled = (&'static str, fn(&File) -> std::io::Result<()>, &'static str, &'static str);

const SPOILED: [Spoiled; 8] = [
    ("truncated", |f| f.set_len(2 * CLUSTER + 9), "2M", "past the end of the file"),
    ("cut inside its header", |f| f.set_len(100), "2M", "qcow2 header too short"),
    ("of random bytes", |f| f.write_all_at(&noise(), 0), "2M", "Image is not in qcow2 format"),
    (
        "with its L1 past the end",
        |f| f.write_all_at(&word(1 << 40), L1_OFFSET),
        "2M",
        "past the end of the file",
    ),
    ("with its L1 on its header", |f| f.write_all_at(&word(0), L1_OFFSET), "2M", "L1 table offset invalid"),
    ("with a corrupt refcount table", |f| f.write_all_at(&word(!0), CLUSTER), "2T", "refcount table entry 0"),
    (
        "whose L1 counts as free",
        |f| f.write_all_at(&[0; 2], 2 * CLUSTER + 6),
        "2T",
        "is in use but its refcount is 0",
    ),
    ("with an L2 entry past the end", spoil_l2, "512k", "L2 entry"),
];

/// The trials for `engine`.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let name = |what: &str| format!("{} hostile: {what}", engine.name());
    let mut trials: Vec<Trial> =
        SPOILED.into_iter().map(|case| Trial::test(name(case.0), move || spoiled(engine, case))).collect();
    trials.push(Trial::test(name("a directory"), move || directory(engine)));
    trials.push(Trial::test(name("a FIFO"), move || fifo(engine)));
    let read_only = Trial::test(name("a file that may only be read"), move || read_only(engine));
    trials.push(match modes_are_ignored() {
        true => read_only.with_ignored_flag(true).with_kind("file modes do not bind this user"),
        false => read_only,
    });
    trials.push(Trial::test(name("a full disk"), move || full_disk(engine)));
    trials
}

fn word(value: u64) -> [u8; 8] {
    value.to_be_bytes()
}

fn noise() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..1 << 18).map(|_| next()).collect()
}

/// Names an L2 table beyond the refcounts' knowledge whose entry for the last cluster is nonsense.
fn spoil_l2(file: &File) -> std::io::Result<()> {
    file.set_len(5 * CLUSTER)?;
    file.write_all_at(&word((1 << 63) | (4 * CLUSTER)), 3 * CLUSTER)?;
    file.write_all_at(&word((1 << 63) | (1 << 40)), 4 * CLUSTER + 15 * 8)
}

fn image(dir: &Path) -> Verdict {
    let answer = qemu_img(dir, &["create", "-q", "-f", "qcow2", "disk.img", "1M"])?;
    expect(answer.code == Some(0), &answer)
}

fn expect(holds: bool, answer: &Answer) -> Verdict {
    if holds { Ok(()) } else { Err(format!("{answer:?}").into()) }
}

/// One line that contains `text`, and exit code 1.
fn refused(answer: &Answer, text: &str) -> Verdict {
    let one_line = answer.err.lines().count() == 1 && answer.out.is_empty();
    expect(answer.code == Some(1) && one_line && answer.err.contains(text), answer)
}

fn spoiled(engine: Engine, (_, spoil, size, text): Spoiled) -> Verdict {
    let dir = tempfile::tempdir()?;
    image(dir.path())?;
    let path = dir.path().join("disk.img");
    spoil(&File::options().write(true).open(&path)?)?;
    let before = fs::read(&path)?;
    let answer = instar(dir.path(), engine, &["resize", "-f", "qcow2", "--shrink", "disk.img", size])?;
    refused(&answer, text)?;
    if fs::read(&path)? == before { Ok(()) } else { Err("the file has changed".into()) }
}

fn directory(engine: Engine) -> Verdict {
    let dir = tempfile::tempdir()?;
    fs::create_dir(dir.path().join("disk.img"))?;
    refused(&instar(dir.path(), engine, &["resize", "disk.img", "2M"])?, "Is a directory")
}

fn fifo(engine: Engine) -> Verdict {
    let dir = tempfile::tempdir()?;
    Command::new("mkfifo").arg(dir.path().join("disk.img")).status()?;
    refused(&instar(dir.path(), engine, &["resize", "disk.img", "2M"])?, "to be a regular file")
}

/// Root may write to any file, whatever its mode.
fn modes_are_ignored() -> bool {
    let opened = || {
        let file = tempfile::NamedTempFile::new()?;
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o444))?;
        File::options().write(true).open(file.path())
    };
    opened().is_ok()
}

fn read_only(engine: Engine) -> Verdict {
    let dir = tempfile::tempdir()?;
    image(dir.path())?;
    let path = dir.path().join("disk.img");
    let before = fs::read(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444))?;
    let answer = instar(dir.path(), engine, &["resize", "-f", "qcow2", "disk.img", "2M"])?;
    refused(&answer, "Permission denied")?;
    if fs::read(&path)? == before { Ok(()) } else { Err("the file has changed".into()) }
}

/// A file that may not exceed so many KiB stands for a full disk: the new L1 table is larger.
fn full_disk(engine: Engine) -> Verdict {
    let dir = tempfile::tempdir()?;
    image(dir.path())?;
    let limited = format!(
        "ulimit -f 600; exec '{}' resize --engine={} -f qcow2 disk.img 1P",
        env!("CARGO_BIN_EXE_instar"),
        engine.name()
    );
    let output = Command::new("sh").args(["-c", &limited]).current_dir(dir.path()).output()?;
    refused(&Answer::from(output), "File too large")?;
    still_good(dir.path())
}

/// The image has its old size, and at most leaks.
fn still_good(dir: &Path) -> Verdict {
    let info = qemu_img(dir, &["info", "-f", "qcow2", "disk.img"])?;
    expect(info.out.contains("(1048576 bytes)"), &info)?;
    let check = qemu_img(dir, &["check", "-q", "-f", "qcow2", "disk.img"])?;
    const CLEAN: i32 = 0;
    const LEAKS: i32 = 3;
    let fine = matches!(check.code, Some(CLEAN | LEAKS));
    if fine { Ok(()) } else { Err(Failed::from(format!("{check:?}"))) }
}
