//! CRC-32C, the Castagnoli polynomial ("Checksums").

/// The polynomial, its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0_u32;
    while i < 256 {
        let (mut crc, mut bit) = (i, 0);
        while bit < 8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ POLYNOMIAL };
            bit += 1;
        }
        table[i as usize] = crc;
        i += 1;
    }
    table
}

/// A checksum in the making.
#[derive(Debug, Clone, Copy)]
pub struct Crc32c(u32);

impl Crc32c {
    /// Of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(u32::MAX)
    }

    /// With more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [low, ..] = self.0.to_le_bytes();
            let with = TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default();
            self.0 = self.0 >> 8 ^ with;
        }
    }

    /// The checksum.
    #[must_use]
    pub const fn finish(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

/// The checksum of a structure that holds it itself, in the four bytes from 4 on: they count as zeros.
#[must_use]
pub fn crc32c(structure: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(structure.get(..4).unwrap_or(structure));
    crc.update(&[0; 4]);
    crc.update(structure.get(8..).unwrap_or_default());
    crc.finish()
}
