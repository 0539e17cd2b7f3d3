//! What a guest sees of an overlay: its own clusters, and between them the disk behind it.

use std::collections::{BTreeMap, BTreeSet};

use oracle_case::Content;

use crate::bytes::{Bytes, holds};
use crate::content::Preserved;
use crate::format::{COMPRESSED, Entry, Header, OFFSET, Place, SUBCLUSTERS, ZERO};
use crate::image::{Image, to_usize};
use crate::walk::Walk;

/// An overlay as it should be.
#[derive(Debug)]
pub struct Overlay {
    /// What a guest sees of it.
    content: Content,
    /// What a guest sees of the disk behind it.
    behind: Content,
}

impl Overlay {
    /// An overlay that holds `content` over `behind`.
    #[must_use]
    pub const fn new(content: Content, behind: Content) -> Self {
        Self { content, behind }
    }

    /// Whether a walked image holds the bytes that are `preserved`, and zeros from there to `to`.
    ///
    /// # Errors
    /// Where it does not.
    pub fn check(&self, image: &Image, walk: &Walk, preserved: &Preserved, to: u64) -> Result<(), String> {
        let (cluster, image) = (walk.header.cluster(), image.data_file().unwrap_or(image));
        let entries: BTreeMap<u64, &Entry> = walk.entries.iter().map(|entry| (entry.guest, entry)).collect();
        let mut guests: BTreeSet<u64> = entries.keys().copied().collect();
        for extent in [&self.content, &self.behind].into_iter().flat_map(Content::extents) {
            let end = (extent.offset + extent.len).min(to);
            guests.extend(extent.offset / cluster..end.div_ceil(cluster));
        }
        for guest in guests.range(..to.div_ceil(cluster)) {
            let entry = entries.get(guest).copied();
            if !self.is_right(image, &walk.header, (*guest, entry), preserved, to) {
                return Err(format!("guest cluster {guest} has changed"));
            }
        }
        Ok(())
    }

    fn is_right(
        &self,
        image: &Image,
        header: &Header,
        (guest, entry): (u64, Option<&Entry>),
        preserved: &Preserved,
        to: u64,
    ) -> bool {
        let (cluster, start) = (header.cluster(), guest * header.cluster());
        let expected = preserved.cluster(guest);
        let is_packed = entry.is_some_and(|entry| entry.value & COMPRESSED != 0);
        if is_packed || expected.is_some_and(Bytes::is_bound) {
            let place = entry.map_or(Place::Zeros, |entry| entry.place(header));
            return holds(image, place, cluster.min(to - start), header, expected);
        }
        let mut want = vec![0; to_usize(cluster)];
        self.content.read(start, &mut want);
        want.truncate(to_usize(to - start).min(to_usize(cluster)));
        want.iter_mut().skip(to_usize(preserved.len.saturating_sub(start))).for_each(|byte| *byte = 0);
        let got = self.bytes(image, header, guest, entry);
        got.starts_with(&want)
    }

    /// What a guest reads where nothing is compressed.
    fn bytes(&self, image: &Image, header: &Header, guest: u64, entry: Option<&Entry>) -> Vec<u8> {
        let mut bytes = vec![0; to_usize(header.cluster())];
        self.behind.read(guest * header.cluster(), &mut bytes);
        let Some(entry) = entry else { return bytes };
        let host = entry.value & OFFSET;
        if !header.extended() {
            if entry.value & ZERO != 0 {
                bytes.fill(0);
            } else if entry.place(header) != Place::Zeros {
                image.read(host, &mut bytes);
            }
            return bytes;
        }
        let size = to_usize(header.cluster() / SUBCLUSTERS);
        for ((nth, part), at) in (0..).zip(bytes.chunks_exact_mut(size)).zip((host..).step_by(size)) {
            if entry.bitmap >> nth & 1 != 0 {
                image.read(at, part);
            } else if entry.bitmap >> (nth + SUBCLUSTERS) & 1 != 0 {
                part.fill(0);
            }
        }
        bytes
    }
}
