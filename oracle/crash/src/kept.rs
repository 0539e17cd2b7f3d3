//! What a resize must leave as it is besides the disk: internal snapshots, and what persistent bitmaps say.

use std::collections::HashMap;

use crate::bytes::{Bytes, bytes_at, holds};
use crate::image::Image;
use crate::parts::{Bitmap, Run, Snapshot};
use crate::walk::Walk;

/// Snapshots and bitmaps as they were.
#[derive(Debug, Default)]
pub struct Kept {
    /// The disk's size in bytes.
    size: u64,
    snapshots: Vec<Disk>,
    bitmaps: Vec<Bits>,
}

/// A snapshot: its table entry and the clusters of its disk that are not zeros.
#[derive(Debug)]
struct Disk {
    about: Vec<u8>,
    clusters: HashMap<u64, Bytes>,
}

/// A bitmap: its directory entry and the bits that are set.
#[derive(Debug)]
struct Bits {
    about: Vec<u8>,
    set: Vec<Run>,
}

impl Kept {
    /// What `image` has, as it was walked.
    #[must_use]
    pub fn of(image: &Image, walk: &Walk) -> Self {
        let (cluster, size) = (walk.header.cluster(), walk.header.size);
        let disk = |snapshot: &Snapshot| {
            let held = |e: &crate::format::Entry| {
                Some((e.guest, bytes_at(image, e.place(&walk.header), &walk.header)?))
            };
            Disk {
                about: snapshot.about.clone(),
                clusters: snapshot.entries.iter().filter_map(held).collect(),
            }
        };
        let bits = |bitmap: &Bitmap| Bits {
            about: bitmap.about.clone(),
            set: bitmap.set(image, cluster, bitmap.bits(size)),
        };
        Self {
            size,
            snapshots: walk.snapshots.iter().map(disk).collect(),
            bitmaps: walk.bitmaps.iter().map(bits).collect(),
        }
    }

    /// Whether every snapshot of a walked image is what it was, and every bitmap either says what it said, of what both
    /// this disk and one of `new` bytes have, and nothing of what is new, or is flagged as in use.
    ///
    /// # Errors
    /// What is not.
    pub fn check(&self, image: &Image, walk: &Walk, new: u64) -> Result<(), String> {
        let counts = [walk.snapshots.len(), walk.bitmaps.len()];
        if counts != [self.snapshots.len(), self.bitmaps.len()] {
            return Err(format!("{counts:?} snapshots and bitmaps are left"));
        }
        for (i, (old, now)) in self.snapshots.iter().zip(&walk.snapshots).enumerate() {
            old.check(image, walk, now).map_err(|what| format!("snapshot {i}: {what}"))?;
        }
        let size = walk.header.size;
        let kept = if size == self.size { size } else { self.size.min(new) };
        for (i, (old, now)) in self.bitmaps.iter().zip(&walk.bitmaps).enumerate() {
            if !now.in_use {
                old.check(image, walk, now, kept).map_err(|what| format!("bitmap {i}: {what}"))?;
            }
        }
        Ok(())
    }
}

impl Disk {
    fn check(&self, image: &Image, walk: &Walk, now: &Snapshot) -> Result<(), String> {
        if self.about != now.about {
            return Err("another entry in the table".into());
        }
        let (cluster, mut met) = (walk.header.cluster(), 0);
        for entry in &now.entries {
            let expected = self.clusters.get(&entry.guest);
            met += usize::from(expected.is_some());
            if !holds(image, entry.place(&walk.header), cluster, &walk.header, expected) {
                return Err(format!("guest cluster {} has changed", entry.guest));
            }
        }
        if met == self.clusters.len() { Ok(()) } else { Err("a guest cluster is gone".into()) }
    }
}

impl Bits {
    fn check(&self, image: &Image, walk: &Walk, now: &Bitmap, kept: u64) -> Result<(), String> {
        let (cluster, size) = (walk.header.cluster(), walk.header.size);
        if self.about != now.about {
            return Err("another entry in the directory".into());
        }
        if !now.fits(size, cluster) {
            return Err(format!("its table is not one for {size} bytes"));
        }
        let end = now.bits(kept);
        let expected =
            self.set.iter().map(|(from, to)| (*from, (*to).min(end))).filter(|(from, to)| from < to);
        if expected.eq(now.set(image, cluster, now.bits(size))) {
            Ok(())
        } else {
            Err("it has other bits, and is not flagged as in use".into())
        }
    }
}
