//! The size grammar of `qemu-img`: `[+|-]SIZE[bkKMGTPE]`, with its fractions and its rounding.
//!
//! A size is decimal digits with an optional fraction and an optional one-letter suffix of either
//! case (powers of 1024), or a hexadecimal integer without a suffix. There is no octal, no exponent
//! and no digit grouping. Blanks and one `+` may come before it, nothing after it.

use crate::message::printable;
use instar_ops::SizeRequest;
use std::ffi::OsStr;

/// The largest size: an image's size is a signed 64-bit byte count everywhere below.
pub const MAX_SIZE: u64 = i64::MAX.cast_unsigned();

/// Why a size is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It does not follow the grammar.
    #[error(
        "Parameter '{parameter}' expects a non-negative number below 2^64\nOptional suffix k, M, G, \
         T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively."
    )]
    Syntax {
        /// What was to be set.
        parameter: &'static str,
    },
    /// It is larger than any image can be.
    #[error("Value '{value}' is out of range for parameter '{parameter}'")]
    OutOfRange {
        /// What was to be set.
        parameter: &'static str,
        /// The size as given.
        value: String,
    },
}

/// Parses a new size: absolute, or relative with a leading sign.
///
/// # Errors
/// [`SizeError`], in the words of `qemu-img`.
pub fn parse_request(word: &OsStr) -> Result<SizeRequest, SizeError> {
    let parameter = "size";
    let word = word.to_str().ok_or(SizeError::Syntax { parameter })?;
    if let Some(rest) = word.strip_prefix('+') {
        return bytes(parameter, rest).map(SizeRequest::Grow);
    }
    if let Some(rest) = word.strip_prefix('-') {
        return bytes(parameter, rest).map(SizeRequest::Shrink);
    }
    bytes(parameter, word).map(SizeRequest::Absolute)
}

/// Parses a size without regard to a leading sign, in bytes, for the named parameter.
///
/// # Errors
/// [`SizeError`]; sizes above [`MAX_SIZE`] are out of range.
pub fn parse(parameter: &'static str, text: &str) -> Result<u64, SizeError> {
    match bytes(parameter, text)? {
        bytes if bytes <= MAX_SIZE => Ok(bytes),
        _ => Err(SizeError::OutOfRange { parameter, value: printable(text) }),
    }
}

/// Parses any 64-bit count of bytes, for the named parameter.
///
/// # Errors
/// [`SizeError`].
pub fn count(parameter: &'static str, text: &str) -> Result<u64, SizeError> {
    bytes(parameter, text)
}

/// The same for any 64-bit count: whether a disk can have that size is for the planner to say.
fn bytes(parameter: &'static str, text: &str) -> Result<u64, SizeError> {
    let blank = |c: char| c.is_ascii_whitespace() || c == '\u{b}';
    let all = text.trim_start_matches(blank);
    let body = all.strip_prefix('+').unwrap_or(all);
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let negative = all.strip_prefix('-').is_some_and(is_number);
    let value = match body.strip_prefix("0x").or_else(|| body.strip_prefix("0X")) {
        Some(hex) => hexadecimal(hex),
        None => decimal(body),
    };
    match value {
        Some(Some(bytes)) => Ok(bytes),
        Some(None) => Err(SizeError::OutOfRange { parameter, value: printable(text) }),
        // A plain number below zero is a number, as for `qemu-img`; with a unit it is not.
        None if negative => Err(SizeError::OutOfRange { parameter, value: printable(text) }),
        None => Err(SizeError::Syntax { parameter }),
    }
}

/// The outer option is syntax, the inner one is overflow.
type Parsed = Option<Option<u64>>;

fn hexadecimal(digits: &str) -> Parsed {
    let fine = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    fine.then(|| u64::from_str_radix(digits, 16).ok())
}

fn decimal(body: &str) -> Parsed {
    let (integer, rest) = split_digits(body);
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(after) => split_digits(after),
        None => ("", rest),
    };
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit = unit(suffix)?;
    let extra = fraction_bytes(fraction, unit)?;
    let whole = match integer {
        "" => Some(0),
        digits => digits.parse::<u64>().ok(),
    };
    Some(whole.and_then(|w| w.checked_mul(unit)?.checked_add(extra)))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

/// Bytes that a suffix stands for.
fn unit(suffix: &str) -> Option<u64> {
    let power = match suffix {
        "" | "b" | "B" => 0,
        "k" | "K" => 1,
        "m" | "M" => 2,
        "g" | "G" => 3,
        "t" | "T" => 4,
        "p" | "P" => 5,
        "e" | "E" => 6,
        _ => return None,
    };
    Some(1 << (10 * power))
}

/// What the digits after the point add, rounded half up to a byte; `None` for a part of a byte.
///
/// The arithmetic is that of a double because `qemu-img`'s is: `0.1E` is 115292150460684704 bytes.
fn fraction_bytes(digits: &str, unit: u64) -> Option<u64> {
    if digits.bytes().all(|b| b == b'0') {
        return Some(0);
    }
    if unit == 1 {
        return None;
    }
    let fraction: f64 = format!("0.{digits}").parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 <= fraction <= 1 and the unit is a power of two up to 2^60"
    )]
    Some((fraction * unit as f64 + 0.5) as u64)
}

#[cfg(test)]
mod tests;
