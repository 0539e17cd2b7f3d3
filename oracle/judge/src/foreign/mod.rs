//! Readers of VHD, VHDX and VMDK that have nothing to do with QEMU, nor with the oracle: the size that they tell of an
//! image, and what they read of the disk in it.

mod crates;
mod libyal;
mod seven_zip;

pub use crates::Crates;
pub use libyal::Libyal;
pub use seven_zip::SevenZip;

use crate::subject::{Ran, run_tool};
use crate::verdict::Kind;
use crate::{Desk, JudgeError, State};
use oracle_case::child::Tool;
use oracle_case::{Content, FormatOptions};
use std::io;
use std::path::Path;

/// Bytes compared at a time.
const PIECE: usize = 1 << 20;
/// Bytes read around each place of interest.
const WINDOW: u64 = 64 << 10;

/// What a reader sees that should be otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// `open`, `size` or `content`.
    pub field: &'static str,
    /// How it differs.
    pub kind: Kind,
    /// One line for a person.
    pub detail: String,
}

/// A reader.
pub trait Foreign: Send + Sync {
    /// Why it does not look at such an image with a disk of `size` bytes, if it does not.
    fn unable(&self, format: &FormatOptions, image: &State, size: u64) -> Option<String>;

    /// Looks at an image in which the disk `content` should be.
    ///
    /// # Errors
    /// [`JudgeError`]: it could not look.
    fn look(
        &self,
        desk: &Desk,
        format: &FormatOptions,
        image: &State,
        content: &Content,
    ) -> Result<Option<Wrong>, JudgeError>;
}

impl Wrong {
    fn failed(detail: impl Into<String>) -> Self {
        Self { field: "open", kind: Kind::Failed, detail: detail.into() }
    }

    /// Unless both sizes, in bytes, are the same.
    fn size(seen: Option<u64>, content: &Content) -> Option<Self> {
        let wanted = content.size();
        let told = seen.map_or("no size".into(), |size| format!("{size} bytes"));
        let detail = format!("{told}, {wanted} expected");
        (seen != Some(wanted)).then_some(Self { field: "size", kind: Kind::Differs, detail })
    }

    /// Unless `read` finds in each of `ranges`, which are places and lengths, what `content` has there.
    fn content(
        content: &Content,
        ranges: &[(u64, u64)],
        mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<Option<Self>> {
        for (start, len) in ranges {
            let end = (start + len).min(content.size());
            for at in (*start..end).step_by(PIECE) {
                let len = usize::try_from(end - at).map_or(PIECE, |rest| rest.min(PIECE));
                let (mut got, mut want) = (vec![0xff; len], vec![0; len]);
                read(at, &mut got)?;
                content.read(at, &mut want);
                let mut bytes = (at..).zip(got.iter().zip(&want));
                if let Some((at, (got, want))) = bytes.find(|(_, (got, want))| got != want) {
                    let detail = format!("byte {at} is {got} and not {want}");
                    return Ok(Some(Self { field: "content", kind: Kind::Differs, detail }));
                }
            }
        }
        Ok(None)
    }
}

/// Why `program` cannot be asked, if it is not in `PATH`.
fn missing(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    (!here).then(|| format!("no {program} in PATH"))
}

/// Runs a tool of this name in `dir`.
fn run(program: &str, dir: &Path, args: &[&str]) -> Result<Ran, JudgeError> {
    run_tool(&Tool::new(program), dir, args.iter().copied())
}

/// The first line in which a tool says what is wrong, or how it ended.
fn complaint(ran: &Ran) -> String {
    let lines = ran.stderr.lines().chain(ran.stdout.lines());
    let told = lines.map(str::trim).find(|line| line.to_lowercase().contains("error"));
    told.map_or_else(|| ran.summary(), Into::into)
}

/// What to read of a disk that is too large to read all of it: every extent with what surrounds it, both ends.
#[must_use]
pub fn windows(content: &Content) -> Vec<(u64, u64)> {
    let size = content.size();
    let mut points = vec![(0, 0), (size, size)];
    points.extend(content.extents().iter().map(|e| (e.offset, e.offset + e.len)));
    let mut windows: Vec<(u64, u64)> = Vec::new();
    points.sort_unstable();
    for (start, end) in points {
        let start = start.saturating_sub(WINDOW);
        let end = end.saturating_add(WINDOW).min(size);
        match windows.last_mut() {
            Some(last) if start <= last.0 + last.1 => last.1 = last.1.max(end - last.0),
            _ => windows.push((start, end - start)),
        }
    }
    windows
}
