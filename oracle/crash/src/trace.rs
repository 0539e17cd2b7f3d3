//! What a resize does to its file, in the order in which it does it.

use crate::image::{Image, to_usize};

/// What a disk writes whole or not at all, in bytes.
pub const SECTOR: u64 = 512;

/// One change of a file. Offsets and lengths in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Bytes at an offset.
    Write {
        /// Where.
        offset: u64,
        /// What.
        data: Vec<u8>,
    },
    /// Zeros.
    Zero {
        /// Where.
        offset: u64,
        /// How many.
        len: u64,
        /// Whether the space is given back; if not, the file grows to hold the range.
        unmap: bool,
    },
    /// The file is cut or extended. It happens whole or not at all.
    SetLen {
        /// The new length.
        len: u64,
    },
    /// One of these in another file of the disk.
    In {
        /// Its number ([`Image::file`]).
        file: usize,
        /// What.
        op: Box<Op>,
    },
    /// A file is made, and is empty.
    Make {
        /// Its name.
        name: String,
    },
    /// A file takes the place of the image's own, whole or not at all.
    Replace {
        /// What it holds.
        data: Vec<u8>,
    },
    /// A file is removed.
    Remove {
        /// Its number.
        file: usize,
    },
}

impl Op {
    /// The same in the file of this number.
    #[must_use]
    pub fn of_file(self, file: usize) -> Self {
        if file == 0 { self } else { Self::In { file, op: Box::new(self) } }
    }

    /// Does it to `image`.
    pub fn apply(&self, image: &mut Image) {
        match self {
            Self::Write { offset, data } => image.write(*offset, data),
            Self::Zero { offset, len, unmap } => image.zero(*offset, *len, *unmap),
            Self::SetLen { len } => image.set_len(*len),
            Self::In { file, op } => {
                if let Some(image) = image.file_mut(*file) {
                    op.apply(image);
                }
            }
            Self::Make { name } => {
                image.make(name);
            }
            Self::Replace { data } => image.replace(data),
            Self::Remove { file } => image.remove(*file),
        }
    }

    /// First byte and one past the last one of what can be torn; an empty range if nothing can.
    fn range(&self) -> (u64, u64) {
        match self {
            Self::Write { offset, data } => (*offset, offset + data.len() as u64),
            Self::Zero { offset, len, .. } => (*offset, offset.saturating_add(*len)),
            Self::In { op, .. } => op.range(),
            Self::SetLen { .. } | Self::Make { .. } | Self::Replace { .. } | Self::Remove { .. } => (0, 0),
        }
    }

    /// How many sectors it touches; 1 if it cannot be torn.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        let (start, end) = self.range();
        (end.div_ceil(SECTOR) - start / SECTOR).max(1)
    }

    /// Does only what falls into the sectors `from..to`, counted from the first that it touches.
    pub fn apply_sectors(&self, image: &mut Image, from: u64, to: u64) {
        if let Self::In { file, op } = self {
            if let Some(image) = image.file_mut(*file) {
                op.apply_sectors(image, from, to);
            }
            return;
        }
        let (start, end) = self.range();
        let at = |n: u64| (start / SECTOR).saturating_add(n).saturating_mul(SECTOR).clamp(start, end);
        let (from, to) = (at(from), at(to));
        match self {
            _ if from == to => {}
            Self::Write { data, .. } => {
                image.write(from, &data[to_usize(from - start)..to_usize(to - start)])
            }
            Self::Zero { unmap, .. } => image.zero(from, to - from, *unmap),
            _ => {}
        }
    }
}

/// The changes that a resize made: a list for each interval between two flushes. The last one ends with the flush that
/// ends the resize.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// The intervals, in order; some are empty.
    pub intervals: Vec<Vec<Op>>,
}

impl Trace {
    /// A trace of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { intervals: vec![Vec::new()] }
    }

    /// Adds a change to the last interval.
    pub fn push(&mut self, op: Op) {
        match self.intervals.last_mut() {
            Some(interval) => interval.push(op),
            None => self.intervals.push(vec![op]),
        }
    }

    /// Begins a new interval.
    pub fn flush(&mut self) {
        self.intervals.push(Vec::new());
    }

    /// The calls of the device that made this trace, in order: whether each is a flush.
    #[must_use]
    pub fn calls(&self) -> Vec<bool> {
        let mut calls = Vec::new();
        for ops in &self.intervals {
            calls.extend(ops.iter().map(|_| false).chain([true]));
        }
        // The last interval goes on.
        calls.pop();
        calls
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.intervals.iter().map(Vec::len).sum()
    }

    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Does all of it to `image`.
    pub fn apply(&self, image: &mut Image) {
        self.intervals.iter().flatten().for_each(|op| op.apply(image));
    }

    /// The first interval after which two traces of the same resize leave different files, if there is one. Between two
    /// flushes they may have done it each in its own way; the length counts only in the end, as a device that is made
    /// of sectors rounds it up.
    #[must_use]
    pub fn first_difference(&self, other: &Self, start: &Image) -> Option<usize> {
        let (mut left, mut right) = (start.clone(), start.clone());
        let count = self.intervals.len().max(other.intervals.len());
        (0..count).find(|at| {
            for (trace, image) in [(self, &mut left), (other, &mut right)] {
                let interval = trace.intervals.get(*at);
                interval.into_iter().flatten().for_each(|op| op.apply(image));
            }
            let (mut a, mut b) = (left.clone(), right.clone());
            if at + 1 < count {
                a.level(&mut b);
            }
            a.hash() != b.hash()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_is_the_sum_of_its_sectors() {
        let data: Vec<u8> = (0..2000_u16).map(|i| u8::try_from(i % 251).expect("small")).collect();
        for op in [
            Op::Write { offset: 700, data },
            Op::Zero { offset: 100, len: 1500, unmap: false },
            Op::Zero { offset: 512, len: 1024, unmap: true },
        ] {
            let mut start = Image::default();
            start.write(0, &[0xee; 4000]);
            let (mut whole, mut parts) = (start.clone(), start);
            op.apply(&mut whole);
            (0..op.sectors()).for_each(|n| op.apply_sectors(&mut parts, n, n + 1));
            assert_eq!(whole.hash(), parts.hash(), "{op:?}");
        }
    }

    #[test]
    fn traces_are_compared_interval_by_interval() {
        let write = |offset, byte| Op::Write { offset, data: vec![byte; 512] };
        let mut one = Trace::new();
        [write(0, 1), write(512, 2)].into_iter().for_each(|op| one.push(op));
        one.flush();
        one.push(write(0, 3));
        let mut other = Trace::new();
        [write(512, 2), write(0, 1)].into_iter().for_each(|op| other.push(op));
        other.flush();
        other.push(write(0, 3));
        assert_eq!(one.first_difference(&other, &Image::default()), None);
        other.intervals.swap(0, 1);
        assert_eq!(one.first_difference(&other, &Image::default()), Some(0));
        other.intervals.swap(0, 1);
        other.intervals[1].clear();
        assert_eq!(one.first_difference(&other, &Image::default()), Some(1));
    }
}
