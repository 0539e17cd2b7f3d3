//! How large a generated case may be, so that qemu-img answers it in a fraction of a second.

use super::parts::MAX_BITS;
use super::unresized;
use crate::geometry::SECTOR;
use crate::{Fixture, FormatOptions, Qcow2};

/// Guest bytes that the writes of one case may fill with data.
pub const DATA_BUDGET: u64 = 4 << 20;

/// Clusters that one write of zeros or one discard may cover.
pub const ZERO_CLUSTERS: u64 = 2048;

/// Writes of one case.
pub const MAX_WRITES: usize = 12;

/// Resizes of one case.
pub const MAX_RESIZES: usize = 3;

/// Clusters of an image created with preallocated metadata.
pub const PREALLOCATED_CLUSTERS: u64 = 1024;

/// The largest growth that is written out or allocated, in bytes.
pub const PREALLOCATED_GROWTH: u64 = 8 << 20;

/// The largest raw image, in bytes: well below what a file system refuses.
pub const RAW_CAP: u64 = 1 << 40;

/// The largest LUKS disk, in bytes: all of it is decrypted whenever it is read.
pub const LUKS_CAP: u64 = 16 << 20;

/// L1 entries, each of which costs a reader a look.
const L1_ENTRIES: u64 = 16 << 10;

/// Runs of 4 KiB of L2 entries, each of which costs `qemu-img map` and `compare` a look: a second for 4 million.
const L2_SLICES: u64 = 1 << 20;

/// Bytes of L2 entries that qemu looks at together.
const SLICE_BYTES: u64 = 4096;

/// L1 entries where clusters and refcount blocks are smallest: enough to outgrow the refcount table.
const L1_ENTRIES_SMALLEST: u64 = 272 << 10;

/// The largest virtual size that a case resizes to, in bytes.
pub fn growth_cap(format: &FormatOptions) -> u64 {
    let options = match format {
        FormatOptions::Raw => return RAW_CAP,
        FormatOptions::Luks => return LUKS_CAP,
        FormatOptions::Qed(options) => return options.max_size().min(RAW_CAP),
        FormatOptions::Qcow2(options) => options,
        FormatOptions::Vpc(_) | FormatOptions::Vhdx(_) | FormatOptions::Vmdk(_) => {
            return unresized::growth_cap(format);
        }
    };
    let slices = (options.cluster_size() / SLICE_BYTES).max(1);
    let by_l1 = options.l2_coverage().saturating_mul(l1_cap(options));
    let by_slices = (options.l2_coverage() / slices).saturating_mul(L2_SLICES);
    by_l1.min(by_slices).min(options.max_size())
}

/// Clusters of an image each of which may have to be mapped: over a longer backing file, in a raw data file.
const MAPPED_CLUSTERS: u64 = 4096;

/// The largest encrypted disk with clusters of more than 64 KiB, in bytes: qemu-img 11.1 fails an assertion of its own when it
/// looks at 2 GiB of such a disk at once.
const ENCRYPTED_CAP: u64 = 1 << 30;

/// The largest virtual size that a case with this fixture resizes to, in bytes: [`growth_cap`], or what its parts bear.
pub fn growth_cap_of(fixture: &Fixture) -> u64 {
    let cap = growth_cap(&fixture.format);
    let Some(options) = fixture.format.qcow2() else { return cap };
    let mapped = fixture.backing.is_some() || fixture.data_file.is_some();
    let by_clusters = if mapped { MAPPED_CLUSTERS * options.cluster_size() } else { u64::MAX };
    let granularities = fixture.bitmaps.iter().map(|bitmap| bitmap.granularity_bits.clamp(9, 31));
    let by_bits = granularities.min().map_or(u64::MAX, |bits| MAX_BITS << bits);
    let encrypted = options.encryption.is_some() && options.cluster_bits > 16;
    let by_reader = if encrypted { ENCRYPTED_CAP } else { u64::MAX };
    cap.min(by_clusters).min(by_bits).min(by_reader)
}

impl Qcow2 {
    /// What a disk's sizes are multiples of, in bytes: whoever has no key cannot copy what lies behind an encrypted disk's
    /// last cluster.
    pub(super) fn resized_by(&self, overlay: bool) -> u64 {
        if overlay && self.encryption.is_some() { self.cluster_size() } else { SECTOR }
    }
}

/// The largest virtual size of a fixture, in bytes.
pub fn fixture_cap(format: &FormatOptions) -> u64 {
    let cap = growth_cap(format);
    match format.qcow2() {
        Some(options) if options.preallocated => cap.min(PREALLOCATED_CLUSTERS * options.cluster_size()),
        Some(options) => cap.min(options.l2_coverage().saturating_mul(L1_ENTRIES)),
        None => cap,
    }
}

/// L2 tables that one shrink may drop: qemu-img allocates each of them first, which takes it 3 to 4 ms.
pub fn shrink_slots(options: &Qcow2) -> u64 {
    ((4 << 20) / options.cluster_size()).clamp(3, 48)
}

fn l1_cap(options: &Qcow2) -> u64 {
    if options.cluster_bits == 9 && options.refcount_bits == 64 { L1_ENTRIES_SMALLEST } else { L1_ENTRIES }
}
