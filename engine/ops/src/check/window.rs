//! Counting references to a part of the host clusters, in the memory there is.

use instar_formats::bytes::used_words;

/// Bytes of a slot: the references counted, then the refcount that the image claims.
const SLOT: usize = 8;
/// A refcount that could not be read. Larger ones than this are as good as one less.
pub(super) const UNREADABLE: u32 = u32::MAX;

/// One cluster's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// How often it was referred to.
    pub references: u32,
    /// What its refcount block says, or [`UNREADABLE`].
    pub refcount: u32,
}

/// The clusters counted in one pass over the metadata.
#[derive(Debug)]
pub(super) struct Window<'s> {
    slots: &'s mut [[u8; SLOT]],
    first: u64,
    next: Option<u64>,
    max: u32,
}

impl<'s> Window<'s> {
    /// A window in `memory` over images of `clusters` clusters whose refcounts are at most `max`. It
    /// takes no more memory than they need: untouched memory costs a guest nothing.
    pub fn new(memory: &'s mut [u8], clusters: u64, max: u64) -> Self {
        let slots = memory.as_chunks_mut().0;
        let len = slots.len().min(usize::try_from(clusters).unwrap_or(usize::MAX));
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        Self { slots: slots.get_mut(..len).unwrap_or_default(), first: 0, next: None, max }
    }

    /// Moves the window to start at cluster `first`, with nothing counted.
    pub fn reset(&mut self, first: u64) {
        self.slots.fill([0; SLOT]);
        (self.first, self.next) = (first, None);
    }

    /// The clusters it covers.
    pub fn range(&self) -> core::ops::Range<u64> {
        self.first..self.first.saturating_add(self.slots.len() as u64)
    }

    /// The first cluster beyond it that was mentioned since the last reset.
    pub const fn next(&self) -> Option<u64> {
        self.next
    }

    /// Notes that `cluster` matters; if it is beyond the window, a later pass will see to it.
    pub fn mention(&mut self, cluster: u64) {
        if cluster >= self.range().end {
            self.next = Some(self.next.map_or(cluster, |next| next.min(cluster)));
        }
    }

    /// Counts a reference to `cluster`, if it is in the window. False if no refcount of this image
    /// could say so many.
    pub fn count(&mut self, cluster: u64) -> bool {
        let Some(mut slot) = self.get(cluster) else {
            return true;
        };
        if slot.references >= self.max {
            return false;
        }
        slot.references = slot.references.saturating_add(1);
        self.put(cluster, slot);
        true
    }

    /// Notes what the image claims.
    pub fn claim(&mut self, cluster: u64, refcount: u32) {
        if let Some(slot) = self.get(cluster) {
            self.put(cluster, Slot { refcount, ..slot });
        }
    }

    /// The numbers of `cluster`, if it is in the window.
    pub fn get(&self, cluster: u64) -> Option<Slot> {
        let index = usize::try_from(cluster.checked_sub(self.first)?).ok()?;
        let &[a, b, c, d, e, f, g, h] = self.slots.get(index)?;
        Some(Slot {
            references: u32::from_ne_bytes([a, b, c, d]),
            refcount: u32::from_ne_bytes([e, f, g, h]),
        })
    }

    /// The first cluster from `from` on of which there is anything to say, and its numbers.
    pub fn next_used(&self, from: u64) -> Option<(u64, Slot)> {
        let first = usize::try_from(from.checked_sub(self.first)?).ok()?;
        let (at, _) = used_words(self.slots, first).next()?;
        let cluster = self.first.saturating_add(at as u64);
        Some((cluster, self.get(cluster)?))
    }

    fn put(&mut self, cluster: u64, slot: Slot) {
        let index = usize::try_from(cluster.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(bytes) = self.slots.get_mut(index) {
            let [a, b, c, d] = slot.references.to_ne_bytes();
            let [e, f, g, h] = slot.refcount.to_ne_bytes();
            *bytes = [a, b, c, d, e, f, g, h];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_only_what_it_covers() {
        let mut memory = [0; 32];
        let mut window = Window::new(&mut memory, 100, 2);
        window.reset(10);
        assert_eq!(window.range(), 10..14);
        assert!(window.count(9) && window.count(14) && window.count(13) && window.count(13));
        assert!(!window.count(13), "no 2-bit refcount says 3");
        window.claim(13, 7);
        assert_eq!(window.get(13), Some(Slot { references: 2, refcount: 7 }));
        assert_eq!((window.get(9), window.get(14)), (None, None));
        assert_eq!(window.next_used(10), Some((13, Slot { references: 2, refcount: 7 })));
        assert_eq!((window.next_used(9), window.next_used(14)), (None, None));
        window.reset(13);
        assert_eq!(window.get(13), Some(Slot { references: 0, refcount: 0 }));
    }

    #[test]
    fn remembers_the_nearest_cluster_beyond() {
        let mut memory = [0; 32];
        let mut window = Window::new(&mut memory, 100, 2);
        window.mention(3);
        assert_eq!(window.next(), None);
        window.mention(9);
        window.mention(5);
        window.mention(7);
        assert_eq!(window.next(), Some(5));
    }
}
