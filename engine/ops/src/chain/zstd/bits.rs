//! Streams of bits, forwards and backwards (RFC 8878, sections 4.1 and 4.1.1).

/// Up to eight bytes from byte `at` on, as a little-endian number; zeros where there are none.
fn word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None => rest.iter().rev().fold(0, |word, byte| word.wrapping_shl(8) | u64::from(*byte)),
    }
}

/// The `count` lowest bits of `word`.
const fn low(word: u64, count: u32) -> u64 {
    word & 1_u64.wrapping_shl(count).wrapping_sub(1)
}

/// The whole bytes before bit `bit`, and how many bits of the next one.
fn place(bit: u64) -> (usize, u32) {
    let within = u32::try_from(bit & 7).unwrap_or(0);
    (usize::try_from(bit.wrapping_shr(3)).unwrap_or(usize::MAX), within)
}

/// Reads from the lowest bit of the first byte on.
pub struct Forward<'a> {
    bytes: &'a [u8],
    bit: u64,
}

impl<'a> Forward<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bit: 0 }
    }

    /// The next `count` bits, 32 at most, and moves on by as many. Past the end are zeros.
    pub fn take(&mut self, count: u32) -> u32 {
        let (byte, skip) = place(self.bit);
        self.bit = self.bit.saturating_add(u64::from(count));
        u32::try_from(low(word(self.bytes, byte).wrapping_shr(skip), count)).unwrap_or(0)
    }

    /// Moves back by one bit.
    pub fn back(&mut self) {
        self.bit = self.bit.saturating_sub(1);
    }

    /// The bytes after those that a part was taken of, unless that is more than there are.
    pub fn rest(&self) -> Option<&'a [u8]> {
        let (bytes, part) = place(self.bit);
        self.bytes.get(bytes.saturating_add(usize::from(part != 0))..)
    }
}

/// Reads from the highest bit of the last byte on; the highest one that is set only marks the start.
pub struct Backward<'a> {
    bytes: &'a [u8],
    /// Bits that are left.
    left: u64,
    /// Whether more was taken than there was.
    overrun: bool,
}

impl<'a> Backward<'a> {
    /// `None` if the mark is missing.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (last, whole) = bytes.split_last()?;
        let mark = last.checked_ilog2()?;
        let left = (whole.len() as u64).saturating_mul(8).saturating_add(u64::from(mark));
        Some(Self { bytes, left, overrun: false })
    }

    /// The next `count` bits, 56 at most, the first one highest. Before the start are zeros.
    pub fn peek(&self, count: u32) -> u64 {
        let missing = u64::from(count).saturating_sub(self.left);
        let missing = u32::try_from(missing).unwrap_or(u32::MAX).min(count);
        let (byte, skip) = place(self.left.saturating_sub(u64::from(count)));
        let there = low(word(self.bytes, byte).wrapping_shr(skip), count.wrapping_sub(missing));
        if missing < 64 { there.wrapping_shl(missing) } else { 0 }
    }

    /// Moves on by `count` bits.
    pub const fn skip(&mut self, count: u32) {
        self.overrun |= count as u64 > self.left;
        self.left = self.left.saturating_sub(count as u64);
    }

    /// [`Self::peek`] and [`Self::skip`].
    pub fn take(&mut self, count: u32) -> u64 {
        let bits = self.peek(count);
        self.skip(count);
        bits
    }

    /// Whether more was taken than there was.
    pub const fn overrun(&self) -> bool {
        self.overrun
    }

    /// Whether everything was taken, and no more.
    pub const fn is_used_up(&self) -> bool {
        self.left == 0 && !self.overrun
    }
}
