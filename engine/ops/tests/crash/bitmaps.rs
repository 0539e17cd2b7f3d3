//! Persistent bitmaps of the small images, laid out and read by hand.

use super::image::{Image, be32, be64, size_of};

/// Length of the fixed part of a directory entry, and of one whose name has one letter.
const FIXED: u64 = 24;
const ENTRY: u64 = 32;

/// A bitmap as it was made.
#[derive(Clone, Copy)]
pub struct Bitmap {
    granularity_bits: u32,
    /// Whether all bits are one, and no cluster says so.
    ones: bool,
}

impl Bitmap {
    /// Whether bit `i` was set when it was made.
    const fn bit(self, i: u64) -> bool {
        self.ones || i % 7 == 3 || i % 64 > 60
    }

    fn bits(self, size: u64) -> u64 {
        size.div_ceil(1 << self.granularity_bits)
    }
}

impl Image {
    /// Gives the image bitmaps of these granularities, the `ones` all set.
    pub fn add_bitmaps(&mut self, kinds: &[(u32, bool)]) {
        let directory = self.allocate();
        for (i, (granularity_bits, ones)) in kinds.iter().enumerate() {
            let bitmap = Bitmap { granularity_bits: *granularity_bits, ones: *ones };
            let entries = bitmap.bits(self.size).div_ceil(8).div_ceil(self.cluster);
            let table = self.allocate();
            assert!(entries * 8 <= self.cluster, "a small table");
            for entry in 0..entries {
                let value = if *ones { 1 } else { self.bitmap_data(bitmap, entry) };
                self.put64(table + entry * 8, value);
            }
            let at = directory + i as u64 * ENTRY;
            self.put64(at, table);
            self.put64(at + 8, entries << 32 | 2);
            let name = u8::try_from(i).unwrap() + b'a';
            self.put(at + 16, &[1, u8::try_from(*granularity_bits).unwrap(), 0, 1, 0, 0, 0, 0, name]);
            self.bitmaps.push(bitmap);
        }
        let extension = u64::from(be32(&self.bytes, 100));
        self.put64(extension, 0x2385_2875 << 32 | 24);
        self.put64(extension + 8, (kinds.len() as u64) << 32);
        self.put64(extension + 16, kinds.len() as u64 * ENTRY);
        self.put64(extension + 24, directory);
        self.put64(88, 1);
    }

    /// A cluster with the bits of table entry `entry`.
    fn bitmap_data(&mut self, bitmap: Bitmap, entry: u64) -> u64 {
        let place = self.allocate();
        let first = entry * self.cluster * 8;
        for i in (first..first + self.cluster * 8).filter(|i| *i < bitmap.bits(self.size) && bitmap.bit(*i)) {
            let at = usize::try_from(place + (i - first) / 8).unwrap();
            self.bytes[at] |= 1 << (i % 8);
        }
        place
    }

    /// Each bitmap is flagged as in use, or has the bits that it had before both ends, and no other.
    pub fn check_bitmaps(&self, state: &[u8], new_size: u64) -> Result<(), String> {
        let size = size_of(state);
        let kept_size = if size == self.size { size } else { self.size.min(new_size) };
        for (i, bitmap) in self.bitmaps.iter().enumerate() {
            let at = directory(state) + i as u64 * ENTRY;
            if be64(state, at + 8) & 1 == 1 {
                continue;
            }
            let (table, entries) = (be64(state, at), be64(state, at + 8) >> 32);
            if entries != bitmap.bits(size).div_ceil(8).div_ceil(self.cluster) {
                return Err(format!("bitmap {i} claims {entries} entries for {size} bytes"));
            }
            let kept = bitmap.bits(kept_size);
            let wrong = |bit: &u64| self.bit(state, table, *bit) != (*bit < kept && bitmap.bit(*bit));
            let (near, far) = (kept + 1000, bitmap.bits(size));
            if let Some(bit) = (0..near.min(far)).chain((near..far).step_by(997)).find(wrong) {
                return Err(format!("bitmap {i} has bit {bit} wrong"));
            }
        }
        Ok(())
    }

    /// No bit behind the end of the disk is set where a bitmap has data.
    pub fn check_ends(&self, state: &[u8]) -> Result<(), String> {
        for (i, bitmap) in self.bitmaps.iter().enumerate() {
            let table = be64(state, directory(state) + i as u64 * ENTRY);
            let (end, per_cluster) = (bitmap.bits(size_of(state)), self.cluster * 8);
            let ones = be64(state, table + end / per_cluster * 8) == 1;
            if (end..end.next_multiple_of(per_cluster)).any(|bit| !ones && self.bit(state, table, bit)) {
                return Err(format!("bitmap {i} has bits behind the end"));
            }
        }
        Ok(())
    }

    fn bit(&self, state: &[u8], table: u64, bit: u64) -> bool {
        match be64(state, table + bit / (self.cluster * 8) * 8) {
            value @ 0..=1 => value == 1,
            data => {
                let byte = usize::try_from(data + bit % (self.cluster * 8) / 8).unwrap();
                state.get(byte).is_some_and(|b| b >> (bit % 8) & 1 == 1)
            }
        }
    }
}

fn directory(state: &[u8]) -> u64 {
    be64(state, u64::from(be32(state, 100)) + 24)
}

/// Whether any bitmap is flagged as in use.
pub fn any_in_use(state: &[u8]) -> bool {
    let count = be64(state, u64::from(be32(state, 100)) + 8) >> 32;
    let flagged = |i| be64(state, directory(state) + i * ENTRY + FIXED - 16) & 1 == 1;
    be64(state, 88) & 1 == 1 && (0..count).any(flagged)
}
