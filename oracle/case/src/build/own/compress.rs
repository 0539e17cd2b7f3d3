//! One repeated byte, compressed by hand: a raw deflate stream (RFC 1951) or a zstd frame (RFC 8878).

/// The largest zstd block, in bytes of content.
const ZSTD_BLOCK: u64 = 128 << 10;

/// `len` bytes of value `byte` as a zstd frame of run-length blocks.
pub fn zstd(byte: u8, len: u64) -> Vec<u8> {
    // Magic, then a single-segment frame header with a 4-byte content size.
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    out.extend(u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    let mut left = len;
    while left > 0 {
        let size = left.min(ZSTD_BLOCK);
        left -= size;
        // Bit 0: last block; bits 1-2: type 1 (run length); bits 3-23: size.
        let head = (size << 3) | (1 << 1) | u64::from(left == 0);
        out.extend(&head.to_le_bytes()[..3]);
        out.push(byte);
    }
    out
}

/// `len` bytes of value `byte` as one deflate block with the fixed codes.
pub fn deflate(byte: u8, len: u64) -> Vec<u8> {
    let mut bits = Bits::default();
    // Last block, fixed codes.
    bits.plain(0b011, 3);
    let mut left = len.saturating_sub(1);
    bits.symbol(byte.into());
    while left > 0 {
        // Symbol 285 copies 258 bytes, 264 copies 10; distance code 0 is one byte back.
        let (symbol, count) = match left {
            258.. => (285, 258),
            10.. => (264, 10),
            _ => (byte.into(), 1),
        };
        bits.symbol(symbol);
        if symbol > 256 {
            bits.code(0, 5);
        }
        left -= count;
    }
    bits.symbol(256);
    bits.bytes
}

/// A bit stream, filled from the least significant bit of each byte.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (self.used % 8);
        }
        self.used = (self.used + 1) % 8;
    }

    /// A number, least significant bit first.
    fn plain(&mut self, value: u32, bits: u32) {
        (0..bits).for_each(|place| self.push(value >> place & 1 == 1));
    }

    /// A prefix code, most significant bit first.
    fn code(&mut self, value: u32, bits: u32) {
        (0..bits).rev().for_each(|place| self.push(value >> place & 1 == 1));
    }

    /// A literal or length symbol in its fixed code.
    fn symbol(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0b0011_0000 + symbol, 8),
            144..=255 => self.code(0b1_1001_0000 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0b1100_0000 + symbol - 280, 8),
        }
    }
}
