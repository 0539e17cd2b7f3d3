//! The values of options by their types, and lists of them.

use crate::keyval;
use crate::size;
use std::fmt;

/// The words for on, and those for off.
const WORDS: [(&str, bool); 8] = [
    ("on", true),
    ("off", false),
    ("yes", true),
    ("no", false),
    ("true", true),
    ("false", false),
    ("y", true),
    ("n", false),
];

/// Whether something is on, in the word that said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    word: &'static str,
    /// Whether it is.
    pub is_on: bool,
}

impl Switch {
    /// Off, though nobody said so.
    pub const OFF: Self = Self { word: "off", is_on: false };

    /// What `value` says of the option called `name`.
    ///
    /// # Errors
    /// It is no such word.
    pub fn parse(name: &str, value: &str) -> Result<Self, String> {
        let found = WORDS.into_iter().find(|(word, _)| *word == value);
        let (word, is_on) = found.ok_or_else(|| format!("Parameter '{name}' expects 'on' or 'off'"))?;
        Ok(Self { word, is_on })
    }
}

impl Default for Switch {
    fn default() -> Self {
        Self::OFF
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word)
    }
}

/// A number of bytes.
///
/// # Errors
/// `qemu-img`'s words for what is none.
pub fn bytes(parameter: &'static str, value: &str) -> Result<u64, String> {
    size::parse(parameter, value).map_err(|e| e.to_string())
}

/// A number as C writes one: decimal, or hexadecimal behind `0x`, or octal behind `0`. One below zero is what it is in
/// 64 bits.
///
/// # Errors
/// `qemu-img`'s words for what is none.
pub fn number(name: &str, value: &str) -> Result<u64, String> {
    let (below, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (digits, 10),
    };
    let number = u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'));
    let number = number.ok_or_else(|| format!("Parameter '{name}' expects a number"))?;
    Ok(if below { number.wrapping_neg() } else { number })
}

/// Whether `list` is a list of options.
pub fn is_list(list: &str) -> bool {
    let commas = list.bytes().rev().take_while(|byte| *byte == b',').count();
    !list.is_empty() && !list.starts_with(',') && commas % 2 == 0
}

/// The options of a list, with their values: a name alone switches its option on, with `no` before it off.
pub fn pairs(list: &str) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let pairs = keyval::pieces(list.as_bytes(), false).into_iter().map(|(name, value)| {
        let name = text(name);
        match (value, name.strip_prefix("no")) {
            (Some(value), _) => (name, text(value)),
            (None, Some(name)) => (name.to_owned(), "off".to_owned()),
            (None, None) => (name, "on".to_owned()),
        }
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let all =
            |list: &str| pairs(list).into_iter().map(|(name, value)| name + "=" + &value).collect::<Vec<_>>();
        assert_eq!(all("a=1,b"), ["a=1", "b=on"]);
        assert_eq!(all("a=x,,y,nob,c="), ["a=x,y", "b=off", "c="]);
        assert_eq!(all("a=x,,,b=y=z"), ["a=x,", "b=y=z"]);
        for list in ["", ",", ",a", "a=1,", "a=1,,,", ",,a"] {
            assert!(!is_list(list), "{list}");
        }
        assert!(is_list("a") && is_list("a=1,,"));
    }

    #[test]
    fn numbers() {
        for (text, expected) in
            [("16", 16), ("+16", 16), ("0x10", 16), ("020", 16), ("0", 0), ("-1", u64::MAX)]
        {
            assert_eq!(number("n", text), Ok(expected), "{text}");
        }
        for text in ["", "-", "16x", "1e1", "++1", "0x", "09", "18446744073709551616"] {
            assert_eq!(number("n", text), Err("Parameter 'n' expects a number".to_owned()), "{text}");
        }
    }
}
