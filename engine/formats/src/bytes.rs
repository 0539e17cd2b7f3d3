//! Words in byte buffers, without panics: a word past the end of a buffer reads as zero
//! and is not written. Callers size their buffers; this only keeps a slip from becoming a crash.

/// The big-endian `u16` at `at`.
#[must_use]
pub fn be16(buf: &[u8], at: usize) -> u16 {
    word(buf, at).map_or(0, u16::from_be_bytes)
}

/// The big-endian `u32` at `at`.
#[must_use]
pub fn be32(buf: &[u8], at: usize) -> u32 {
    word(buf, at).map_or(0, u32::from_be_bytes)
}

/// The big-endian `u64` at `at`.
#[must_use]
pub fn be64(buf: &[u8], at: usize) -> u64 {
    word(buf, at).map_or(0, u64::from_be_bytes)
}

/// The little-endian `u32` at `at`.
#[must_use]
pub fn le32(buf: &[u8], at: usize) -> u32 {
    word(buf, at).map_or(0, u32::from_le_bytes)
}

/// The little-endian `u64` at `at`.
#[must_use]
pub fn le64(buf: &[u8], at: usize) -> u64 {
    word(buf, at).map_or(0, u64::from_le_bytes)
}

/// Writes `value` big-endian at `at`.
pub fn put_be32(buf: &mut [u8], at: usize, value: u32) {
    put(buf, at, &value.to_be_bytes());
}

/// Writes `value` big-endian at `at`.
pub fn put_be64(buf: &mut [u8], at: usize, value: u64) {
    put(buf, at, &value.to_be_bytes());
}

/// Writes `value` little-endian at `at`.
pub fn put_le32(buf: &mut [u8], at: usize, value: u32) {
    put(buf, at, &value.to_le_bytes());
}

/// Writes `value` little-endian at `at`.
pub fn put_le64(buf: &mut [u8], at: usize, value: u64) {
    put(buf, at, &value.to_le_bytes());
}

/// Copies `bytes` to `at`.
pub fn put(buf: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(slot) = buf.get_mut(at..at.saturating_add(bytes.len())) {
        slot.copy_from_slice(bytes);
    }
}

/// Whether every byte is zero, read eight at a time.
#[must_use]
pub fn is_zero(buf: &[u8]) -> bool {
    let (words, rest) = buf.as_chunks::<8>();
    words.iter().all(|w| u64::from_ne_bytes(*w) == 0) && rest.iter().all(|b| *b == 0)
}

/// A byte count as an index; what does not fit is past the end of any buffer.
#[must_use]
pub fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn word<const N: usize>(buf: &[u8], at: usize) -> Option<[u8; N]> {
    buf.get(at..)?.first_chunk::<N>().copied()
}

/// The next multiple of `unit` from `n` on; what has none in 64 bits stays as it is, and is refused by whoever looks where
/// it lies.
#[must_use]
pub const fn round_up(n: u64, unit: u64) -> u64 {
    match n.checked_next_multiple_of(unit) {
        Some(whole) => whole,
        None => n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_big_endian_and_never_out_of_bounds() {
        let buf = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(be16(&buf, 1), 0x0203);
        assert_eq!(be32(&buf, 5), 0x0607_0809);
        assert_eq!(be64(&buf, 1), 0x0203_0405_0607_0809);
        assert_eq!(be64(&buf, 2), 0, "past the end reads as zero");
        assert_eq!((le32(&buf, 5), le64(&buf, 1)), (0x0908_0706, 0x0908_0706_0504_0302));
        assert_eq!(be16(&buf, usize::MAX), 0);
    }

    #[test]
    fn a_word_past_the_end_is_not_written() {
        let mut buf = [0_u8; 5];
        put_be32(&mut buf, 1, 0x0102_0304);
        assert_eq!(buf, [0, 1, 2, 3, 4]);
        put_be32(&mut buf, 2, 0xffff_ffff);
        assert_eq!(buf, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn one_byte_anywhere_is_not_zero() {
        for len in 0..40 {
            let mut buf = [0_u8; 40];
            assert!(is_zero(&buf[..len]));
            for at in 0..len {
                buf[at] = 1;
                assert!(!is_zero(&buf[..len]), "{at} of {len}");
                buf[at] = 0;
            }
        }
    }
}
