//! Text in a buffer of constant size.

/// Text that is being written. What does not fit is dropped, and remembered.
#[derive(Debug)]
pub struct Text<'b> {
    buf: &'b mut [u8],
    len: usize,
    full: bool,
}

impl<'b> Text<'b> {
    /// No text, in this buffer.
    pub const fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, len: 0, full: false }
    }

    /// Adds bytes.
    pub fn put(&mut self, bytes: &[u8]) -> &mut Self {
        let end = self.len.saturating_add(bytes.len());
        match self.buf.get_mut(self.len..end) {
            Some(slot) => {
                slot.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.full = true,
        }
        self
    }

    /// Adds a decimal number of at least `width` digits.
    pub fn number(&mut self, number: u64, width: usize) -> &mut Self {
        self.digits(number, 10, width)
    }

    /// Adds a hexadecimal number.
    pub fn hex(&mut self, number: u64) -> &mut Self {
        self.digits(number, 16, 1)
    }

    fn digits(&mut self, mut number: u64, base: u64, width: usize) -> &mut Self {
        let mut digits = [b'0'; 20];
        let mut used = 0_usize;
        for digit in digits.iter_mut().rev() {
            if number == 0 && used >= width.max(1) {
                break;
            }
            let value = u32::try_from(number.checked_rem(base).unwrap_or(0)).unwrap_or(0);
            *digit = char::from_digit(value, 16).and_then(|c| u8::try_from(c).ok()).unwrap_or(b'0');
            number = number.checked_div(base).unwrap_or(0);
            used = used.saturating_add(1);
        }
        let first = digits.len().saturating_sub(used);
        self.put(digits.get(first..).unwrap_or_default())
    }

    /// The text, if all of it fitted.
    #[must_use]
    pub fn finish(self) -> Option<&'b [u8]> {
        let Self { buf, len, full } = self;
        if full { None } else { buf.get(..len) }
    }
}

/// The lines of a text with their line ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// The decimal number that these digits are.
#[must_use]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    core::str::from_utf8(digits).ok().filter(|s| s.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_digits() {
        let mut buf = [0; 64];
        let mut text = Text::new(&mut buf);
        text.number(0, 1).put(b" ").number(7, 3).put(b" ").number(1024, 3).put(b" ").hex(0x0605_daf8);
        text.put(b" ").number(u64::MAX, 1);
        assert_eq!(text.finish(), Some(&b"0 007 1024 605daf8 18446744073709551615"[..]));
        assert_eq!(Text::new(&mut [0; 2]).put(b"abc").put(b"a").len, 1);
        let mut small = [0; 2];
        let mut text = Text::new(&mut small);
        text.put(b"abc");
        assert_eq!(text.finish(), None);
        assert_eq!((decimal(b"0012"), decimal(b"+1"), decimal(b"")), (Some(12), None, None));
    }
}
