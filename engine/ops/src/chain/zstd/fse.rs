//! Finite State Entropy tables (RFC 8878, section 4.1).

use super::bits::{Backward, Forward};

/// Entries of the largest table: literal and match lengths, 2^9 (section 3.1.1.3.2.1).
const MAX_ENTRIES: usize = 512;
/// Symbols that a table can have.
const MAX_SYMBOLS: usize = 256;

/// What a state means and how to come to the next one.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    symbol: u8,
    bits: u8,
    base: u16,
}

/// A decoding table.
#[derive(Debug, Clone)]
pub struct Table {
    entries: [Entry; MAX_ENTRIES],
    /// log2 of the entries in use; every state is below.
    log: u32,
}

/// A state of a table.
#[derive(Debug, Clone, Copy)]
pub struct State(u64);

impl Table {
    /// The table that knows `symbol` only and takes no bits.
    pub const fn of_one(symbol: u8) -> Self {
        let mut entries = [Entry { symbol: 0, bits: 0, base: 0 }; MAX_ENTRIES];
        if let Some(first) = entries.first_mut() {
            first.symbol = symbol;
        }
        Self { entries, log: 0 }
    }

    /// The table of these probabilities, -1 for "less than one", which make up 2^`log`.
    pub fn new(probabilities: &[i16], log: u32) -> Option<Self> {
        let mut table = Self { entries: [Entry::default(); MAX_ENTRIES], log };
        let size = 1_usize.checked_shl(log).filter(|size| *size <= MAX_ENTRIES)?;
        let mut next = [0_u32; MAX_SYMBOLS];
        table.spread(probabilities, size, &mut next)?;
        for entry in table.entries.iter_mut().take(size) {
            let count = next.get_mut(usize::from(entry.symbol))?;
            let bits = log.checked_sub(count.checked_ilog2()?)?;
            let base = count.wrapping_shl(bits).checked_sub(u32::try_from(size).ok()?)?;
            (entry.bits, entry.base) = (u8::try_from(bits).ok()?, u16::try_from(base).ok()?);
            *count = count.checked_add(1)?;
        }
        Some(table)
    }

    /// Gives each symbol its entries, and tells in `next` how many there are.
    fn spread(&mut self, probabilities: &[i16], size: usize, next: &mut [u32; MAX_SYMBOLS]) -> Option<()> {
        let mut high = size;
        for (symbol, (next, probability)) in (0_u8..=255).zip(next.iter_mut().zip(probabilities)) {
            *next = u32::from(probability.unsigned_abs());
            if *probability < 0 {
                high = high.checked_sub(1)?;
                self.entries.get_mut(high)?.symbol = symbol;
            }
        }
        let step = (size / 2).checked_add(size / 8)?.checked_add(3)?;
        let mask = size.checked_sub(1)?;
        let mut at = 0;
        for (symbol, probability) in (0_u8..=255).zip(probabilities) {
            for _ in 0..(*probability).max(0) {
                self.entries.get_mut(at)?.symbol = symbol;
                at = at.checked_add(step)? & mask;
                while at >= high {
                    at = at.checked_add(step)? & mask;
                }
            }
        }
        (at == 0).then_some(())
    }

    /// Reads the description of a table that is no larger than 2^`max_log`; the table and what
    /// follows (section 4.1.1).
    pub fn parse(bytes: &[u8], max_log: u32) -> Option<(Self, &[u8])> {
        let mut stream = Forward::new(bytes);
        let log = stream.take(4).checked_add(5)?;
        if log > max_log {
            return None;
        }
        let mut probabilities = [0_i16; MAX_SYMBOLS];
        let mut left = 1_u32.checked_shl(log)?;
        let mut symbol = 0_usize;
        while left > 0 {
            let probability = probability(&mut stream, left)?;
            *probabilities.get_mut(symbol)? = probability;
            left = left.checked_sub(u32::from(probability.unsigned_abs()))?;
            symbol = symbol.checked_add(1)?;
            let mut zeros = if probability == 0 { 3 } else { 0 };
            while zeros == 3 {
                zeros = stream.take(2);
                symbol = symbol.checked_add(usize::try_from(zeros).ok()?)?;
            }
        }
        Some((Self::new(&probabilities, log)?, stream.rest()?))
    }

    /// The first state.
    pub fn start(&self, stream: &mut Backward<'_>) -> State {
        State(stream.take(self.log))
    }

    fn entry(&self, state: State) -> Entry {
        let index = usize::try_from(state.0).unwrap_or(usize::MAX);
        self.entries.get(index).copied().unwrap_or_default()
    }

    /// What a state means.
    pub fn symbol(&self, state: State) -> u8 {
        self.entry(state).symbol
    }

    /// Moves on to the next state.
    pub fn advance(&self, state: &mut State, stream: &mut Backward<'_>) {
        let entry = self.entry(*state);
        let more = stream.take(u32::from(entry.bits));
        *state = State(u64::from(entry.base).saturating_add(more));
    }
}

/// One probability, if `left` of them are not given away yet: small ones take a bit less.
fn probability(stream: &mut Forward<'_>, left: u32) -> Option<i16> {
    let bits = left.checked_add(1)?.checked_ilog2()?.checked_add(1)?;
    let value = stream.take(bits);
    let mask = 1_u32.checked_shl(bits.checked_sub(1)?)?.checked_sub(1)?;
    let short = 1_u32.checked_shl(bits)?.checked_sub(1)?.checked_sub(left.checked_add(1)?)?;
    let value = if value & mask < short {
        stream.back();
        value & mask
    } else if value > mask {
        value.checked_sub(short)?
    } else {
        value
    };
    i16::try_from(value).ok()?.checked_sub(1)
}
