//! Sizes as they stand on a command line.

use instar::{SizeError, parse_request};
use instar_ops::SizeRequest;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Words to begin with.
pub const WORDS: &[&str] = &[
    "0",
    "1",
    "512",
    "+1G",
    "-32M",
    "0x10",
    "0X1f",
    "0x",
    "1.5G",
    ".5k",
    "5.",
    "1.5",
    "1b",
    "10e",
    "16E",
    "8E",
    "+",
    "-",
    "",
    " 7",
    "+ 7",
    "--1",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "0.1E",
    "1KiB",
    "1.00000000000000000000000000000000000000001M",
    "0.999999999999999999999E",
    "1e3",
    "0777",
    "\u{b}3T",
];
/// Digits of a fraction that are looked at: what follows is less than a byte of the largest unit.
const DIGITS: usize = 18;

/// A size is taken if, and only if, it follows the grammar and fits 64 bits, and is what its digits say.
pub fn run(data: &[u8]) {
    let word = OsStr::from_bytes(data);
    let taken = parse_request(word);
    let text = word.to_str();
    let (sign, body) = match text.map(|text| (text.as_bytes().first(), text)) {
        Some((Some(sign @ (b'+' | b'-')), text)) => (*sign, Some(&text[1..])),
        _ => (b' ', text),
    };
    let expected = body.and_then(Reading::of);
    match (taken, expected) {
        (Ok(taken), Some(reading)) => {
            let bytes = match (taken, sign) {
                (SizeRequest::Grow(bytes), b'+') | (SizeRequest::Shrink(bytes), b'-') => bytes,
                (SizeRequest::Absolute(bytes), b' ') => bytes,
                other => panic!("{word:?}: {other:?}"),
            };
            assert!(reading.about(bytes), "{word:?} is {bytes} bytes, and not {reading:?}");
        }
        (Err(SizeError::Syntax { .. }), None) => {}
        (Err(SizeError::OutOfRange { .. }), Some(reading)) => {
            assert!(reading.may_overflow(), "{word:?}: {reading:?}")
        }
        (taken, expected) => panic!("{word:?} is {taken:?}, and not {expected:?}"),
    }
}

/// What a size says, read once more.
#[derive(Debug)]
struct Reading {
    /// Whole bytes, rounded down; none if they are more than 128 bits have, or fewer than none.
    bytes: Option<u128>,
    /// How far a fraction may be off: `qemu-img` computes with 53 bits.
    slack: u128,
}

impl Reading {
    /// `None` for what is no size.
    fn of(text: &str) -> Option<Self> {
        let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
        let is_plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if text.strip_prefix('-').is_some_and(is_plain) {
            // Out of range, as for `qemu-img`; with anything but digits it is no size.
            return Some(Self { bytes: None, slack: 0 });
        }
        let text = text.strip_prefix('+').unwrap_or(text);
        if let Some(("", hex)) = text.split_once("0x").or_else(|| text.split_once("0X")) {
            let fine = !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit());
            return fine.then(|| Self { bytes: u128::from_str_radix(hex, 16).ok(), slack: 0 });
        }
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u128 = match &text[digits.len()..] {
            "" => 1,
            suffix => {
                1 << (10 * "bkmgtpe".find(&suffix.to_ascii_lowercase()).filter(|_| suffix.len() == 1)?)
            }
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.len() + part.len() == 0 || !(whole.bytes().chain(part.bytes())).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let has_part = part.bytes().any(|b| b != b'0');
        if has_part && unit == 1 {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { Some(0) } else { whole.parse::<u128>().ok() };
        let part: u128 = format!("{part:0<DIGITS$}")[..DIGITS].parse().ok()?;
        let part = part * unit / 10_u128.pow(u32::try_from(DIGITS).ok()?);
        let bytes = whole.and_then(|whole| whole.checked_mul(unit)?.checked_add(part));
        Some(Self { bytes, slack: if has_part { (unit >> 52) + 2 } else { 0 } })
    }

    fn about(&self, bytes: u64) -> bool {
        self.bytes.is_some_and(|exact| exact.abs_diff(bytes.into()) <= self.slack)
    }

    fn may_overflow(&self) -> bool {
        self.bytes.is_none_or(|exact| exact.saturating_add(self.slack) > u64::MAX.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_sizes_as_they_are() {
        WORDS.iter().for_each(|word| run(word.as_bytes()));
        for (word, bytes) in [("1.5G", 3 << 29), ("0x10", 16), (".5k", 512), ("7E", 7 << 60)] {
            assert!(Reading::of(word).is_some_and(|reading| reading.about(bytes)), "{word}");
            assert!(!Reading::of(word).is_some_and(|reading| reading.about(bytes + 4096)), "{word}");
        }
        assert!(Reading::of("1.5").is_none() && Reading::of("0x").is_none() && Reading::of("1kk").is_none());
    }
}
