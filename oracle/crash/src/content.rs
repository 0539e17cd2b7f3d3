//! What a guest must still see, whatever happened to a resize.

use std::collections::HashMap;
use std::sync::Arc;

use oracle_case::Content;

use crate::blocks::Piece;
use crate::bytes::{Bytes, Packed, holds, masked, model, read};
use crate::format::Place;
use crate::image::{Image, to_usize};
use crate::overlay::Overlay;
use crate::walk::Walk;

/// Bytes of an image that a resize has to preserve, by the cases' own model of what was written.
#[derive(Debug)]
pub struct Preserved {
    /// Bytes from the beginning that are known: what lies below both the old and the new size.
    pub len: u64,
    raw: Vec<(u64, u64, u8)>,
    clusters: HashMap<u64, Bytes>,
    /// What is behind it, if that is another disk.
    overlay: Option<Overlay>,
}

impl Preserved {
    /// The first `len` bytes of a raw image with this content.
    #[must_use]
    pub fn raw(content: &Content, len: u64) -> Self {
        let mut raw = Vec::new();
        let mut at = 0;
        for extent in content.extents().into_iter().filter(|e| e.offset < len) {
            let end = (extent.offset + extent.len).min(len);
            raw.extend([(at, extent.offset, 0), (extent.offset, end, extent.byte)]);
            at = end;
        }
        raw.push((at, len, 0));
        Self { len, raw, clusters: HashMap::new(), overlay: None }
    }

    /// The first `len` bytes of the qcow2 image `image`, walked, with this content. What is compressed in a way that is
    /// not read here must stay as it is there, but for the cluster that a shrink ends in, which may be unpacked; everything else is
    /// up to the model.
    #[must_use]
    pub fn qcow2(content: &Content, len: u64, image: &Image, walk: &Walk) -> Self {
        let cluster = walk.header.cluster();
        let mut clusters = HashMap::new();
        if walk.header.encrypted {
            clusters = encrypted(image.data_file().unwrap_or(image), walk, len);
        }
        let extents = content.extents();
        for extent in extents.iter().filter(|e| e.offset < len && !walk.header.encrypted) {
            let end = (extent.offset + extent.len).min(len);
            for guest in extent.offset / cluster..end.div_ceil(cluster) {
                clusters
                    .entry(guest)
                    .or_insert_with(|| model(&extents, guest * cluster, cluster.min(len - guest * cluster)));
            }
        }
        for entry in walk.entries.iter().filter(|entry| entry.guest * cluster < len) {
            if let Place::Compressed(start, end) = entry.place(&walk.header) {
                let ends_in = len - entry.guest * cluster < cluster && len < content.size();
                let at = entry.guest * cluster;
                let plain = model(&extents, at, cluster.min(len - at));
                let packed = Packed::new(read(image, start, end - start), &walk.header, plain, ends_in);
                clusters.insert(entry.guest, Bytes::Compressed(packed));
            }
        }
        let behind = image.beside().content.clone();
        let overlay = behind.map(|behind| Overlay::new(content.clone(), behind));
        Self { len, raw: Vec::new(), clusters, overlay }
    }

    /// What a guest cluster of a qcow2 image holds, if that is not all zeros.
    #[must_use]
    pub fn cluster(&self, guest: u64) -> Option<&Bytes> {
        self.clusters.get(&guest)
    }

    /// Whether a raw image still holds them, and zeros from there to `to`.
    ///
    /// # Errors
    /// Where it does not.
    pub fn check_raw(&self, image: &Image, to: u64) -> Result<(), String> {
        let beyond = (self.len, to.max(self.len), 0);
        let wrong = self
            .raw
            .iter()
            .chain([&beyond])
            .find(|(from, to, byte)| !image.is_filled(*from, to - from, *byte));
        match wrong {
            Some((from, to, byte)) => Err(format!("bytes {from} to {to} are not all {byte}")),
            None => Ok(()),
        }
    }

    /// Whether an image whose disk lies in `pieces` still holds them, and zeros from there to `to`.
    ///
    /// # Errors
    /// Where it does not.
    pub fn check_pieces(&self, image: &Image, pieces: &[Piece], to: u64) -> Result<(), String> {
        let beyond = (self.len, to.max(self.len), 0);
        let mut ranges = self.raw.iter().chain([&beyond]);
        match ranges.find(|(from, to, byte)| !lie_filled(image, pieces, (*from, *to), *byte)) {
            Some((from, to, byte)) => Err(format!("bytes {from} to {to} of the disk are not all {byte}")),
            None => Ok(()),
        }
    }

