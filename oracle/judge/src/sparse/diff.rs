//! Where two files differ.

use super::{CHUNK, read_padded, segments};
use crate::JudgeError;
use std::fs::File;
use std::path::Path;

/// A range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Range {
    /// Its length in bytes.
    #[must_use]
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// What it shares with `other`.
    #[must_use]
    pub fn overlap(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// Whether all of it lies in `other`.
    #[must_use]
    pub fn within(self, other: Self) -> bool {
        other.start <= self.start && self.end <= other.end
    }

    /// Cut at every multiple of `unit`.
    pub fn pieces(self, unit: u64) -> impl Iterator<Item = Self> {
        let mut at = self.start;
        std::iter::from_fn(move || {
            let start = at;
            at = self.end.min((start / unit + 1).saturating_mul(unit));
            (start < self.end).then_some(Self { start, end: at })
        })
    }

    pub(super) fn widen(self, unit: u64) -> Self {
        Self { start: self.start / unit * unit, end: self.end.div_ceil(unit).saturating_mul(unit) }
    }

    pub(super) fn from(self, at: u64) -> Self {
        Self { start: self.start.max(at), ..self }
    }

    pub(crate) fn len_usize(self) -> usize {
        usize::try_from(self.len()).unwrap_or(usize::MAX)
    }
}

/// The byte ranges in which `a` and `b` differ, in order, at most `limit` of them. The shorter file
/// counts as going on with zeros.
///
/// # Errors
/// [`JudgeError::Io`].
pub fn diff(a: &Path, b: &Path, limit: usize) -> Result<Vec<Range>, JudgeError> {
    let left = File::open(a).map_err(JudgeError::io(a))?;
    let right = File::open(b).map_err(JudgeError::io(b))?;
    let mut ranges = segments(&left).map_err(JudgeError::io(a))?;
    ranges.extend(segments(&right).map_err(JudgeError::io(b))?);
    let mut found = Vec::new();
    let (mut x, mut y) = (vec![0; CHUNK], vec![0; CHUNK]);
    for piece in merged(ranges).into_iter().flat_map(|r| r.pieces(CHUNK as u64)) {
        let (x, y) = (&mut x[..piece.len_usize()], &mut y[..piece.len_usize()]);
        read_padded(&left, piece.start, x).map_err(JudgeError::io(a))?;
        read_padded(&right, piece.start, y).map_err(JudgeError::io(b))?;
        if x != y {
            differing(x, y, piece.start, &mut found);
        }
        if found.len() > limit {
            found.truncate(limit);
            break;
        }
    }
    Ok(found)
}

/// Sorted, without overlaps.
fn merged(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut out: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

/// Adds the differing runs of two equally long buffers that begin at `base`.
fn differing(x: &[u8], y: &[u8], base: u64, found: &mut Vec<Range>) {
    for (at, (p, q)) in (base..).zip(x.iter().zip(y)) {
        if p == q {
            continue;
        }
        match found.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => found.push(Range { start: at, end: at + 1 }),
        }
    }
}
