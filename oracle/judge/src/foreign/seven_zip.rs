//! 7-Zip, which unpacks a disk as if the image were an archive.

use super::{Foreign, Wrong, complaint, missing, run};
use crate::subject::IMAGE;
use crate::{Desk, JudgeError, State};
use oracle_case::{Content, FormatOptions};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// See the module.
pub struct SevenZip;

const PROGRAM: &str = "7zz";
/// The largest disk in bytes that is unpacked; of others the size is asked.
const UNPACKED: u64 = 32 << 20;
/// Of how many bytes it takes the sizes of VHDX disks to be multiples.
const VHDX_UNIT: u64 = 1024;

impl Foreign for SevenZip {
    fn unable(&self, format: &FormatOptions, _: &State, size: u64) -> Option<String> {
        if format.vhdx().is_some() && !size.is_multiple_of(VHDX_UNIT) {
            return Some("7-Zip opens no VHDX disk of an odd number of sectors".into());
        }
        missing(PROGRAM)
    }

    fn look(
        &self,
        desk: &Desk,
        format: &FormatOptions,
        image: &State,
        content: &Content,
    ) -> Result<Option<Wrong>, JudgeError> {
        let kind = match format {
            FormatOptions::Vpc(_) => "-tVHD",
            FormatOptions::Vhdx(_) => "-tVHDX",
            _ => "-tVMDK",
        };
        let dir = desk.scratch()?;
        let seen = if content.size() <= UNPACKED {
            unpacked(&dir, kind, image, content)?
        } else {
            listed(kind, image, content)?
        };
        fs::remove_dir_all(&dir).map_err(JudgeError::io(&dir))?;
        Ok(seen)
    }
}

/// What it says of the size.
fn listed(kind: &str, image: &State, content: &Content) -> Result<Option<Wrong>, JudgeError> {
    let ran = run(PROGRAM, &image.dir, &["l", "-slt", kind, IMAGE])?;
    if !ran.success() {
        return Ok(Some(Wrong::failed(complaint(&ran))));
    }
    // What comes before the line is about the file.
    let entry = ran.stdout.split_once("----------").map_or("", |(_, entry)| entry);
    let size = entry.lines().find_map(|line| line.strip_prefix("Size = ")?.parse().ok());
    Ok(Wrong::size(size, content))
}

/// What it unpacks to an empty directory.
fn unpacked(dir: &Path, kind: &str, image: &State, content: &Content) -> Result<Option<Wrong>, JudgeError> {
    let ran = run(PROGRAM, &image.dir, &["x", "-y", kind, &format!("-o{}", dir.display()), IMAGE])?;
    if !ran.success() {
        return Ok(Some(Wrong::failed(complaint(&ran))));
    }
    let Some(seen) = fs::read_dir(dir).map_err(JudgeError::io(dir))?.next() else {
        return Ok(Some(Wrong::failed("nothing was unpacked")));
    };
    let seen = seen.map_err(JudgeError::io(dir))?.path();
    let len = fs::metadata(&seen).map_err(JudgeError::io(&seen))?.len();
    if let Some(wrong) = Wrong::size(Some(len), content) {
        return Ok(Some(wrong));
    }
    let file = File::open(&seen).map_err(JudgeError::io(&seen))?;
    Wrong::content(content, &[(0, len)], |at, buffer| file.read_exact_at(buffer, at))
        .map_err(JudgeError::io(&seen))
}
