//! Unpacking Zstandard frames (RFC 8878) into memory that is there, without any other.
//!
//! It does what a compressed cluster needs: one frame without a dictionary, unpacked whole. Content
//! checksums are not compared: an image has none of its other bytes checked either.

mod bits;
mod fse;
mod huffman;
mod sequences;

use sequences::{Sequence, Sequences, Tables};

/// The first four bytes of a frame, little-endian (section 3.1.1).
const MAGIC: u32 = 0xfd2f_b528;
/// Most bytes that a block unpacks to (section 3.1.1.2.3), and so most literals of one.
pub const BLOCK_LEN: usize = 128 << 10;

/// What lasts from block to block.
struct Frame<'o> {
    out: &'o mut [u8],
    /// Bytes of `out` that are there.
    done: usize,
    huffman: Option<huffman::Table>,
    tables: Tables,
    /// The last three distances.
    recent: [u64; 3],
}

/// Unpacks the frame at the start of `bytes`, which must fill `out`; `literals` has [`BLOCK_LEN`]
/// bytes. `None` if it is not that.
#[must_use]
pub fn unpack(bytes: &[u8], out: &mut [u8], literals: &mut [u8]) -> Option<()> {
    let (magic, bytes) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*magic) != MAGIC {
        return None;
    }
    let mut bytes = after_header(bytes)?;
    let mut frame = Frame { out, done: 0, huffman: None, tables: Tables::default(), recent: [1, 4, 8] };
    loop {
        let (head, rest) = bytes.split_first_chunk::<3>()?;
        let [a, b, c] = *head;
        let head = u32::from_le_bytes([a, b, c, 0]);
        bytes = frame.block(head >> 1 & 3, usize::try_from(head >> 3).ok()?, rest, literals)?;
        if head & 1 != 0 {
            return (frame.done == frame.out.len()).then_some(());
        }
    }
}

/// What follows the header of a frame (section 3.1.1.1).
fn after_header(bytes: &[u8]) -> Option<&[u8]> {
    const RESERVED: u8 = 1 << 3;
    let (descriptor, rest) = bytes.split_first()?;
    let single = descriptor >> 5 & 1;
    let window = usize::from(single == 0);
    let dictionary = *[0_usize, 1, 2, 4].get(usize::from(descriptor & 3))?;
    let size = *[usize::from(single), 2, 4, 8].get(usize::from(descriptor >> 6))?;
    let id = rest.get(window..window.checked_add(dictionary)?)?;
    if descriptor & RESERVED != 0 || id.iter().any(|byte| *byte != 0) {
        return None;
    }
    rest.get(window.checked_add(dictionary)?.checked_add(size)?..)
}

