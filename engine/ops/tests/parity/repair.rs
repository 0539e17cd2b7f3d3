//! Repairs: ours of one copy, `qemu-img`'s of another, and what both programs think of the results.

use crate::faults::Fault;
use crate::recipe::Recipe;
use crate::subject::{self, FileDisk};
use instar_ops::{CheckReport, Repair};
use libtest_mimic::Failed;
use serde_json::Value;
use std::error::Error;
use std::path::Path;
use std::process::Command;

/// What to repair.
#[derive(Clone, Copy)]
pub struct Kind {
    pub word: &'static str,
    repair: Repair,
}

pub const KINDS: [Kind; 2] =
    [Kind { word: "leaks", repair: Repair::Leaks }, Kind { word: "all", repair: Repair::All }];

/// Damage that the two repair differently, and how. Neither leaves more than the other, or the text says which.
const UNLIKE: &[(&str, &str)] = &[
    ("block_past_end", "QEMU makes the file reach the block, and then finds it unused"),
    ("second_block_past_end", "as above"),
    ("truncated", "QEMU makes the file reach the block; the new structures may have to go past what is lost"),
];

/// Exit code of a check that could not be completed.
const FAILED: u8 = 1;

/// What a program says after a repair.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: u8,
    /// Corruptions and leaks that are left, then those that were repaired.
    counts: [u64; 4],
}

pub fn repair(image: &Recipe, fault: &Fault, kind: Kind) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let file = crate::make(image, Some(fault), dir.path())?;
    let before = std::fs::read(&file)?;
    let theirs = qemu_repair(&file, kind)?;
    let their_len = std::fs::metadata(&file)?.len();
    let their_content = content(&file)?;

    std::fs::write(&file, &before)?;
    let content_before = content(&file)?;
    let ours = subject::repair(&mut FileDisk::open(&file)?, kind.repair);
    if ours.is_err() && std::fs::read(&file)? != before {
        return Err("a repair that was refused has changed the file".into());
    }
    let ours = answer(ours);
    // QEMU fails over some damage that it finds, and over its own repair of some.
    let alike = ours == theirs || (theirs.code == FAILED && ours.code != FAILED);
    let alike = alike || (fault.exit_code_only && ours.code <= theirs.code);
    let unlike = UNLIKE.iter().any(|(name, _)| *name == fault.name);
    if !alike && !unlike {
        return Err(format!("ours:   {ours:?}\ntheirs: {theirs:?}").into());
    }
    agreed(&file, &ours)?;
    let our_content = content(&file)?;
    if !unlike && our_content != content_before && our_content != their_content {
        return Err("the guest sees something else than before, and than after QEMU's repair".into());
    }
    let longest = their_len + 4 * (1 << u32::from(before[23]));
    let len = std::fs::metadata(&file)?.len();
    if ours.code != FAILED && !unlike && len > longest {
        return Err(format!("{len} bytes, QEMU's has {their_len}").into());
    }
    Ok(())
}

/// That QEMU sees what we say is left, and that it finds nothing more to repair where we found nothing.
fn agreed(file: &Path, ours: &Answer) -> Result<(), Failed> {
    let kind = KINDS[1];
    let left = subject::qemu_check(file)?.map(|counts| [counts[1], counts[2]]);
    if ours.code != FAILED && left != Some([ours.counts[0], ours.counts[1]]) {
        return Err(format!("we say {ours:?}, QEMU sees {left:?}").into());
    }
    if ours.code == 0 {
        let again = qemu_repair(file, kind)?;
        if again != (Answer { code: 0, counts: [0; 4] }) {
            return Err(format!("QEMU repairs again: {again:?}").into());
        }
    }
    Ok(())
}

fn answer(result: Result<CheckReport, instar_ops::OpError>) -> Answer {
    let Ok(r) = result else {
        return Answer { code: FAILED, counts: [0; 4] };
    };
    let counts = [r.corruptions, r.leaks, r.corruptions_fixed, r.leaks_fixed];
    let code = subject::exit_code(&Some([r.check_errors, r.corruptions, r.leaks, 0, 0, 0, 0, 0]));
    Answer { code, counts: if code == FAILED { [0; 4] } else { counts } }
}

fn qemu_repair(file: &Path, kind: Kind) -> Result<Answer, Box<dyn Error>> {
    // QEMU looks for a data file in the current directory.
    let dir = file.parent().unwrap_or(file);
    let args = ["check", "-f", "qcow2", "--output=json", "-r", kind.word];
    let out = Command::new("qemu-img").args(args).arg(file).current_dir(dir).output()?;
    let code = out.status.code().and_then(|c| u8::try_from(c).ok()).ok_or("killed")?;
    let json: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
    let names = ["corruptions", "leaks", "corruptions-fixed", "leaks-fixed"];
    let counts = names.map(|name| json.get(name).and_then(Value::as_u64).unwrap_or(0));
    Ok(Answer { code, counts: if code == FAILED { [0; 4] } else { counts } })
}

/// What a guest would see, or nothing if QEMU does not open the image.
fn content(file: &Path) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
    let dir = file.parent().unwrap_or(file);
    let raw = dir.join("content");
    let args = ["convert", "-f", "qcow2", "-O", "raw"];
    let out = Command::new("qemu-img").args(args).arg(file).arg(&raw).current_dir(dir).output()?;
    Ok(if out.status.success() { Some(std::fs::read(&raw)?) } else { None })
}
