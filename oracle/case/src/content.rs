//! What a guest sees: a sparse model of an image's content, zero unless said otherwise.

use std::collections::BTreeMap;

use crate::{Write, WriteKind};

/// A run of one byte value other than zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// The value of every byte.
    pub byte: u8,
}

/// The guest-visible content of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    size: u64,
    /// First byte of each extent to (its end, its byte); no two overlap and none is zero.
    extents: BTreeMap<u64, (u64, u8)>,
}

impl Content {
    /// An image of `size` zero bytes.
    pub fn zeros(size: u64) -> Self {
        Self { size, extents: BTreeMap::new() }
    }

    /// Virtual size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// All extents that are not zero, in order, neighbours of one value joined.
    pub fn extents(&self) -> Vec<Extent> {
        let mut out: Vec<Extent> = Vec::new();
        for (&offset, &(end, byte)) in &self.extents {
            match out.last_mut() {
                Some(last) if last.offset + last.len == offset && last.byte == byte => {
                    last.len += end - offset;
                }
                _ => out.push(Extent { offset, len: end - offset, byte }),
            }
        }
        out
    }

    /// Whether any byte of a range is other than zero.
    pub fn has_data(&self, offset: u64, len: u64) -> bool {
        let end = offset.saturating_add(len);
        self.extents.range(..end).next_back().is_some_and(|(_, &(last, _))| last > offset)
    }

    /// Sets a range, cut to the size, to one byte value.
    pub fn fill(&mut self, offset: u64, len: u64, byte: u8) {
        let end = offset.saturating_add(len).min(self.size);
        if offset >= end {
            return;
        }
        self.clear(offset, end);
        if byte != 0 {
            self.extents.insert(offset, (end, byte));
        }
    }

    /// Puts what another disk holds over this one, as far as this one reaches.
    pub fn overlay(&mut self, other: &Self) {
        for Extent { offset, len, byte } in other.extents() {
            self.fill(offset, len, byte);
        }
    }

    /// Applies a guest write. A discard reads as zeros, as it does from every image without a backing file.
    pub fn write(&mut self, write: &Write) {
        let byte = match write.kind {
            WriteKind::Data | WriteKind::Compressed => write.pattern,
            WriteKind::Zero | WriteKind::Unmap | WriteKind::Discard => 0,
        };
        self.fill(write.offset, write.len, byte);
    }

    /// Cuts the image, or extends it with zeros.
    pub fn resize(&mut self, size: u64) {
        if size < self.size {
            self.clear(size, self.size);
        }
        self.size = size;
    }

    /// Copies the content from `offset` on into `buffer`; what lies beyond the end reads as zeros.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = offset.saturating_add(buffer.len() as u64);
        for (&first, &(last, byte)) in self.extents.range(..end) {
            let from = usize::try_from(first.max(offset) - offset).unwrap_or(usize::MAX);
            let to = usize::try_from(last.min(end).saturating_sub(offset)).unwrap_or(0);
            if let Some(part) = buffer.get_mut(from..to) {
                part.fill(byte);
            }
        }
    }

    fn clear(&mut self, offset: u64, end: u64) {
        let touched: Vec<_> = self
            .extents
            .range(..end)
            .rev()
            .take_while(|(_, (last, _))| *last > offset)
            .map(|(&first, &(last, byte))| (first, last, byte))
            .collect();
        for (first, last, byte) in touched {
            self.extents.remove(&first);
            if first < offset {
                self.extents.insert(first, (offset, byte));
            }
            if last > end {
                self.extents.insert(end, (last, byte));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_buffer(
            ops in proptest::collection::vec((0u64..300, 0u64..300, any::<u8>(), any::<bool>()), 0..20)
        ) {
            let mut content = Content::zeros(200);
            let mut plain = vec![0u8; 200];
            for (offset, len, byte, resize) in ops {
                if resize {
                    content.resize(offset);
                    plain.resize(usize::try_from(offset).unwrap(), 0);
                } else {
                    content.fill(offset, len, byte % 3);
                    let end = usize::try_from(offset + len).unwrap().min(plain.len());
                    if let Some(part) = plain.get_mut(usize::try_from(offset).unwrap()..end) {
                        part.fill(byte % 3);
                    }
                }
            }
            let mut read = vec![0xff; plain.len()];
            content.read(0, &mut read);
            prop_assert_eq!(&read, &plain);
            let nonzero: u64 = content.extents().iter().map(|extent| extent.len).sum();
            prop_assert_eq!(nonzero, plain.iter().filter(|byte| **byte != 0).count() as u64);
            prop_assert_eq!(content.has_data(50, 100), plain.iter().skip(50).take(100).any(|byte| *byte != 0));
        }
    }
}
