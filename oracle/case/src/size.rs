//! The SIZE word of a resize, read by rules of our own: the part of the grammar that cases use.

/// What a SIZE word asks for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `N`
    Absolute(u64),
    /// `+N`
    Grow(u64),
    /// `-N`
    Shrink(u64),
}

/// log2 of the factor of each suffix; the position in the string times ten.
const SUFFIXES: &str = "bkmgtpe";

/// Reads a SIZE word: an optional sign, decimal digits, an optional fraction before a suffix above `b`, an optional
/// one-letter suffix. `None` is a word that both sides must refuse (or a spelling that no case uses).
pub fn parse(word: &str) -> Option<Asked> {
    if let Some(rest) = word.strip_prefix('+') {
        return magnitude(rest).map(Asked::Grow);
    }
    if let Some(rest) = word.strip_prefix('-') {
        return magnitude(rest).map(Asked::Shrink);
    }
    magnitude(word).map(Asked::Absolute)
}

/// The size that `word` means for an image of `current` bytes. Zero and below is `None`, as is an overflow.
pub fn resolve(word: Asked, current: u64) -> Option<u64> {
    let size = match word {
        Asked::Absolute(size) => Some(size),
        Asked::Grow(by) => current.checked_add(by),
        Asked::Shrink(by) => current.checked_sub(by),
    };
    size.filter(|size| *size > 0)
}

/// Spells `size` with the largest suffix that divides it.
pub fn spell(size: u64) -> String {
    if size == 0 {
        return "0".into();
    }
    let steps = (size.trailing_zeros() / 10).min(6);
    let suffix = ["", "K", "M", "G", "T", "P", "E"].get(steps as usize).copied().unwrap_or("");
    format!("{}{suffix}", size >> (10 * steps))
}

fn magnitude(text: &str) -> Option<u64> {
    let (number, shift) = split_suffix(text)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 18 {
        return None;
    }
    let whole = u128::from(whole.parse::<u64>().ok()?) << shift;
    let fraction = scaled_fraction(fraction, shift)?;
    u64::try_from(whole + fraction).ok()
}

/// The suffix's shift and what is before it.
fn split_suffix(text: &str) -> Option<(&str, u32)> {
    let last = text.chars().last()?;
    if last.is_ascii_digit() || last == '.' {
        return Some((text, 0));
    }
    let place = SUFFIXES.find(last.to_ascii_lowercase())?;
    Some((&text[..text.len() - last.len_utf8()], u32::try_from(place).ok()? * 10))
}

/// A decimal fraction of one unit in bytes, rounded half up; a fraction of a byte is refused unless it is zero.
fn scaled_fraction(fraction: &str, shift: u32) -> Option<u128> {
    let places = u32::try_from(fraction.len()).ok()?;
    let value = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    if shift == 0 && value != 0 {
        return None;
    }
    let ten = 10u128.pow(places);
    Some(((value << shift) + ten / 2) / ten)
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_qemu_img_reads() {
        assert_eq!(parse("1024"), Some(Asked::Absolute(1024)));
        assert_eq!(parse("+2m"), Some(Asked::Grow(2 << 20)));
        assert_eq!(parse("-512K"), Some(Asked::Shrink(512 << 10)));
        assert_eq!(parse("1.5G"), Some(Asked::Absolute(3 << 29)));
        assert_eq!(parse("0.7k"), Some(Asked::Absolute(717)));
        assert_eq!(parse("1.9999k"), Some(Asked::Absolute(2048)));
        assert_eq!(parse("010M"), Some(Asked::Absolute(10 << 20)));
        assert_eq!(parse("2.k"), Some(Asked::Absolute(2048)));
        assert_eq!(parse("1."), Some(Asked::Absolute(1)));
    }

    #[test]
    fn nonsense_is_refused() {
        for word in ["", "+", "-", "12q", "1.5", "1.5b", "1 M", "2MB", "16E", "1_000", "--1", "k"] {
            assert_eq!(parse(word), None, "{word}");
        }
    }

    #[test]
    fn spelling_reads_back() {
        for size in [1, 512, 1000, 1024, 1 << 20, 3 << 29, 5 << 40, 1 << 62, (1 << 40) + 512] {
            assert_eq!(parse(&spell(size)), Some(Asked::Absolute(size)));
        }
    }

    #[test]
    fn nothing_resolves_to_nothing() {
        assert_eq!(resolve(Asked::Shrink(512), 512), None);
        assert_eq!(resolve(Asked::Absolute(0), 512), None);
        assert_eq!(resolve(Asked::Grow(u64::MAX), 512), None);
    }
}
