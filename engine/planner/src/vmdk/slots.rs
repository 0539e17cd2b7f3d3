//! Which places for grains are taken: one bit each, counted from where grains may begin.

use super::tables::Span;
use instar_formats::bytes::index;
use instar_formats::vmdk::SparseHeader;

/// A file as places for grains. Those in front of the first that grains may take do not count.
#[derive(Debug)]
pub struct Slots<'b> {
    bits: &'b mut [u8],
    grain: u64,
    /// Sector of the first place.
    pub base: u64,
    /// How many there are.
    pub count: u64,
}

impl<'b> Slots<'b> {
    /// The places of a file of `file` sectors, all of them free. `None`: `bits` does not have so many.
    pub fn new(header: &SparseHeader, file: u64, bits: &'b mut [u8]) -> Option<Self> {
        let grain = header.grain.max(1);
        let base = header.overhead.checked_rem(grain).unwrap_or(0);
        let count = file.saturating_sub(base).div_ceil(grain);
        let bits = bits.get_mut(..index(count.div_ceil(8)))?;
        bits.fill(0);
        Some(Self { bits, grain, base, count })
    }

    /// The place that a grain at this sector fills, if it is one.
    #[must_use]
    pub const fn of(&self, sector: u64) -> Option<u64> {
        match sector.checked_sub(self.base) {
            Some(inside) if inside.is_multiple_of(self.grain) => inside.checked_div(self.grain),
            _ => None,
        }
    }

    /// Where a place begins.
    #[must_use]
    pub const fn sector(&self, slot: u64) -> u64 {
        self.base.saturating_add(slot.saturating_mul(self.grain))
    }

    /// Takes every place that has a sector of `span`, and says whether all of them were free.
    pub fn take(&mut self, span: Span) -> bool {
        let first = span.first.saturating_sub(self.base).checked_div(self.grain).unwrap_or(0);
        let end = span.end.saturating_sub(self.base).div_ceil(self.grain).min(self.count);
        let mut free = true;
        for slot in first..end {
            if let Some(byte) = self.bits.get_mut(index(slot / 8)) {
                let bit = 1_u8.wrapping_shl(u32::try_from(slot & 7).unwrap_or(0));
                free &= *byte & bit == 0;
                *byte |= bit;
            }
        }
        free
    }

    /// The first free place from `slot` on.
    #[must_use]
    pub fn free_from(&self, slot: u64) -> u64 {
        let is_taken = |slot: &u64| {
            let byte = self.bits.get(index(*slot / 8)).copied().unwrap_or(0);
            byte.wrapping_shr(u32::try_from(*slot & 7).unwrap_or(0)) & 1 == 1
        };
        (slot..self.count).find(|slot| !is_taken(slot)).unwrap_or(self.count)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use instar_formats::vmdk::Layout;

    #[test]
    fn places_are_taken_once() {
        let header = Layout::new(131_072).header(3);
        let mut bits = [0xff; 2];
        let mut slots = Slots::new(&header, 128 * 10 + 1, &mut bits).expect("room for 11");
        assert_eq!((slots.count, slots.base, slots.of(256), slots.of(257)), (11, 0, Some(2), None));
        assert!(slots.take(Span::new(0, 129)), "two of them");
        assert_eq!(slots.free_from(0), 2);
        assert!(!slots.take(Span::new(128, 128)) && slots.take(Span::new(256, 128)));
        assert!(slots.take(Span::new(1280, 1280)), "beyond the end is nothing");
        assert_eq!((slots.free_from(1), slots.free_from(10)), (3, 11));
        assert!(Slots::new(&header, 128 * 17, &mut bits).is_none());
    }
}
