//! Other files, snapshots and bitmaps: all rare, some of them together.

use super::draw::Draw;
use super::fixture::small;
use crate::{Backing, BackingFormat, Bitmap, DataFile, Fixture, MadeBy, Snapshot, Tweak, Write, WriteKind};

/// Writes of one backing file, at most.
const BACKING_WRITES: u64 = 3;

/// Gives `fixture` what a qcow2 image may have besides its own guest data.
pub fn parts(draw: &mut Draw, fixture: &mut Fixture) {
    fixture.made_by = made_by(draw);
    // Rare as it is, an encrypted image has most of these.
    let encrypted = fixture.format.is_encrypted();
    if draw.rarely(if encrypted { 96 } else { 40 }) {
        fixture.backing = Some(backing(draw, fixture.size, 1));
    }
    if draw.rarely(if encrypted { 80 } else { 20 }) {
        fixture.data_file = Some(DataFile { raw: draw.rarely(128) });
    }
    if draw.rarely(32) {
        let mut snapshot = || Snapshot { after: usize::from(small(draw, 6)) - 1 };
        fixture.snapshots = vec![snapshot(), snapshot()];
        fixture.snapshots.truncate(draw.pick([1, 2]));
        // In version 2 their disk is never resized.
        let old = fixture.format.qcow2().is_some_and(|options| options.version == 2);
        if old && !draw.rarely(48) {
            fixture.snapshots.clear();
        }
    }
    if draw.rarely(32) {
        let count = usize::from(small(draw, 3));
        fixture.bitmaps = (0..count).map(|_| bitmap(draw)).collect();
        if draw.rarely(16) {
            fixture.tweaks.push(Tweak::InUseBitmaps);
        }
    }
}

/// Who makes an image.
pub fn made_by(draw: &mut Draw) -> MadeBy {
    if draw.rarely(64) { MadeBy::Oldest } else { MadeBy::Newest }
}

fn bitmap(draw: &mut Draw) -> Bitmap {
    Bitmap {
        granularity_bits: draw.pick([16, 9, 12, 14, 20, 24]),
        after: usize::from(small(draw, 6)) - 1,
        disabled: draw.rarely(64),
    }
}

/// A disk behind one of `size` bytes: as long, longer, shorter, and with ends in odd places.
fn backing(draw: &mut Draw, size: u64, below: u8) -> Backing {
    let near = match draw.below(5) {
        0 => size,
        1 => size.saturating_mul(2),
        2 => size / 2,
        3 => size.saturating_add(1 << draw.pick([9, 12, 16, 20])),
        _ => 512 * (1 + draw.below(8192)),
    };
    let odd = if draw.rarely(64) { 1 + draw.below(511) } else { 0 };
    let size = near.saturating_add(odd).max(512);
    let count = draw.below(BACKING_WRITES + 1);
    let format = draw.pick([BackingFormat::Raw, BackingFormat::Qcow2, BackingFormat::Qcow2]);
    let absolute = draw.rarely(64);
    let writes = (0..count).map(|_| write(draw, size)).collect();
    let deeper = below > 0 && draw.rarely(96);
    let next = deeper.then(|| Box::new(backing(draw, size, below - 1)));
    Backing { format, size, absolute, writes, backing: next }
}

fn write(draw: &mut Draw, size: u64) -> Write {
    let len = draw.pick([65_536, 512, 4096, 200_000]);
    let offset = match draw.below(3) {
        0 => draw.below(16) * 4096,
        1 => size.saturating_sub(len),
        _ => draw.below(size / 512 + 1) * 512,
    };
    Write { kind: WriteKind::Data, pattern: draw.pattern(), offset, len }
}
