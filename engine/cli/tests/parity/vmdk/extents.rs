//! Disks in as many extents as may be open: as many as `qemu-img` opens, and what is said of one more.

use super::plain;
use crate::Verdict;
use crate::fixture::run;
use crate::pair::{Answer, Engine, same};
use libtest_mimic::{Failed, Trial};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Open files that most systems allow a process, and how many extents `qemu-img` opens then if it inherits no
/// more than the three streams.
const ALLOWED: u64 = 1024;
const OPENED: usize = 1016;
/// The most extents that instar opens, however many files may be open.
const MOST: usize = 4095;
/// Bytes of each extent here.
const EXTENT: u64 = 4096;

pub fn trials(engine: Engine) -> Vec<Trial> {
    let name = |what: &str| format!("vmdk::extents::{what}::{}", engine.name());
    vec![
        Trial::test(name("as many as qemu-img opens"), move || as_many(engine)),
        Trial::test(name("one more than it opens"), move || one_more(engine)),
        Trial::test(name("the most"), move || the_most(engine)),
    ]
}

/// A disk in `count` flat extents.
fn disk(dir: &Path, count: usize) -> Result<(), Failed> {
    let mut text = String::from("# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n");
    text += "createType=\"twoGbMaxExtentFlat\"\n\n# Extent description\n";
    for number in 1..=count {
        writeln!(text, "RW 8 FLAT \"d-f{number:03}.vmdk\" 0")?;
        File::create(dir.join(format!("d-f{number:03}.vmdk")))?.set_len(EXTENT)?;
    }
    text += "\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"1\"\n";
    text += "ddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\nddb.adapterType = \"ide\"\n";
    Ok(fs::write(dir.join("d.vmdk"), text)?)
}

/// What `program` says where so many files may be open, and where it may ask for `more`. What whoever runs the
/// trials left open counts against the limit, so it is closed.
fn within(dir: &Path, program: &str, args: &[&str], more: bool) -> Result<Answer, Failed> {
    let which = if more { "-Sn" } else { "-n" };
    let script = format!(
        "for fd in /proc/$BASHPID/fd/*; do fd=${{fd##*/}}; (( fd > 2 )) && eval \"exec $fd>&-\"; done; \
         ulimit {which} {ALLOWED} && exec -a qemu-img \"$0\" \"$@\""
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script, program]).args(args).current_dir(dir).stdin(Stdio::null()).arg0("bash");
    Ok(command.output()?.into())
}

fn instar(dir: &Path, engine: Engine, args: &[&str], more: bool) -> Result<Answer, Failed> {
    let (verb, rest) = args.split_at(1);
    let engine = format!("--engine={}", engine.name());
    within(dir, env!("CARGO_BIN_EXE_instar"), &[verb, &[engine.as_str()], rest].concat(), more)
}

/// A refusal in one line in which `words` are, that leaves the descriptor as it was.
fn refused(dir: &Path, engine: Engine, args: &[&str], more: bool, words: &str) -> Verdict {
    let before = fs::read(dir.join("d.vmdk"))?;
    let answer = instar(dir, engine, args, more)?;
    let one_line = answer.err.lines().count() == 1 && answer.err.contains(words);
    if answer.code == Some(1) && one_line && fs::read(dir.join("d.vmdk"))? == before {
        return Ok(());
    }
    Err(format!("{args:?}: {answer:?}").into())
}

fn resized(dir: &Path, engine: Engine, args: &[&str], count: usize) -> Verdict {
    let answer = instar(dir, engine, args, true)?;
    let lines =
        fs::read_to_string(dir.join("d.vmdk"))?.lines().filter(|line| line.starts_with("RW ")).count();
    let last = dir.join(format!("d-f{count:03}.vmdk")).exists();
    let next = dir.join(format!("d-f{:03}.vmdk", count + 1)).exists();
    if answer.code == Some(0) && lines == count && last && !next {
        return Ok(());
    }
    Err(format!("{args:?}: {answer:?}, {lines} extents").into())
}

/// Where no more files may be open than it has, too: info, check and resize.
fn as_many(engine: Engine) -> Verdict {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    disk(dir, OPENED)?;
    for args in [&["info", "d.vmdk"][..], &["check", "d.vmdk"], &["info", "--output=json", "d.vmdk"]] {
        let theirs = within(dir, "qemu-img", args, false)?;
        if theirs.code != Some(0) {
            return Err(format!("qemu-img opens fewer: {theirs:?}").into());
        }
        same(args, &plain(instar(dir, engine, args, false)?), &plain(theirs))?;
    }
    let size = (OPENED as u64 - 1) * EXTENT;
    let shrunk = instar(dir, engine, &["resize", "--shrink", "d.vmdk", &size.to_string()], false)?;
    if shrunk.code != Some(0) {
        return Err(format!("{shrunk:?}").into());
    }
    resized(dir, engine, &["resize", "d.vmdk", &(size + 512).to_string()], OPENED)?;
    run(dir, "qemu-img check -q d.vmdk")
}

/// Where more may not be open both refuse; where a process may ask for more, instar does.
fn one_more(engine: Engine) -> Verdict {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    disk(dir, OPENED + 1)?;
    let theirs = within(dir, "qemu-img", &["info", "d.vmdk"], true)?;
    if theirs.code != Some(1) || !theirs.err.contains("Too many open files") {
        return Err(format!("qemu-img opens more: {theirs:?}").into());
    }
    let sized = |count: usize| (count as u64 * EXTENT).to_string();
    refused(dir, engine, &["resize", "d.vmdk", &sized(OPENED + 20)], false, "Too many open files")?;
    resized(dir, engine, &["resize", "d.vmdk", &sized(OPENED + 2)], OPENED + 2)?;
    resized(dir, engine, &["resize", "--shrink", "d.vmdk", &EXTENT.to_string()], 1)
}

/// As many as there is room for in a guest.
fn the_most(engine: Engine) -> Verdict {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    disk(dir, MOST - 1)?;
    let (most, more) = (MOST as u64 * EXTENT, (MOST as u64 + 1) * EXTENT);
    let words = "more than 4095 extents";
    refused(dir, engine, &["resize", "d.vmdk", &more.to_string()], true, words)?;
    resized(dir, engine, &["resize", "d.vmdk", &most.to_string()], MOST)?;
    let checked = instar(dir, engine, &["check", "d.vmdk"], true)?;
    if checked.code != Some(0) {
        return Err(format!("{checked:?}").into());
    }
    disk(dir, MOST + 1)?;
    refused(dir, engine, &["info", "d.vmdk"], true, words)?;
    refused(dir, engine, &["resize", "d.vmdk", "8M"], true, words)?;
    fs::remove_file(dir.join("d.vmdk"))?;
    let new = ["create", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "new.vmdk", "8191G"];
    let answer = instar(dir, engine, &new, true)?;
    if answer.code == Some(1) && answer.err.contains(words) && !dir.join("new-s001.vmdk").exists() {
        return Ok(());
    }
    Err(format!("{new:?}: {answer:?}").into())
}
