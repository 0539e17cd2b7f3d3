//! Which other files, snapshots and bitmaps an image can have, and how many.

use super::writes;
use crate::geometry::SECTOR;
use crate::{Backing, BackingFormat, Fixture, FormatOptions, MadeBy, Maker, Space, Tweak};

/// Disks behind an overlay, at most.
const MAX_CHAIN: usize = 2;
/// The longest disk behind an overlay, in bytes.
const MAX_BACKING: u64 = 1 << 30;
/// Snapshots of one image, at most: as many as a refcount of 2 bits counts beside the disk itself.
const MAX_SNAPSHOTS: usize = 2;
/// Bitmaps of one image, at most.
const MAX_BITMAPS: usize = 3;
/// Bits of one bitmap, at most.
pub(super) const MAX_BITS: u64 = 1 << 20;

/// Makes the parts of a fixture, whose options are legal, ones that qemu-img makes.
pub fn legalize(fixture: &mut Fixture) {
    let FormatOptions::Qcow2(options) = &mut fixture.format else {
        clear(fixture);
        return;
    };
    if let Some(backing) = &mut fixture.backing {
        backing.legalize(MAX_CHAIN - 1);
        options.preallocated = false;
    }
    if options.encryption.is_some() && fixture.backing.is_some() {
        // Without the key no cluster gets a copy of what is behind it, and version 2 has none that are marked as zeros.
        options.version = 3;
    }
    if options.version == 2 {
        (fixture.data_file, fixture.bitmaps) = (None, Vec::new());
    }
    if let Some(file) = &mut fixture.data_file {
        // What an encrypted raw one has and nobody wrote reads as noise.
        file.raw &= fixture.backing.is_none() && options.encryption.is_none();
        fixture.snapshots.clear();
    }
    if options.refcount_bits == 1 {
        fixture.snapshots.clear();
    }
    fixture.snapshots.truncate(MAX_SNAPSHOTS);
    fixture.bitmaps.truncate(MAX_BITMAPS);
    settle_tweaks(fixture);
    settle_maker(fixture);
}

/// Our own builder makes plain images, which need no version and no passphrase.
fn settle_maker(fixture: &mut Fixture) {
    let parts = !fixture.is_plain() || fixture.format.is_encrypted();
    let FormatOptions::Qcow2(options) = &mut fixture.format else { return };
    if parts {
        fixture.maker = Maker::Qemu;
    }
    if !options.preallocated || fixture.maker == Maker::Own {
        options.space = Space::Sparse;
    }
    if fixture.maker == Maker::Own {
        fixture.made_by = MadeBy::Newest;
    }
}

/// Brings what depends on the fixture's size and writes into range: both are legal by now.
pub fn settle(fixture: &mut Fixture) {
    let (size, writes) = (fixture.size, fixture.writes.len());
    for snapshot in &mut fixture.snapshots {
        snapshot.after = snapshot.after.min(writes);
    }
    fixture.snapshots.sort_by_key(|snapshot| snapshot.after);
    for bitmap in &mut fixture.bitmaps {
        bitmap.after = bitmap.after.min(writes);
        let least = size.div_ceil(MAX_BITS).next_power_of_two().trailing_zeros();
        let least = u8::try_from(least).unwrap_or(u8::MAX).clamp(9, 31);
        bitmap.granularity_bits = bitmap.granularity_bits.clamp(least, 31);
    }
    fixture.bitmaps.sort_by_key(|bitmap| bitmap.after);
}

fn clear(fixture: &mut Fixture) {
    fixture.backing = None;
    fixture.data_file = None;
    fixture.snapshots.clear();
    fixture.bitmaps.clear();
    if fixture.maker == Maker::Own || !fixture.size.is_multiple_of(SECTOR) {
        fixture.made_by = MadeBy::Newest;
    }
}

/// An image that has to be repaired or is refused is otherwise a simple one.
fn settle_tweaks(fixture: &mut Fixture) {
    let plain = fixture.backing.is_none() && fixture.data_file.is_none() && fixture.snapshots.is_empty();
    let (bitmaps, overlay) = (!fixture.bitmaps.is_empty(), fixture.backing.is_some());
    fixture.tweaks.retain(|tweak| match tweak {
        Tweak::Dirty { .. } => plain && !bitmaps,
        Tweak::InUseBitmaps => bitmaps,
        // qemu-img puts the name of a backing file behind the extensions.
        Tweak::HeaderExtension { .. } => !overlay,
        _ => true,
    });
    if fixture.tweaks.iter().any(|tweak| matches!(tweak, Tweak::Dirty { .. })) {
        fixture.tweaks.retain(|tweak| !matches!(tweak, Tweak::Leak { .. }));
    }
}

impl Backing {
    fn legalize(&mut self, below: usize) {
        self.size = self.size.clamp(1, MAX_BACKING);
        if self.format == BackingFormat::Qcow2 {
            self.size = self.size.next_multiple_of(SECTOR);
        }
        if self.format == BackingFormat::Raw || below == 0 {
            self.backing = None;
        }
        writes::legalize_plain(&mut self.writes, self.size);
        if let Some(backing) = &mut self.backing {
            backing.absolute &= self.absolute;
            backing.legalize(below - 1);
        }
    }
}
