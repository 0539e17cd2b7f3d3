//! Sizes by cylinders, heads and sectors, from the VHD specification ("CHS Calculation").

use crate::geometry::SECTOR;

/// Cylinders, heads and sectors of a track that a VHD footer counts at most. It says nothing of the size of the disk.
pub const MOST: Chs = Chs { cylinders: 65535, heads: 16, sectors: 255 };

/// Sectors from which on every track has 255 of them.
const LONG_TRACKS: u64 = 65535 * 16 * 63;

/// A geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chs {
    /// Cylinders.
    pub cylinders: u64,
    /// Heads.
    pub heads: u64,
    /// Sectors of a track.
    pub sectors: u64,
}

impl Chs {
    /// The geometry of a disk of `total` sectors; it has as many, or a few less.
    pub fn of(total: u64) -> Self {
        let total = total.min(MOST.total());
        let with = |sectors, heads| Self { cylinders: total / sectors / heads, heads, sectors };
        if total >= LONG_TRACKS {
            return with(255, 16);
        }
        let heads = (total / 17).div_ceil(1024).max(4);
        if total / 17 < heads * 1024 && heads <= 16 {
            return with(17, heads);
        }
        if total / 31 < 16 * 1024 { with(31, 16) } else { with(63, 16) }
    }

    /// The geometry that has at least `total` sectors, as a search from there on finds it: that of a disk with so many, where
    /// [`Self::of`] gives another one with fewer.
    pub fn at_least(total: u64) -> Self {
        let most = MOST.total();
        (total..most).map(Self::of).find(|found| found.total() >= total).unwrap_or(MOST)
    }

    /// The sectors that it has.
    pub fn total(self) -> u64 {
        self.cylinders * self.heads * self.sectors
    }
}

/// Bytes of the smallest disk with a geometry of its own that has at least `bytes`, as the search for it finds them:
/// sector by sector. From the largest geometry on, the size in whole sectors.
pub fn round_up(bytes: u64) -> u64 {
    let asked = bytes.div_ceil(SECTOR);
    if asked >= MOST.total() {
        return asked * SECTOR;
    }
    Chs::at_least(asked).total() * SECTOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_qemu_img_creates() {
        let sizes = [
            (1 << 20, 1_079_296),
            (3 << 20, 3_168_256),
            (64 << 20, 67_125_248),
            (500 << 20, 524_353_536),
            (1 << 30, 1_073_995_776),
            (32 << 30, 34_361_303_040),
            (127 << 30, 136_365_219_840),
            (128 << 30, 128 << 30),
        ];
        for (asked, made) in sizes {
            assert_eq!(round_up(asked), made);
            assert_eq!(round_up(made), made);
        }
    }
}