    /// Whether a walked qcow2 image still holds them, and zeros from there to `to`.
    ///
    /// # Errors
    /// Where it does not.
    pub fn check_qcow2(&self, image: &Image, walk: &Walk, to: u64) -> Result<(), String> {
        let cluster = walk.header.cluster();
        let (mut met, to) = (0, to.max(self.len));
        if let Some(overlay) = &self.overlay {
            return overlay.check(image, walk, self, to);
        }
        let image = image.data_file().unwrap_or(image);
        for entry in walk.entries.iter().filter(|entry| entry.guest.saturating_mul(cluster) < to) {
            let len = cluster.min(to - entry.guest * cluster);
            let expected = self.clusters.get(&entry.guest);
            met += usize::from(expected.is_some());
            if !holds(image, entry.place(&walk.header), len, &walk.header, expected) {
                return Err(format!("guest cluster {} has changed", entry.guest));
            }
        }
        if met == self.clusters.len() { Ok(()) } else { Err(self.lost(walk)) }
    }

    /// Whether a walked qcow2 image has nothing but zeros between its end and that of the cluster that it ends in. What is
    /// compressed may stay so if there were zeros before, as `was_zero` says.
    #[must_use]
    pub fn ends_in_zeros(image: &Image, walk: &Walk, was_zero: bool) -> bool {
        let (cluster, size) = (walk.header.cluster(), walk.header.size);
        let kept = size % cluster;
        let last = walk.entries.iter().find(|entry| kept != 0 && entry.guest == size / cluster);
        match last.map_or(Place::Zeros, |entry| entry.place(&walk.header)) {
            Place::Zeros => true,
            Place::Compressed(..) => was_zero,
            Place::Host(at) => image.is_filled(at + kept, cluster - kept, 0),
            Place::Subclusters(at, mask) => {
                masked(image, at, mask, cluster)[to_usize(kept)..].iter().all(|byte| *byte == 0)
            }
        }
    }

    fn lost(&self, walk: &Walk) -> String {
        let found = |guest: &&u64| walk.entries.iter().any(|entry| entry.guest == **guest);
        let lost = self.clusters.keys().filter(|guest| !found(guest)).min();
        format!("guest cluster {} is gone", lost.copied().unwrap_or_default())
    }
}

/// The first `len` bytes of an encrypted disk, as they are in `file`.
fn encrypted(file: &Image, walk: &Walk, len: u64) -> HashMap<u64, Bytes> {
    let (cluster, was) = (walk.header.cluster(), Arc::new(file.clone()));
    let entries = walk.entries.iter().filter(|entry| entry.guest * cluster < len);
    let held = entries.filter_map(|entry| {
        let place = entry.place(&walk.header);
        let bytes = cluster.min(len - entry.guest * cluster);
        let is_there = matches!(place, Place::Host(_) | Place::Subclusters(..));
        is_there.then(|| (entry.guest, Bytes::Encrypted(place, bytes, Arc::clone(&was))))
    });
    held.collect()
}

/// Whether all bytes of a disk from one offset to another are `byte`.
fn lie_filled(image: &Image, pieces: &[Piece], (from, to): (u64, u64), byte: u8) -> bool {
    let mut at = from;
    for piece in &pieces[pieces.partition_point(|p| p.guest + p.len <= from)..] {
        if piece.guest >= to {
            break;
        }
        let (start, end) = (piece.guest.max(at), (piece.guest + piece.len).min(to));
        let filled =
            |file: &Image| file.is_filled(piece.at + (start - piece.guest), end.saturating_sub(start), byte);
        if start > at && byte != 0 || !image.file(piece.file).is_some_and(filled) {
            return false;
        }
        at = end;
    }
    at >= to || byte == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_disk_ends_in_zeros() {
        let header = crate::format::Header { cluster_bits: 12, size: 6144, ..Default::default() };
        let mut walk = Walk::default();
        walk.header = header;
        let mut image = Image::default();
        image.write(8192, &[7; 2048]);
        let mut ends = |image: &Image, value, was_zero| {
            walk.entries = vec![crate::format::Entry { guest: 1, value, bitmap: 0 }];
            Preserved::ends_in_zeros(image, &walk, was_zero)
        };
        assert!(ends(&image, 8192, false) && ends(&image, 0, false));
        let packed = crate::format::COMPRESSED | 8192;
        assert!(ends(&image, packed, true) && !ends(&image, packed, false));
        image.write(8192 + 4095, &[1]);
        assert!(!ends(&image, 8192, false));
    }
}