impl Frame<'_> {
    /// One block (section 3.1.1.2); what follows it.
    fn block<'b>(
        &mut self,
        kind: u32,
        size: usize,
        bytes: &'b [u8],
        literals: &mut [u8],
    ) -> Option<&'b [u8]> {
        if size > BLOCK_LEN {
            return None;
        }
        match kind {
            0 => {
                let (own, rest) = bytes.split_at_checked(size)?;
                self.append(own)?;
                Some(rest)
            }
            1 => {
                let (byte, rest) = bytes.split_first()?;
                self.room(size)?.fill(*byte);
                self.done = self.done.checked_add(size)?;
                Some(rest)
            }
            2 => {
                let (own, rest) = bytes.split_at_checked(size)?;
                self.compressed(own, literals)?;
                Some(rest)
            }
            _ => None,
        }
    }

    /// The next `len` bytes to be filled.
    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        self.out.get_mut(self.done..self.done.checked_add(len)?)
    }

    fn append(&mut self, bytes: &[u8]) -> Option<()> {
        self.room(bytes.len())?.copy_from_slice(bytes);
        self.done = self.done.checked_add(bytes.len())?;
        Some(())
    }

    fn compressed(&mut self, bytes: &[u8], literals: &mut [u8]) -> Option<()> {
        let (len, bytes) = self.literals(bytes, literals)?;
        let mut literals = literals.get(..len)?;
        // The tables stay with the frame; a block only borrows them.
        let mut tables = core::mem::take(&mut self.tables);
        let mut sequences = Sequences::new(bytes, &mut tables)?;
        while let Some(sequence) = sequences.next()? {
            let (own, later) = literals.split_at_checked(sequence.literals)?;
            self.append(own)?;
            self.repeat(&sequence)?;
            literals = later;
        }
        self.tables = tables;
        self.append(literals)
    }

    /// Copies what was unpacked before. It may overlap with what it becomes.
    fn repeat(&mut self, sequence: &Sequence) -> Option<()> {
        let distance = usize::try_from(self.distance(sequence)?).ok()?;
        let from = self.done.checked_sub(distance)?;
        let end = self.done.checked_add(sequence.length)?;
        if end > self.out.len() || distance == 0 {
            return None;
        }
        while self.done < end {
            // All that is there repeats, so that what may be copied at once doubles each time.
            let now = self.done.checked_sub(from)?.min(end.checked_sub(self.done)?);
            self.out.copy_within(from..from.checked_add(now)?, self.done);
            self.done = self.done.checked_add(now)?;
        }
        Some(())
    }

    /// How far back a sequence reaches (section 3.1.1.5).
    fn distance(&mut self, sequence: &Sequence) -> Option<u64> {
        let [first, second, third] = self.recent;
        let shifted = u64::from(sequence.literals == 0);
        self.recent = match (sequence.offset, sequence.offset.checked_add(shifted)?) {
            (4.., _) => [sequence.offset.checked_sub(3)?, first, second],
            (_, 1) => [first, second, third],
            (_, 2) => [second, first, third],
            (_, 3) => [third, first, second],
            _ => [first.checked_sub(1)?, first, second],
        };
        self.recent.first().copied()
    }

    /// The literals of a block (section 3.1.1.3.1): how many there are, and what follows them.
    fn literals<'b>(&mut self, bytes: &'b [u8], out: &mut [u8]) -> Option<(usize, &'b [u8])> {
        let first = *bytes.first()?;
        let (kind, form) = (first & 3, first >> 2 & 3);
        if kind < 2 {
            let (head, skip, len) = match form {
                1 => (2, 4, 12),
                3 => (3, 4, 20),
                _ => (1, 3, 5),
            };
            let len = field(bytes, skip, len)?;
            let out = out.get_mut(..len)?;
            let rest = bytes.get(head..)?;
            if kind == 0 {
                let (own, rest) = rest.split_at_checked(len)?;
                out.copy_from_slice(own);
                return Some((len, rest));
            }
            let (byte, rest) = rest.split_first()?;
            out.fill(*byte);
            return Some((len, rest));
        }
        let (head, bits) = match form {
            0 | 1 => (3, 10),
            2 => (4, 14),
            _ => (5, 18),
        };
        let (len, packed) = (field(bytes, 4, bits)?, field(bytes, bits.checked_add(4)?, bits)?);
        let (own, rest) = bytes.get(head..)?.split_at_checked(packed)?;
        let own = if kind == 2 { self.new_huffman(own)? } else { own };
        let (table, out) = (self.huffman.as_ref()?, out.get_mut(..len)?);
        if form == 0 {
            table.decode(own, out)?
        } else {
            table.decode_four(own, out)?
        }
        Some((len, rest))
    }

    fn new_huffman<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (table, rest) = huffman::Table::parse(bytes)?;
        self.huffman = Some(table);
        Some(rest)
    }
}

/// `len` bits of the little-endian number at the start of `bytes`, after `skip` of them.
fn field(bytes: &[u8], skip: u32, len: u32) -> Option<usize> {
    let mut number = [0; 8];
    for (to, from) in number.iter_mut().zip(bytes).take(5) {
        *to = *from;
    }
    let mask = 1_u64.wrapping_shl(len).wrapping_sub(1);
    usize::try_from(u64::from_le_bytes(number).wrapping_shr(skip) & mask).ok()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
