//! What a guest reads of a cluster, and whether it does.

use std::sync::Arc;

use oracle_case::Extent;

use crate::format::{Header, Place, SUBCLUSTERS};
use crate::image::{Image, to_usize};
use crate::packed::unpack;

/// What one guest cluster that is not all zeros holds.
#[derive(Debug)]
pub enum Bytes {
    /// Runs of a value each, in their order, and zeros between and behind them; up to where something is said.
    Runs(u64, Vec<Run>),
    /// These, then zeros.
    Plain(Vec<u8>),
    /// Sectors of a compressed cluster, or others that hold the same.
    Compressed(Packed),
    /// So many bytes at this place in the image as it was, encrypted: without the key nobody can change them, and they mean nothing
    /// elsewhere.
    Encrypted(Place, u64, Arc<Image>),
}

/// The first byte, one past the last, and what they all are.
pub type Run = (u64, u64, u8);

/// A compressed cluster.
#[derive(Debug)]
pub struct Packed {
    /// The sectors that it was in.
    sectors: Vec<u8>,
    /// What a guest reads of it; none if nobody here can tell, so that the sectors must stay as they are.
    plain: Option<Box<Bytes>>,
    /// Whether a guest reads nothing else in these sectors, up to the end of the cluster.
    is_plain: bool,
}

impl Packed {
    /// The cluster in `sectors`, of which a guest must read `plain`.
    ///
    /// What cannot be unpacked is held to its sectors, unless `may_change` says that somebody may have unpacked it.
    pub fn new(sectors: Vec<u8>, header: &Header, plain: Bytes, may_change: bool) -> Self {
        let unpacked = unpacked(&sectors, header);
        let is_plain = unpacked.as_deref().is_none_or(|bytes| plain.are(bytes, None));
        let plain = (unpacked.is_some() || may_change).then(|| Box::new(plain));
        Self { sectors, plain, is_plain }
    }

    /// Whether the first `len` bytes of what a guest reads in `now` are right.
    fn holds(&self, now: &[u8], len: u64, header: &Header) -> bool {
        if now == self.sectors {
            return self.is_plain || self.plain.as_ref().is_none_or(|plain| len <= plain.len());
        }
        let Some(plain) = &self.plain else { return false };
        unpacked(now, header).is_some_and(|bytes| plain.are(&bytes, Some(len)))
    }
}

/// What the compressed cluster in `sectors` holds, if it can be told.
fn unpacked(sectors: &[u8], header: &Header) -> Option<Vec<u8>> {
    if header.other_packing { None } else { unpack(sectors, to_usize(header.cluster())) }
}

impl Bytes {
    /// Whether only what it is in can hold it.
    pub const fn is_bound(&self) -> bool {
        matches!(self, Self::Compressed(Packed { plain: None, .. }) | Self::Encrypted(..))
    }

    /// Up to where it says something.
    fn len(&self) -> u64 {
        match self {
            Self::Runs(len, _) | Self::Encrypted(_, len, _) => *len,
            Self::Plain(bytes) => bytes.len() as u64,
            Self::Compressed(packed) => packed.plain.as_ref().map_or(0, |plain| plain.len()),
        }
    }

    /// Whether the first `len` of `bytes`, or all of them, are these.
    fn are(&self, bytes: &[u8], len: Option<u64>) -> bool {
        let bytes = &bytes[..len.map_or(bytes.len(), to_usize).min(bytes.len())];
        match self {
            Self::Runs(_, runs) => filled(runs, (0, bytes.len() as u64), |from, to, byte| {
                bytes[to_usize(from)..to_usize(to)].iter().all(|b| *b == byte)
            }),
            Self::Plain(plain) => same(bytes, Some(plain)),
            Self::Compressed(_) | Self::Encrypted(..) => false,
        }
    }
}

/// Whether the first `len` of the encrypted bytes that were at a place are still there.
fn is_kept(image: &Image, (place, len, was): (Place, u64, &Image), now: Place, cluster: u64) -> bool {
    let same = |from: u64, to: u64| image.difference(was, (from, to)).is_none();
    match (place, now) {
        (Place::Host(before), Place::Host(at)) if before == at => same(at, at + len),
        // New subclusters may have been allocated behind them.
        (Place::Subclusters(before, old), Place::Subclusters(at, mask)) => {
            let part = cluster / SUBCLUSTERS;
            let parts = (0..SUBCLUSTERS).filter(|i| old >> i & 1 == 1).map(|i| i * part);
            let kept = |from: u64| from >= len || same(at + from, at + len.min(from + part));
            before == at && old & !mask == 0 && parts.into_iter().all(kept)
        }
        _ => false,
    }
}

