//! Words in byte buffers, without panics: a word past the end of a buffer reads as zero
//! and is not written. Callers size their buffers; this only keeps a slip from becoming a crash.

/// The big-endian `u16` at `at`.
#[must_use]
#[inline]
pub fn be16(buf: &[u8], at: usize) -> u16 {
    word(buf, at).map_or(0, u16::from_be_bytes)
}

/// The big-endian `u32` at `at`.
#[must_use]
#[inline]
pub fn be32(buf: &[u8], at: usize) -> u32 {
    word(buf, at).map_or(0, u32::from_be_bytes)
}

/// The big-endian `u64` at `at`.
#[must_use]
#[inline]
pub fn be64(buf: &[u8], at: usize) -> u64 {
    word(buf, at).map_or(0, u64::from_be_bytes)
}

/// The little-endian `u32` at `at`.
#[must_use]
#[inline]
pub fn le32(buf: &[u8], at: usize) -> u32 {
    word(buf, at).map_or(0, u32::from_le_bytes)
}

/// The little-endian `u64` at `at`.
#[must_use]
#[inline]
pub fn le64(buf: &[u8], at: usize) -> u64 {
    word(buf, at).map_or(0, u64::from_le_bytes)
}

/// Writes `value` big-endian at `at`.
#[inline]
pub fn put_be32(buf: &mut [u8], at: usize, value: u32) {
    put(buf, at, &value.to_be_bytes());
}

/// Writes `value` big-endian at `at`.
#[inline]
pub fn put_be64(buf: &mut [u8], at: usize, value: u64) {
    put(buf, at, &value.to_be_bytes());
}

/// Writes `value` little-endian at `at`.
#[inline]
pub fn put_le32(buf: &mut [u8], at: usize, value: u32) {
    put(buf, at, &value.to_le_bytes());
}

/// Writes `value` little-endian at `at`.
#[inline]
pub fn put_le64(buf: &mut [u8], at: usize, value: u64) {
    put(buf, at, &value.to_le_bytes());
}

/// Copies `bytes` to `at`.
#[inline]
pub fn put(buf: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(slot) = buf.get_mut(at..at.saturating_add(bytes.len())) {
        slot.copy_from_slice(bytes);
    }
}

/// Whether every byte is zero, read in steps that a processor takes at once.
#[must_use]
#[inline]
pub fn is_zero(buf: &[u8]) -> bool {
    let (steps, rest) = buf.as_chunks::<STEP>();
    steps.iter().all(step_is_zero) && rest.iter().all(|b| *b == 0)
}

/// Bytes that are compared with zero at once.
const STEP: usize = 64;
/// The same in words of 8 bytes.
const STEP_WORDS: usize = STEP / 8;
/// Words of a longer way that is looked over first.
const STRIDE_WORDS: usize = 8 * STEP_WORDS;

#[inline]
fn step_is_zero(step: &[u8; STEP]) -> bool {
    step.iter().fold(0, |any, byte| any | byte) == 0
}

/// The big-endian words from index `from` on that are not zero, each with its index. Tables are mostly zeros, and are only
/// looked over there.
#[inline]
pub fn used_words(words: &[[u8; 8]], from: usize) -> impl Iterator<Item = (usize, u64)> {
    let mut at = from;
    core::iter::from_fn(move || {
        loop {
            let rest = words.get(at..)?;
            let first = rest.first()?;
            if *first != [0; 8] {
                let found = (at, u64::from_be_bytes(*first));
                at = at.saturating_add(1);
                return Some(found);
            }
            at = at.saturating_add(zeros_ahead(rest));
        }
    })
}

/// How many of the words may be passed over, if the first one is zero.
#[inline]
fn zeros_ahead(words: &[[u8; 8]]) -> usize {
    [STRIDE_WORDS, STEP_WORDS]
        .into_iter()
        .find(|len| words.get(..*len).is_some_and(|step| is_zero(step.as_flattened())))
        .unwrap_or(1)
}

/// The last big-endian word that is not zero, with its index.
#[must_use]
pub fn last_used_word(words: &[[u8; 8]]) -> Option<(usize, u64)> {
    let mut rest = words;
    while let Some((before, step)) = rest.split_last_chunk::<STEP_WORDS>() {
        if !is_zero(step.as_flattened()) {
            break;
        }
        rest = before;
    }
    let last = rest.iter().rposition(|word| *word != [0; 8])?;
    Some((last, u64::from_be_bytes(*rest.get(last)?)))
}

/// A byte count as an index; what does not fit is past the end of any buffer.
#[must_use]
#[inline]
pub fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[inline]
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
    fn used_words_are_all_found() {
        for place in 0..140 {
            let mut words = [[0; 8]; 140];
            words[place] = 7_u64.to_be_bytes();
            words[139] = 9_u64.to_be_bytes();
            for from in 0..140 {
                let all = [(place, 7), (139, 9)].into_iter();
                let expected = all.filter(|(at, n)| *at >= from && (*at != 139 || *n == 9));
                assert!(used_words(&words, from).eq(expected), "{place} from {from}");
            }
            let last = (place < 139).then_some((place, 7));
            assert_eq!(last_used_word(&words[..139]), last);
            assert_eq!(last_used_word(&words), Some((139, 9)));
        }
        assert_eq!(last_used_word(&[]), None);
        assert_eq!(used_words(&[[0; 8]; 20], 30).next(), None);
    }

    #[test]
    fn one_byte_anywhere_is_not_zero() {
        for len in 0..140 {
            let mut buf = [0_u8; 140];
            assert!(is_zero(&buf[..len]));
            for at in 0..len {
                buf[at] = 1;
                assert!(!is_zero(&buf[..len]), "{at} of {len}");
                buf[at] = 0;
            }
        }
    }
}
