//! Cylinders, heads and sectors ("CHS Calculation").

/// Sectors that a geometry can have at most: 65535 cylinders, 16 heads, 255 sectors.
pub const MAX_TOTAL: u64 = 65535 * 16 * 255;
/// From here on a track has as many sectors as it can.
const LONG_TRACKS: u64 = 65535 * 16 * 63;
/// Heads at most.
const MAX_HEADS: u64 = 16;
/// Cylinders that a BIOS can count.
const BIOS_CYLINDERS: u64 = 1024;

/// A geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u32,
    /// Heads.
    pub heads: u32,
    /// Sectors of a track.
    pub sectors: u32,
}

impl Geometry {
    /// The largest there is, which says nothing of the size of a disk.
    pub const MAX: Self = Self { cylinders: 65535, heads: 16, sectors: 255 };

    /// That of a disk of `total` sectors; it has as many or a few less.
    #[must_use]
    pub fn of(total: u64) -> Self {
        let total = total.min(MAX_TOTAL);
        if total >= LONG_TRACKS {
            return Self::from_tracks(total, 255, MAX_HEADS);
        }
        let tracks = total / 17;
        let heads = tracks.div_ceil(BIOS_CYLINDERS).max(4);
        if tracks < heads.saturating_mul(BIOS_CYLINDERS) && heads <= MAX_HEADS {
            return Self::from_tracks(total, 17, heads);
        }
        if total / 31 < MAX_HEADS.saturating_mul(BIOS_CYLINDERS) {
            return Self::from_tracks(total, 31, MAX_HEADS);
        }
        Self::from_tracks(total, 63, MAX_HEADS)
    }

    fn from_tracks(total: u64, sectors: u32, heads: u64) -> Self {
        let tracks = total.checked_div(u64::from(sectors)).unwrap_or(0);
        let cylinders = tracks.checked_div(heads).unwrap_or(0);
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Self { cylinders: small(cylinders), heads: small(heads), sectors }
    }

    /// The sectors it has.
    #[must_use]
    pub fn total(self) -> u64 {
        let sides = u64::from(self.cylinders).saturating_mul(u64::from(self.heads));
        sides.saturating_mul(u64::from(self.sectors))
    }

    /// The least geometry that QEMU finds for a disk of at least `total` sectors, and how many sectors the
    /// disk has then: with the largest geometry as many as asked for.
    #[must_use]
    pub fn at_least(total: u64) -> (Self, u64) {
        let wanted = total.min(MAX_TOTAL);
        let mut tried = wanted;
        // A disk of nothing has no heads either.
        let mut found = if wanted == 0 { Self::default() } else { Self::of(tried) };
        while found.total() < wanted && tried < MAX_TOTAL {
            tried = tried.saturating_add(1);
            found = Self::of(tried);
        }
        if found.total() == MAX_TOTAL { (Self::MAX, total) } else { (found, found.total()) }
    }
}