/// Whether `is_filled` says of every piece of a range, with its first byte and one past its last, that it has the bytes that `runs`
/// say.
fn filled(runs: &[Run], (start, end): (u64, u64), is_filled: impl Fn(u64, u64, u8) -> bool) -> bool {
    let mut at = start;
    for (from, to, byte) in &runs[runs.partition_point(|(_, to, _)| *to <= start)..] {
        let (from, to) = ((*from).clamp(at, end), (*to).min(end));
        if from >= end {
            break;
        }
        if !(from == at || is_filled(at, from, 0)) || !is_filled(from, to, *byte) {
            return false;
        }
        at = to;
    }
    at >= end || is_filled(at, end, 0)
}

/// What the cluster at `place` holds now, if that is not zeros.
pub fn bytes_at(image: &Image, place: Place, header: &Header) -> Option<Bytes> {
    let cluster = header.cluster();
    let plain = match place {
        Place::Zeros => return None,
        Place::Compressed(start, end) => {
            let sectors = read(image, start, end - start);
            let plain = unpacked(&sectors, header).unwrap_or_default();
            return Some(Bytes::Compressed(Packed::new(sectors, header, Bytes::Plain(plain), false)));
        }
        Place::Host(at) => read(image, at, cluster),
        Place::Subclusters(at, mask) => masked(image, at, mask, cluster),
    };
    plain.iter().any(|b| *b != 0).then_some(Bytes::Plain(plain))
}

/// The cluster at byte `at`, with zeros for all subclusters but those of `mask`.
pub fn masked(image: &Image, at: u64, mask: u64, cluster: u64) -> Vec<u8> {
    let mut bytes = read(image, at, cluster);
    let parts = bytes.chunks_exact_mut(to_usize(cluster / SUBCLUSTERS)).enumerate();
    parts.filter(|(i, _)| mask >> i & 1 == 0).for_each(|(_, part)| part.fill(0));
    bytes
}

pub fn read(image: &Image, offset: u64, len: u64) -> Vec<u8> {
    let mut buf = vec![0; to_usize(len)];
    image.read(offset, &mut buf);
    buf
}

/// What `len` bytes from `offset` on are by the model.
pub fn model(extents: &[Extent], offset: u64, len: u64) -> Bytes {
    let at = |byte: u64| byte.saturating_sub(offset).min(len);
    let runs = extents.iter().map(|e| (at(e.offset), at(e.offset + e.len), e.byte));
    Bytes::Runs(len, runs.filter(|(from, to, _)| from < to).collect())
}

/// Whether the `len` bytes at `place` are what they should be; no expectation means zeros.
pub fn holds(image: &Image, place: Place, len: u64, header: &Header, expected: Option<&Bytes>) -> bool {
    let cluster = header.cluster();
    match (place, expected) {
        (Place::Zeros, expected) => expected.is_none(),
        (now, Some(Bytes::Encrypted(place, len, was))) => is_kept(image, (*place, *len, was), now, cluster),
        (Place::Compressed(start, end), Some(Bytes::Compressed(packed))) => {
            packed.holds(&read(image, start, end - start), len, header)
        }
        (Place::Compressed(start, end), expected) => {
            let zeros = Bytes::Runs(0, Vec::new());
            let plain = unpacked(&read(image, start, end - start), header);
            plain.is_some_and(|bytes| expected.unwrap_or(&zeros).are(&bytes, Some(len)))
        }
        (place, Some(Bytes::Compressed(packed))) => {
            packed.plain.as_ref().is_some_and(|plain| holds(image, place, len, header, Some(plain)))
        }
        (Place::Host(at), None) => image.is_filled(at, len, 0),
        (Place::Host(at), Some(Bytes::Runs(_, runs))) => {
            filled(runs, (0, len), |from, to, byte| image.is_filled(at + from, to - from, byte))
        }
        (Place::Host(at), Some(Bytes::Plain(bytes))) => same(&read(image, at, len), Some(bytes)),
        (Place::Subclusters(at, mask), Some(Bytes::Runs(_, runs))) => {
            let part = cluster / SUBCLUSTERS;
            (0..SUBCLUSTERS).map(|i| (i, i * part, len.min((i + 1) * part))).all(|(i, start, end)| {
                let there = mask >> i & 1 == 1;
                let is_filled = |from: u64, to: u64, byte| match there {
                    true => image.is_filled(at + from, to - from, byte),
                    false => byte == 0,
                };
                start >= end || filled(runs, (start, end), is_filled)
            })
        }
        (Place::Subclusters(at, mask), expected) => {
            let mut bytes = masked(image, at, mask, cluster);
            bytes.truncate(to_usize(len));
            match expected {
                Some(Bytes::Plain(plain)) => same(&bytes, Some(plain)),
                _ => same(&bytes, None),
            }
        }
    }
}

/// Whether `bytes` begin as expected and go on with zeros.
fn same(bytes: &[u8], expected: Option<&Vec<u8>>) -> bool {
    let expected = expected.map_or(&[][..], Vec::as_slice);
    let (begin, rest) = bytes.split_at(expected.len().min(bytes.len()));
    expected.starts_with(begin) && rest.iter().all(|b| *b == 0)
}

#[cfg(test)]
mod tests;
