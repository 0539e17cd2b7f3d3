//! Sequences: literals to take, and how far back and how long to repeat (RFC 8878, section 3.1.1.3.2).

use super::bits::Backward;
use super::fse::{State, Table};

/// Predefined probabilities (section 3.1.1.3.2.2).
const LITERAL_LENGTHS: [i16; 36] = [
    4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1,
    -1, -1,
];
const MATCH_LENGTHS: [i16; 53] = [
    1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
];
const OFFSETS: [i16; 29] =
    [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1];

/// Bits that follow a code of literal lengths from 16 on, and of match lengths from 32 on
/// (section 3.1.1.3.2.1.1).
const LITERAL_BITS: [u8; 20] = [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const MATCH_BITS: [u8; 21] = [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
/// Shortest match.
const LEAST_MATCH: usize = 3;
/// Largest code of an offset that is read: more than any cluster is far.
const MAX_OFFSET_CODE: u8 = 31;

/// The three tables, which a block may take over from the one before it.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    literals: Option<Table>,
    offsets: Option<Table>,
    matches: Option<Table>,
}

/// How a table is told: the predefined probabilities with their log2, and the largest log2.
struct Kind<'a> {
    predefined: (&'a [i16], u32),
    max_log: u32,
}

const LITERAL_KIND: Kind<'_> = Kind { predefined: (&LITERAL_LENGTHS, 6), max_log: 9 };
const OFFSET_KIND: Kind<'_> = Kind { predefined: (&OFFSETS, 5), max_log: 8 };
const MATCH_KIND: Kind<'_> = Kind { predefined: (&MATCH_LENGTHS, 6), max_log: 9 };

impl Kind<'_> {
    /// Reads a table told as `mode` says; what follows it.
    fn read<'b>(&self, table: &mut Option<Table>, mode: u8, bytes: &'b [u8]) -> Option<&'b [u8]> {
        match mode {
            0 => {
                *table = Some(Table::new(self.predefined.0, self.predefined.1)?);
                Some(bytes)
            }
            1 => {
                let (symbol, rest) = bytes.split_first()?;
                *table = Some(Table::of_one(*symbol));
                Some(rest)
            }
            2 => {
                let (own, rest) = Table::parse(bytes, self.max_log)?;
                *table = Some(own);
                Some(rest)
            }
            _ => table.is_some().then_some(bytes),
        }
    }
}

/// A sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// Literals to take.
    pub literals: usize,
    /// How far back, or a number of a repeated distance (1 to 3).
    pub offset: u64,
    /// How many bytes to repeat.
    pub length: usize,
}

/// The sequences of a block, one by one.
pub struct Sequences<'a> {
    tables: &'a Tables,
    states: Option<(State, State, State)>,
    stream: Option<Backward<'a>>,
    left: u32,
}

/// The number of sequences, and what follows it.
fn count(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let first = u32::from(*first);
    if first < 128 {
        return Some((first, rest));
    }
    let (second, rest) = rest.split_first()?;
    let second = u32::from(*second);
    if first < 255 {
        return Some(((first & 127).wrapping_shl(8) | second, rest));
    }
    let (third, rest) = rest.split_first()?;
    Some((second.wrapping_add(u32::from(*third).wrapping_shl(8)).wrapping_add(0x7f00), rest))
}

impl<'a> Sequences<'a> {
    /// Reads what stands before the sequences.
    pub fn new(bytes: &'a [u8], tables: &'a mut Tables) -> Option<Self> {
        let (left, bytes) = count(bytes)?;
        if left == 0 {
            return bytes.is_empty().then_some(Self { tables, states: None, stream: None, left });
        }
        let (modes, bytes) = bytes.split_first()?;
        if modes & 3 != 0 {
            return None;
        }
        let bytes = LITERAL_KIND.read(&mut tables.literals, modes >> 6, bytes)?;
        let bytes = OFFSET_KIND.read(&mut tables.offsets, modes >> 4 & 3, bytes)?;
        let bytes = MATCH_KIND.read(&mut tables.matches, modes >> 2 & 3, bytes)?;
        let tables = &*tables;
        let mut stream = Backward::new(bytes)?;
        let literals = tables.literals.as_ref()?.start(&mut stream);
        let offsets = tables.offsets.as_ref()?.start(&mut stream);
        let matches = tables.matches.as_ref()?.start(&mut stream);
        Some(Self { tables, states: Some((literals, offsets, matches)), stream: Some(stream), left })
    }

    /// The next sequence; the inner `None` after the last, the outer one if there cannot be any such.
    pub fn next(&mut self) -> Option<Option<Sequence>> {
        let Some(left) = self.left.checked_sub(1) else {
            let done = self.stream.as_ref().is_none_or(Backward::is_used_up);
            return done.then_some(None);
        };
        self.left = left;
        let (stream, (literals, offsets, matches)) = (self.stream.as_mut()?, self.states.as_mut()?);
        let of_literals = self.tables.literals.as_ref()?;
        let of_offsets = self.tables.offsets.as_ref()?;
        let of_matches = self.tables.matches.as_ref()?;
        let offset = offset(of_offsets.symbol(*offsets), stream)?;
        let length = length(of_matches.symbol(*matches), 32, &MATCH_BITS, stream)?;
        let taken = length_of_literals(of_literals.symbol(*literals), stream)?;
        if left > 0 {
            of_literals.advance(literals, stream);
            of_matches.advance(matches, stream);
            of_offsets.advance(offsets, stream);
        }
        let length = length.checked_add(LEAST_MATCH)?;
        (!stream.overrun()).then_some(Some(Sequence { literals: taken, offset, length }))
    }
}

fn length_of_literals(code: u8, stream: &mut Backward<'_>) -> Option<usize> {
    length(code, 16, &LITERAL_BITS, stream)
}

fn offset(code: u8, stream: &mut Backward<'_>) -> Option<u64> {
    let bits = u32::from(code);
    (code <= MAX_OFFSET_CODE).then(|| 1_u64.wrapping_shl(bits).saturating_add(stream.take(bits)))
}

/// Codes below `plain` are lengths; each later one begins where the one before it ends.
fn length(code: u8, plain: u8, bits: &[u8], stream: &mut Backward<'_>) -> Option<usize> {
    let Some(index) = code.checked_sub(plain) else {
        return Some(usize::from(code));
    };
    let own = u32::from(*bits.get(usize::from(index))?);
    let before = bits.get(..usize::from(index))?.iter();
    let base: u64 = before.map(|bits| 1_u64.wrapping_shl(u32::from(*bits))).sum();
    let base = base.saturating_add(u64::from(plain));
    usize::try_from(base.saturating_add(stream.take(own))).ok()
}
