//! VHD, VHDX and VMDK images of our own, from their specifications, laid out as `qemu-img` never does: gaps, tables behind
//! the data, blocks in any order, creators and structures that it does not know.

mod vhd;
mod vhdx;
mod vmdk;

use std::collections::BTreeSet;
use std::path::Path;

use super::BuildError;
use super::file::ImageFile;
use super::own::choices;
use crate::seed::SplitMix64;
use crate::{Content, Fixture, FormatOptions, Oddity, Without, expected_content};

/// What is in places where no reader may look.
const GARBAGE: u8 = 0xee;
/// Bytes of it.
const GARBAGE_LEN: u64 = 4096;

/// Makes the image.
pub fn make(fixture: &Fixture, path: &Path) -> Result<(), BuildError> {
    let (content, file) = (expected_content(fixture), ImageFile::create(path)?);
    let mut image = Image::of(content, fixture.format.unit(), choices(fixture), file);
    image.without.clone_from(&fixture.without);
    match &fixture.format {
        FormatOptions::Vpc(options) => vhd::make(&mut image, options),
        FormatOptions::Vhdx(options) => vhdx::make(&mut image, options),
        FormatOptions::Vmdk(options) => vmdk::make(&mut image, options, path),
        _ => Err(BuildError::Illegal("another builder lays out such images")),
    }
}

/// An image that is being made.
struct Image {
    /// Blocks or grains that are not all zeros.
    units: BTreeSet<u64>,
    /// Bytes of each.
    unit: u64,
    content: Content,
    rng: SplitMix64,
    file: ImageFile,
    /// What is chosen to be as it usually is.
    without: Without,
}

/// Something that needs a place: what it is, how long, and of what its place is a multiple, in bytes.
struct Item<T> {
    what: T,
    len: u64,
    align: u64,
}

impl Image {
    fn of(content: Content, unit: u64, rng: SplitMix64, file: ImageFile) -> Self {
        let extents = content.extents().into_iter();
        let units =
            extents.flat_map(|extent| extent.offset / unit..(extent.offset + extent.len).div_ceil(unit));
        Self { units: units.collect(), unit, content, rng, file, without: Without::new() }
    }

    /// True once in `n` times, if there may be such oddities. The choices that follow are the same either way.
    fn once_in(&mut self, n: u64, oddity: Oddity) -> bool {
        self.rng.below(n) == 0 && self.may_have(oddity)
    }

    fn may_have(&self, oddity: Oddity) -> bool {
        !self.without.contains(&oddity)
    }

    /// A number below `n`; 0 without such oddities.
    fn some(&mut self, n: u64, oddity: Oddity) -> u64 {
        let number = self.rng.below(n);
        if self.may_have(oddity) { number } else { 0 }
    }

    /// Fills a place where no reader may look.
    fn garbage(&self, at: u64, len: u64) -> Result<(), BuildError> {
        if self.may_have(Oddity::Garbage) { self.file.fill(at, len, GARBAGE) } else { Ok(()) }
    }

    /// Puts the items in some order.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.rng.below(last as u64 + 1)).unwrap_or(0);
            if self.may_have(Oddity::Order) {
                items.swap(last, other);
            }
        }
    }

    /// Places for items in their order from `start` on, with garbage in gaps before some; where the last one ends.
    fn place<T>(&mut self, items: Vec<Item<T>>, start: u64) -> Result<(Vec<(T, u64)>, u64), BuildError> {
        let mut end = start;
        let mut placed = Vec::new();
        for Item { what, len, align } in items {
            let gap = if self.once_in(4, Oddity::Gaps) { align * (1 + self.rng.below(3)) } else { 0 };
            let at = end.next_multiple_of(align) + gap;
            self.garbage(end, GARBAGE_LEN.min(at - end))?;
            placed.push((what, at));
            end = at + len;
        }
        Ok((placed, end))
    }

    /// Writes what a guest sees in the unit `number` to the byte `at` on.
    fn write_unit(&self, number: u64, at: u64) -> Result<(), BuildError> {
        let (start, end) = (number * self.unit, (number + 1) * self.unit);
        for extent in self.content.extents() {
            let (from, to) = (extent.offset.max(start), (extent.offset + extent.len).min(end));
            if from < to {
                self.file.fill(at + (from - start), to - from, extent.byte)?;
            }
        }
        // Behind the disk's end nobody looks, until there is more of it.
        let visible = self.content.size().clamp(start, end) - start;
        self.garbage(at + visible, GARBAGE_LEN.min(self.unit - visible))
    }

    /// 16 bytes by chance.
    fn guid(&mut self) -> [u8; 16] {
        let (high, low) = (self.rng.next_u64(), self.rng.next_u64());
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }
}

/// Copies `bytes` into a structure.
fn put(structure: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = structure.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// A number of bytes that a buffer has.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
