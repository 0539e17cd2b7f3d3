//! Which options, sizes and layout tricks go together.

use super::bounds::{DATA_BUDGET, PREALLOCATED_GROWTH, fixture_cap, growth_cap_of};
use super::parts;
use crate::geometry::SECTOR;
use crate::{Fixture, FormatOptions, Maker, Qcow2, Qed, Space, Tweak, virtual_size};

/// Header extension types that mean something to a reader, and the end marker.
const KNOWN_EXTENSIONS: [u32; 6] = [0, 0xe279_2aca, 0x6803_f857, 0x2385_2875, 0x0537_be77, 0x4441_5441];

/// The smallest cluster size in which L2 entries may be extended, as a power of two.
const EXTENDED_L2_BITS: u8 = 14;

/// The farthest that a hole in the refcount table may push a file's end, in bytes and in clusters.
const HOLE_BYTES: u64 = 16 << 30;
const HOLE_CLUSTERS: u64 = 1 << 18;

impl Fixture {
    /// Makes the fixture one that its maker can build and that qemu-img opens. Legal fixtures stay as they are.
    pub fn legalize(&mut self) {
        match &mut self.format {
            FormatOptions::Raw | FormatOptions::Luks => {}
            FormatOptions::Qcow2(options) => options.legalize(),
            FormatOptions::Qed(options) => options.legalize(),
            FormatOptions::Vpc(_) | FormatOptions::Vhdx(_) | FormatOptions::Vmdk(_) => {}
        }
        parts::legalize(self);
        self.size = self.size.min(fixture_cap(&self.format)).min(growth_cap_of(self));
        super::unresized::legalize(self);
        self.legalize_maker();
        self.legalize_tweaks();
        super::writes::legalize(self);
        parts::settle(self);
        if self.maker != Maker::Own || !self.format.is_unresized() {
            self.without.clear();
        }
    }

    fn legalize_maker(&mut self) {
        match &mut self.format {
            FormatOptions::Raw if !self.size.is_multiple_of(SECTOR) => self.maker = Maker::Own,
            FormatOptions::Raw | FormatOptions::Vpc(_) | FormatOptions::Vhdx(_) | FormatOptions::Vmdk(_) => {}
            FormatOptions::Qed(_) => {
                self.maker = Maker::Qemu;
                self.size = self.size / SECTOR * SECTOR;
            }
            FormatOptions::Luks => {
                self.maker = Maker::Qemu;
                self.size = (self.size / SECTOR * SECTOR).clamp(SECTOR, DATA_BUDGET);
            }
            FormatOptions::Qcow2(options) => {
                let unit = options.resized_by(self.backing.is_some());
                self.size = self.size / unit * unit;
                if !options.space.is_sparse() && self.size > PREALLOCATED_GROWTH {
                    options.space = Space::Sparse;
                }
                // There is nothing to take a snapshot of, and nothing for a bitmap to stand for.
                if !self.snapshots.is_empty() || !self.bitmaps.is_empty() {
                    self.size = self.size.max(unit);
                }
                if self.maker == Maker::Own && options.extended_l2 {
                    options.preallocated = false;
                }
            }
        }
    }

    fn legalize_tweaks(&mut self) {
        let FormatOptions::Qcow2(options) = &self.format else {
            self.tweaks.clear();
            return;
        };
        let own = self.maker == Maker::Own;
        self.tweaks.retain_mut(|tweak| tweak.legalize(options, own));
        self.tweaks.sort_by_key(place);
        self.tweaks.dedup_by_key(|tweak| place(tweak));
        debug_assert!(virtual_size(&self.format, self.size) <= growth_cap_of(self));
    }
}

impl Qcow2 {
    fn legalize(&mut self) {
        if self.version != 2 {
            self.version = 3;
        }
        self.cluster_bits = self.cluster_bits.clamp(9, 21);
        if !matches!(self.refcount_bits, 1 | 2 | 4 | 8 | 16 | 32 | 64) {
            self.refcount_bits = 16;
        }
        if self.version == 2 {
            self.refcount_bits = 16;
            (self.lazy_refcounts, self.extended_l2, self.zstd) = (false, false, false);
        }
        if self.cluster_bits < EXTENDED_L2_BITS {
            self.extended_l2 = false;
        }
        if self.encryption.is_some() {
            // What is named and was never written reads as noise.
            self.preallocated = false;
        }
    }
}

impl Qed {
    /// qemu-img does not open what it makes with tables of one cluster, and fails an assertion of its own where an L2 table
    /// maps more than 2 GiB.
    fn legalize(&mut self) {
        self.cluster_bits = self.cluster_bits.clamp(12, 16);
        let fits = self.cluster_bits < 16 || self.table_size <= 4;
        if !matches!(self.table_size, 2 | 4 | 8 | 16) || !fits {
            self.table_size = 4;
        }
    }
}

impl Tweak {
    /// Brings the tweak into range; false if it does not go with these options.
    fn legalize(&mut self, options: &Qcow2, own: bool) -> bool {
        match self {
            Self::RefcountHole { blocks } => {
                *blocks = (*blocks).min(hole_cap(options));
                own && *blocks > 0
            }
            Self::SpareL1 { entries } => {
                *entries = (*entries).clamp(1, 64);
                true
            }
            Self::HeaderExtension { kind, len } => {
                *len = (*len).min(if options.cluster_bits == 9 { 64 } else { 256 });
                !KNOWN_EXTENSIONS.contains(kind)
            }
            Self::CompatibleBit { bit } | Self::AutoclearBit { bit } => {
                *bit = (*bit).clamp(8, 63);
                options.version == 3
            }
            Self::Leak { clusters } => {
                *clusters = (*clusters).clamp(1, 64);
                true
            }
            Self::Dirty { lost } => {
                *lost = (*lost).min(16);
                options.version == 3
            }
            Self::Corrupt => options.version == 3,
            Self::ShortTail | Self::InUseBitmaps => true,
            Self::TrailingBytes { len } => {
                *len = (*len).clamp(1, 256 << 10);
                true
            }
        }
    }
}

/// Refcount blocks that a hole may skip at these options.
fn hole_cap(options: &Qcow2) -> u8 {
    let clusters = options.refcount_coverage();
    let most = (HOLE_CLUSTERS / clusters).min(HOLE_BYTES / (clusters * options.cluster_size()));
    u8::try_from(most).unwrap_or(u8::MAX)
}

/// The order in which tweaks are applied; a fixture has at most one of each kind.
fn place(tweak: &Tweak) -> u8 {
    match tweak {
        Tweak::RefcountHole { .. } => 0,
        Tweak::SpareL1 { .. } => 1,
        Tweak::HeaderExtension { .. } => 2,
        Tweak::CompatibleBit { .. } => 3,
        Tweak::AutoclearBit { .. } => 4,
        Tweak::Leak { .. } => 5,
        Tweak::ShortTail => 6,
        Tweak::TrailingBytes { .. } => 7,
        Tweak::Dirty { .. } => 8,
        Tweak::InUseBitmaps => 9,
        Tweak::Corrupt => 10,
    }
}
