//! Formatted text without an allocator.

use core::fmt;

/// Longest text in bytes; what is longer is cut.
const LEN: usize = 1024;

/// A text being written.
#[derive(Debug)]
pub struct Text {
    bytes: [u8; LEN],
    len: usize,
}

impl Text {
    /// `content`, formatted.
    #[must_use]
    pub fn of(content: impl fmt::Display) -> Self {
        let mut text = Self { bytes: [0; LEN], len: 0 };
        // A text that is cut is better than none.
        let _ = fmt::write(&mut text, format_args!("{content}"));
        text
    }

    /// What was written so far; UTF-8 but for a character that was cut.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let len = more.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..len), more.as_bytes().get(..len)) {
            to.copy_from_slice(from);
        }
        self.len += len;
        if len == more.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(Text::of(format_args!("{}-{}", 1, 2)).as_bytes(), b"1-2");
        let long = "x".repeat(LEN + 1);
        assert_eq!(Text::of(&long).as_bytes(), &long.as_bytes()[..LEN]);
    }
}
