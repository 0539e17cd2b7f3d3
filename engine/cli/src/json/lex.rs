//! Taking JSON apart into tokens.

use crate::message::printable;

/// A piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// One of `{}[]:,`.
    Mark(char),
    /// A string, quotes included.
    Text(Vec<u8>),
    /// A number.
    Number(String),
    /// A word of small letters.
    Word(String),
    /// What is none of these, up to the byte that shows it.
    Stray(String),
}

/// Bytes that may stand in a string: no control characters, and none that no text has.
const IN_TEXT: std::ops::RangeInclusive<u8> = 0x20..=0xfd;

/// The rest of a text.
pub struct Lexer<'t> {
    rest: &'t [u8],
}

impl<'t> Lexer<'t> {
    /// All of `text`.
    pub const fn new(text: &'t [u8]) -> Self {
        Self { rest: text }
    }

    /// The first `len` bytes, which are no longer a part of the rest.
    fn take(&mut self, len: usize) -> &'t [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn stray(&mut self, len: usize) -> Token {
        Token::Stray(String::from_utf8_lossy(self.take(len)).into_owned())
    }

    fn text(&mut self, quote: u8) -> Token {
        let mut at = 1;
        loop {
            match self.rest.get(at) {
                Some(byte) if *byte == quote => return Token::Text(self.take(at + 1).to_vec()),
                Some(b'\\') if self.rest.get(at + 1).is_some_and(|byte| IN_TEXT.contains(byte)) => at += 2,
                Some(b'\\') => return self.stray(at + 2),
                Some(byte) if IN_TEXT.contains(byte) => at += 1,
                _ => return self.stray(at + 1),
            }
        }
    }

    /// How many digits there are from byte `at` on.
    fn digits(&self, at: usize) -> usize {
        self.rest.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count()
    }

    fn number(&mut self) -> Token {
        let byte = |at: usize, rest: &[u8]| rest.get(at).copied().unwrap_or(0);
        let first = usize::from(byte(0, self.rest) == b'-');
        let whole = self.digits(first);
        // A zero stands alone.
        if whole == 0 || (whole > 1 && byte(first, self.rest) == b'0') {
            return self.stray(first + 1 + usize::from(whole > 1));
        }
        let mut end = first + whole;
        if byte(end, self.rest) == b'.' {
            match self.digits(end + 1) {
                0 => return self.stray(end + 2),
                digits => end += 1 + digits,
            }
        }
        if matches!(byte(end, self.rest), b'e' | b'E') {
            let sign = usize::from(matches!(byte(end + 1, self.rest), b'+' | b'-'));
            match self.digits(end + 1 + sign) {
                0 => return self.stray(end + 2 + sign),
                digits => end += 1 + sign + digits,
            }
        }
        Token::Number(String::from_utf8_lossy(self.take(end)).into_owned())
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        // White space of JSON is less than that of others.
        let white = self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        self.take(white);
        let first = *self.rest.first()?;
        Some(match first {
            b'{' | b'}' | b'[' | b']' | b':' | b',' => {
                self.take(1);
                Token::Mark(char::from(first))
            }
            b'"' | b'\'' => self.text(first),
            b'-' | b'0'..=b'9' => self.number(),
            b'a'..=b'z' => {
                let len = self.rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
                Token::Word(String::from_utf8_lossy(self.take(len)).into_owned())
            }
            _ => self.stray(1),
        })
    }
}

/// What the string `token`, with its quotes, stands for.
///
/// # Errors
/// What is wrong with it.
pub fn unquoted(token: &[u8]) -> Result<String, String> {
    let inner = &token[1..token.len() - 1];
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(&byte) = inner.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let escaped = inner.get(at).copied().unwrap_or(0);
        at += 1;
        match escaped {
            b'"' | b'\'' | b'\\' | b'/' => out.push(escaped),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (c, len) = character(&inner[at..]).ok_or_else(|| {
                    let end = token.len().min(at + 1 + 4);
                    let shown = String::from_utf8_lossy(&token[at - 1..end]).into_owned();
                    format!("{} is not a valid Unicode character", printable(&shown))
                })?;
                out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                at += len;
            }
            _ => return Err("invalid escape sequence in string".to_owned()),
        }
    }
    String::from_utf8(out).map_err(|_| "invalid UTF-8 sequence in string".to_owned())
}

/// The character that follows a `\u`, two halves of one joined, and how many bytes that takes.
fn character(text: &[u8]) -> Option<(char, usize)> {
    let unit = |text: &[u8]| {
        let digits = text.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let first = unit(text)?;
    let (c, len) = match text.get(4..6) {
        Some(b"\\u") if (0xd800..0xdc00).contains(&first) => {
            (char::decode_utf16([first, unit(&text[6..])?]).next()?.ok()?, 10)
        }
        _ => (char::from_u32(u32::from(first))?, 4),
    };
    let reserved = u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    (!reserved).then_some((c, len))
}
