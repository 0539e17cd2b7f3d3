//! Refcounts: how entries of 1 to 64 bits are packed, and how one is found and set in a finished image.

use super::BuildError;
use super::file::ImageFile;
use super::header::{Header, OFFSET_MASK};

/// Width of a refcount, as a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width(u32);

impl Width {
    /// The width of 2^`order` bits; more than 64 bits are taken as 64.
    pub fn from_order(order: u32) -> Self {
        Self(order.min(6))
    }

    /// Bits of one entry.
    pub fn bits(self) -> u64 {
        1 << self.0
    }

    /// log2 of the bits of one entry.
    pub fn order(self) -> u32 {
        self.0
    }

    /// The largest count.
    pub fn max(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// Entry `index` of a refcount block. Entries below a byte are packed least significant first, larger ones are
    /// big-endian.
    pub fn get(self, block: &[u8], index: u64) -> u64 {
        let bit = index * self.bits();
        let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let bytes = usize::try_from(self.bits().div_ceil(8)).unwrap_or(8);
        let value = block.get(byte..).unwrap_or_default().iter().take(bytes);
        let value = value.fold(0, |value, byte| (value << 8) | u64::from(*byte));
        (value >> (bit % 8)) & self.max()
    }

    /// Sets entry `index` of a refcount block; nothing outside the block is touched.
    pub fn set(self, block: &mut [u8], index: u64, count: u64) {
        let bit = index * self.bits();
        let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let [.., low] = count.to_be_bytes();
        if self.bits() < 8 {
            let [.., mask] = self.max().to_be_bytes();
            if let Some(target) = block.get_mut(byte) {
                *target = (*target & !(mask << (bit % 8))) | (low << (bit % 8));
            }
            return;
        }
        let bytes = usize::try_from(self.bits() / 8).unwrap_or(8);
        if let Some(target) = block.get_mut(byte..byte.saturating_add(bytes)) {
            target.copy_from_slice(&count.to_be_bytes()[8 - bytes..]);
        }
    }
}

/// The refcount block that counts host cluster `cluster`, and the entry in it; `None` where the table has a hole or ends.
pub fn locate(file: &ImageFile, header: &Header, cluster: u64) -> Result<Option<(u64, u64)>, BuildError> {
    let coverage = header.cluster * 8 / header.width.bits();
    let place = cluster / coverage;
    if place >= header.table_clusters * header.cluster / 8 {
        return Ok(None);
    }
    let block = file.be64(header.table_offset + 8 * place)? & OFFSET_MASK;
    Ok((block != 0).then_some((block, cluster % coverage)))
}

/// Makes the refcount of a free cluster 1; false where it is not free or has no refcount block.
pub fn occupy(file: &ImageFile, header: &Header, cluster: u64) -> Result<bool, BuildError> {
    change(file, header, cluster, 0, 1)
}

/// Makes the refcount of a cluster 0 if it is 1; false where it is not.
pub fn forget(file: &ImageFile, header: &Header, cluster: u64) -> Result<bool, BuildError> {
    change(file, header, cluster, 1, 0)
}

/// Makes the refcount of a cluster `new` if it is `old`; false where it is not.
fn change(file: &ImageFile, header: &Header, cluster: u64, old: u64, new: u64) -> Result<bool, BuildError> {
    let Some((block, entry)) = locate(file, header, cluster)? else { return Ok(false) };
    // The eight bytes around the entry, whatever its width.
    let bit = entry * header.width.bits();
    let (word, inner) = (bit / 64 * 8, bit % 64 / header.width.bits());
    let mut bytes = [0; 8];
    file.read(block + word, &mut bytes)?;
    if header.width.get(&bytes, inner) != old {
        return Ok(false);
    }
    header.width.set(&mut bytes, inner, new);
    file.write(block + word, &bytes)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_back_at_every_width() {
        for order in 0..=6 {
            let width = Width::from_order(order);
            let mut block = [0; 64];
            let entries = 512 / width.bits();
            for index in 0..entries {
                width.set(&mut block, index, (index * 7 + 1) & width.max());
            }
            for index in 0..entries {
                assert_eq!(width.get(&block, index), (index * 7 + 1) & width.max(), "{order} {index}");
            }
        }
    }

    #[test]
    fn narrow_entries_start_at_the_low_bit_and_wide_ones_at_the_high_byte() {
        let mut block = [0; 8];
        Width::from_order(0).set(&mut block, 1, 1);
        Width::from_order(2).set(&mut block, 3, 0xa);
        Width::from_order(4).set(&mut block, 1, 0x1234);
        assert_eq!(block, [0b10, 0xa0, 0x12, 0x34, 0, 0, 0, 0]);
    }
}
