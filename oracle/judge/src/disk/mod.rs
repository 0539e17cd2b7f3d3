//! A reader of the oracle's own for VHD, VHDX and VMDK, from their specifications: where guest data lies, what is wrong
//! with the image, and what of it a resize has no business with.

mod source;
mod vhd;
mod vhdx;
mod vmdk;

#[cfg(test)]
mod tests;

use crate::sparse::Range;
use crate::subject::IMAGE;
use crate::{JudgeError, State};
use oracle_case::{FormatOptions, Subformat};
use source::Source;
use std::collections::BTreeMap;
use std::path::Path;

/// A run of guest data in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Which of the files.
    pub file: usize,
    /// First byte in it.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Something that is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is about: the same for every image with it.
    pub field: &'static str,
    /// One line for a person.
    pub detail: String,
}

/// An image as it was read.
#[derive(Debug)]
pub struct Disk {
    /// Virtual size in bytes.
    pub size: u64,
    /// Guest data that has a place, by its first guest byte; what has none reads as zeros.
    pub runs: BTreeMap<u64, Run>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What no resize changes, by name.
    pub kept: BTreeMap<String, String>,
    files: Vec<Source>,
}

impl Disk {
    /// Reads `image`, if it is of a format that this reads.
    ///
    /// # Errors
    /// [`JudgeError::Io`]: a file could not be read. What makes no sense is a [`Problem`].
    pub fn read(format: &FormatOptions, image: &State) -> Result<Option<Self>, JudgeError> {
        Self::read_in(format, &image.dir)
    }

    /// As [`Disk::read`], of the image in a directory.
    ///
    /// # Errors
    /// [`JudgeError::Io`]: a file could not be read.
    pub fn read_in(format: &FormatOptions, dir: &Path) -> Result<Option<Self>, JudgeError> {
        let mut disk = Self {
            size: 0,
            runs: BTreeMap::new(),
            problems: Vec::new(),
            kept: BTreeMap::new(),
            files: vec![Source::open(&dir.join(IMAGE))?],
        };
        match format {
            FormatOptions::Vpc(_) => vhd::read(&mut disk)?,
            FormatOptions::Vhdx(_) => vhdx::read(&mut disk)?,
            // What is written once is not resized.
            FormatOptions::Vmdk(options) if options.subformat == Subformat::StreamOptimized => {
                return Ok(None);
            }
            FormatOptions::Vmdk(_) => vmdk::read(&mut disk, dir)?,
            _ => return Ok(None),
        }
        Ok(Some(disk))
    }

    /// Copies guest data from the byte `at` on into `buffer`.
    ///
    /// # Errors
    /// [`JudgeError::Io`].
    pub fn copy(&self, at: u64, buffer: &mut [u8]) -> Result<(), JudgeError> {
        buffer.fill(0);
        let end = at + buffer.len() as u64;
        let first = self.runs.range(..=at).next_back().map_or(at, |(start, _)| *start);
        for (&start, run) in self.runs.range(first..end) {
            let (from, to) = (start.max(at), (start + run.len).min(end));
            if from >= to {
                continue;
            }
            let place = place(from - at)..place(to - at);
            if let (Some(file), Some(part)) = (self.files.get(run.file), buffer.get_mut(place)) {
                file.fill(run.offset + (from - start), part)?;
            }
        }
        Ok(())
    }

    fn wrong(&mut self, field: &'static str, detail: impl Into<String>) {
        self.problems.push(Problem { field, detail: detail.into() });
    }

    /// Notes a problem unless `right`.
    fn want(&mut self, right: bool, field: &'static str, detail: impl FnOnce() -> String) {
        if !right {
            self.wrong(field, detail());
        }
    }

    fn keep(&mut self, name: impl Into<String>, bytes: &[u8]) {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        self.kept.insert(name.into(), digits.collect());
    }

    /// That no two of these ranges of one file, each with its name, have a byte in common, and none ends behind `end`.
    fn apart(&mut self, mut ranges: Vec<(u64, u64, String)>, end: u64) {
        ranges.sort();
        for pair in ranges.windows(2) {
            if let [(a, len, one), (b, _, other)] = pair {
                let detail = || format!("{one} at {a:#x} and {other} at {b:#x} lie on each other");
                self.want(a + len <= *b, "overlap", detail);
            }
        }
        for (start, len, what) in &ranges {
            let detail = || format!("{what} at {start:#x} ends behind {end:#x}");
            self.want(start + len <= end, "past-the-end", detail);
        }
    }
}

/// Where a VHDX image has its log.
///
/// # Errors
/// [`JudgeError::Io`].
pub fn vhdx_log(image: &State) -> Result<Range, JudgeError> {
    let (start, len) = vhdx::log(&Source::open(&image.path())?)?;
    Ok(Range { start, end: start + len })
}

/// A number of bytes that a buffer has.
fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
