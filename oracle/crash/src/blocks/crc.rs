//! CRC-32C, which VHDX seals its structures with: eight bytes at a time, as thousands of images are looked at.

/// The polynomial of Castagnoli, its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What eight more bytes make of each value of a byte, for each place of that byte among the eight.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let (mut byte, mut value) = (0, 0_u32);
    while byte < 256 {
        let (mut crc, mut bit) = (value, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
        value += 1;
    }
    let mut place = 1;
    while place < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[place - 1][byte];
            tables[place][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        place += 1;
    }
    tables
}

/// The checksum of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let crc = eights.iter().fold(u32::MAX, |crc, eight| {
        let word = u64::from_le_bytes(*eight) ^ u64::from(crc);
        let bytes = word.to_le_bytes();
        TABLES.iter().rev().zip(bytes).fold(0, |crc, (table, byte)| crc ^ table[usize::from(byte)])
    });
    !rest.iter().fold(crc, |crc, byte| crc >> 8 ^ TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)])
}

/// Whether the 4 bytes at 4 are the checksum of `bytes` with zeros in their place.
pub fn is_sealed(bytes: &[u8]) -> bool {
    let mut plain = bytes.to_vec();
    let Some(place) = plain.get_mut(4..8) else { return false };
    let said = u32::from_le_bytes([place[0], place[1], place[2], place[3]]);
    place.fill(0);
    crc32c(&plain) == said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_and_every_length() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }
}
