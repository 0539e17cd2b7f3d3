//! Short text of constant size.

/// Up to `N` bytes without a NUL among them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label<const N: usize> {
    bytes: [u8; N],
}

impl<const N: usize> Default for Label<N> {
    fn default() -> Self {
        Self { bytes: [0; N] }
    }
}

impl<const N: usize> Label<N> {
    /// The text of these bytes; `None` if they are too many, or one of them is a NUL.
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Self> {
        let mut new = Self::default();
        new.bytes.get_mut(..text.len())?.copy_from_slice(text);
        (!text.contains(&0)).then_some(new)
    }

    /// The text that ends with the first NUL.
    #[must_use]
    pub const fn from_config(bytes: &[u8; N]) -> Self {
        Self { bytes: *bytes }
    }

    /// Its bytes with zeros behind them.
    #[must_use]
    pub const fn to_config(&self) -> [u8; N] {
        self.bytes
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(N);
        self.bytes.get(..end).unwrap_or_default()
    }
}

impl<const N: usize> core::fmt::Debug for Label<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_an_end() {
        let label = Label::<4>::new(b"abcd").expect("it fits");
        assert_eq!((label.as_bytes(), Label::from_config(&label.to_config())), (&b"abcd"[..], label));
        assert_eq!(Label::<4>::new(b"ab").map(|label| label.to_config()), Some(*b"ab\0\0"));
        assert_eq!((Label::<4>::new(b"abcde"), Label::<4>::new(b"a\0")), (None, None));
        assert!(Label::<4>::default().as_bytes().is_empty());
    }
}
