//! Refcounts inside a refcount block. Entries narrower than a byte are packed from the least
//! significant bit up; wider ones are big-endian.

use crate::bytes::{be16, is_zero, last_used_word};

/// The refcount at `index` of a block (or a part of one that starts at a byte boundary) whose
/// entries are `1 << order` bits wide. An entry past the end of `block` reads as 0.
#[must_use]
#[inline]
pub fn get(block: &[u8], order: u32, index: u64) -> u64 {
    let Some((at, shift)) = place(order, index) else {
        return 0;
    };
    if order < 3 {
        let byte = block.get(at).copied().unwrap_or(0);
        return u64::from(byte.wrapping_shr(shift) & mask(order));
    }
    if order == DEFAULT_ORDER {
        return u64::from(be16(block, at));
    }
    let bytes = block.get(at..at.saturating_add(width(order))).unwrap_or(&[]);
    bytes.iter().fold(0, |n, b| n.wrapping_shl(8) | u64::from(*b))
}

/// The index of the last refcount that is not zero.
#[must_use]
pub fn last(block: &[u8], order: u32) -> Option<u64> {
    let (words, rest) = block.as_chunks::<8>();
    let end = if is_zero(rest) {
        last_used_word(words)?.0.saturating_add(1).saturating_mul(8)
    } else {
        block.len()
    };
    let entries = ((end as u64) << 3).wrapping_shr(order);
    (0..entries).rev().find(|i| get(block, order, *i) != 0)
}

/// Sets the refcount at `index`. `value` must not exceed [`max`]; an entry past the end of `block`
/// is not written.
#[inline]
pub fn set(block: &mut [u8], order: u32, index: u64, value: u64) {
    let Some((at, shift)) = place(order, index) else {
        return;
    };
    let be = value.to_be_bytes();
    if order < 3 {
        if let (Some(byte), [.., low]) = (block.get_mut(at), be) {
            *byte = (*byte & !mask(order).wrapping_shl(shift)) | (low & mask(order)).wrapping_shl(shift);
        }
        return;
    }
    let skip = be.len().saturating_sub(width(order));
    if let (Some(slot), Some(be)) = (block.get_mut(at..at.saturating_add(width(order))), be.get(skip..)) {
        slot.copy_from_slice(be);
    }
}

/// The largest refcount that `1 << order` bits hold.
#[must_use]
pub const fn max(order: u32) -> u64 {
    u64::MAX.wrapping_shr(64_u32.wrapping_sub(1_u32.wrapping_shl(order)))
}

/// The order of nearly all images: 16 bits.
const DEFAULT_ORDER: u32 = 4;

/// Byte and, for narrow entries, bit shift of entry `index`.
#[inline]
fn place(order: u32, index: u64) -> Option<(usize, u32)> {
    let bits = index.checked_mul(1_u64.wrapping_shl(order))?;
    let at = usize::try_from(bits / 8).ok()?;
    Some((at, u32::try_from(bits % 8).ok()?))
}

/// Bytes of an entry of at least 8 bits.
const fn width(order: u32) -> usize {
    1_usize.wrapping_shl(order.wrapping_sub(3))
}

/// The bits of an entry of fewer than 8.
const fn mask(order: u32) -> u8 {
    match order {
        0 => 0b1,
        1 => 0b11,
        _ => 0b1111,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_keeps_its_neighbours() {
        for order in 0..=6 {
            let mut block = [0_u8; 64];
            let n = 512_u64 >> order;
            for i in 0..n {
                set(&mut block, order, i, (i + 1) & max(order));
            }
            for i in 0..n {
                assert_eq!(get(&block, order, i), (i + 1) & max(order), "order {order} index {i}");
            }
            set(&mut block, order, n, 1);
            assert_eq!(get(&block, order, n), 0);
        }
    }

    #[test]
    fn the_last_one_is_found() {
        for order in 0..=6 {
            for i in 0..4096_u64 >> order {
                let mut block = [0_u8; 512];
                assert_eq!(last(&block, order), None);
                set(&mut block, order, i, 1);
                set(&mut block, order, 0, 1);
                assert_eq!(last(&block, order), Some(i), "order {order}");
            }
        }
    }

    #[test]
    fn narrow_entries_start_at_the_least_significant_bit() {
        let mut block = [0_u8; 2];
        set(&mut block, 0, 0, 1);
        set(&mut block, 0, 9, 1);
        assert_eq!(block, [0b0000_0001, 0b0000_0010]);
        let mut block = [0_u8; 1];
        set(&mut block, 1, 1, 0b10);
        assert_eq!(block, [0b0000_1000]);
        let mut block = [0_u8; 1];
        set(&mut block, 2, 1, 0xf);
        assert_eq!(block, [0xf0]);
    }

    #[test]
    fn wide_entries_are_big_endian() {
        let mut block = [0_u8; 16];
        set(&mut block, 4, 1, 0x0102);
        assert_eq!(block[..4], [0, 0, 1, 2]);
        set(&mut block, 6, 1, 0x0102_0304_0506_0708);
        assert_eq!(block[8..], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(max(0), 1);
        assert_eq!(max(4), 0xffff);
        assert_eq!(max(6), u64::MAX);
    }
}
