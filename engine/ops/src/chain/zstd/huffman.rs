//! Huffman-coded literals (RFC 8878, section 4.2).

use super::bits::Backward;
use super::fse;

/// Longest code in bits.
const MAX_BITS: u32 = 11;
/// Largest table of weights (section 4.2.1.2).
const WEIGHTS_LOG: u32 = 6;
/// Most weights that are told; one more follows from them.
const MAX_WEIGHTS: usize = 255;

/// A decoding table: for every beginning of [`Table::bits`] bits a symbol and the length of its code.
#[derive(Debug, Clone)]
pub struct Table {
    entries: [(u8, u8); 1 << MAX_BITS],
    bits: u32,
}

/// The weights of the symbols, in their order.
struct Weights {
    all: [u8; MAX_WEIGHTS + 1],
    count: usize,
}

impl Weights {
    const fn new() -> Self {
        Self { all: [0; MAX_WEIGHTS + 1], count: 0 }
    }

    fn push(&mut self, weight: u8) -> Option<()> {
        *self.all.get_mut(self.count)? = weight;
        self.count = self.count.checked_add(1)?;
        Some(())
    }

    /// Two in a byte, the first one higher.
    fn direct(bytes: &[u8], count: usize) -> Option<Self> {
        let mut weights = Self::new();
        for byte in bytes {
            weights.push(byte >> 4)?;
            weights.push(byte & 15)?;
        }
        weights.count = count;
        Some(weights)
    }

    /// Two states that take turns, until one of them runs out of bits.
    fn compressed(bytes: &[u8]) -> Option<Self> {
        let (table, bytes) = fse::Table::parse(bytes, WEIGHTS_LOG)?;
        let mut stream = Backward::new(bytes)?;
        let (mut now, mut next) = (table.start(&mut stream), table.start(&mut stream));
        let mut weights = Self::new();
        loop {
            if weights.count >= MAX_WEIGHTS {
                return None;
            }
            weights.push(table.symbol(now))?;
            table.advance(&mut now, &mut stream);
            if stream.overrun() {
                weights.push(table.symbol(next))?;
                return Some(weights);
            }
            core::mem::swap(&mut now, &mut next);
        }
    }

    /// Adds the last weight, which makes the sum of all a power of two; its exponent.
    fn complete(&mut self) -> Option<u32> {
        let all = self.all.get(..self.count)?;
        let mut sum = 0_u32;
        for weight in all.iter().filter(|weight| **weight > 0) {
            sum = sum.checked_add(1_u32.checked_shl(u32::from(*weight).checked_sub(1)?)?)?;
        }
        let bits = sum.checked_ilog2()?.checked_add(1).filter(|bits| *bits <= MAX_BITS)?;
        let left = 1_u32.checked_shl(bits)?.checked_sub(sum).filter(|left| left.is_power_of_two())?;
        self.push(u8::try_from(left.checked_ilog2()?.checked_add(1)?).ok()?)?;
        Some(bits)
    }
}

impl Table {
    /// Reads the description of a table; the table and what follows.
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first()?;
        let (mut weights, rest) = match usize::from(*head).checked_sub(127) {
            Some(count) if count > 0 => {
                let (own, rest) = rest.split_at_checked(count.div_ceil(2))?;
                (Weights::direct(own, count)?, rest)
            }
            _ => {
                let (own, rest) = rest.split_at_checked(usize::from(*head))?;
                (Weights::compressed(own)?, rest)
            }
        };
        let bits = weights.complete()?;
        Some((Self::new(&weights, bits)?, rest))
    }

    /// The longest codes come first, and of one length the lowest symbol.
    fn new(weights: &Weights, bits: u32) -> Option<Self> {
        let mut table = Self { entries: [(0, 0); 1 << MAX_BITS], bits };
        let all = weights.all.get(..weights.count)?;
        let mut at = 0_usize;
        for weight in 1..=u8::try_from(bits).ok()?.checked_add(1)? {
            let length = u8::try_from(bits.checked_add(1)?.checked_sub(u32::from(weight))?).ok()?;
            let room = 1_usize.checked_shl(u32::from(weight).checked_sub(1)?)?;
            for (symbol, _) in (0_u8..=255).zip(all).filter(|(_, own)| **own == weight) {
                let end = at.checked_add(room)?;
                table.entries.get_mut(at..end)?.fill((symbol, length));
                at = end;
            }
        }
        (at == 1_usize.checked_shl(bits)?).then_some(table)
    }

    /// Fills `out` from one stream, which must end with it.
    pub fn decode(&self, stream: &[u8], out: &mut [u8]) -> Option<()> {
        let mut stream = Backward::new(stream)?;
        for byte in out {
            let index = usize::try_from(stream.peek(self.bits)).ok()?;
            let (symbol, length) = *self.entries.get(index)?;
            stream.skip(u32::from(length));
            *byte = symbol;
        }
        stream.is_used_up().then_some(())
    }

    /// Fills `out` from four streams, whose lengths stand before them (section 3.1.1.3.1.6).
    pub fn decode_four(&self, bytes: &[u8], out: &mut [u8]) -> Option<()> {
        let (lengths, mut bytes) = bytes.split_first_chunk::<6>()?;
        let quarter = out.len().div_ceil(4);
        let mut out = out;
        for length in lengths.as_chunks::<2>().0 {
            let length = usize::from(u16::from_le_bytes(*length));
            let (stream, rest) = bytes.split_at_checked(length)?;
            let (part, later) = out.split_at_mut_checked(quarter)?;
            self.decode(stream, part)?;
            (bytes, out) = (rest, later);
        }
        self.decode(bytes, out)
    }
}
