//! Choices drawn from bytes. They never fail: when the bytes run dry every choice is the first one.

use arbitrary::Unstructured;

/// A source of choices.
pub struct Draw<'a, 'b>(&'b mut Unstructured<'a>);

impl<'a, 'b> Draw<'a, 'b> {
    /// Draws from `bytes`.
    pub fn new(bytes: &'b mut Unstructured<'a>) -> Self {
        Self(bytes)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.int_in_range(0..=bound.saturating_sub(1)).unwrap_or(0)
    }

    /// True `n` times in 256, never for a zero byte.
    pub fn rarely(&mut self, n: u8) -> bool {
        self.0.arbitrary::<u8>().unwrap_or(0) > u8::MAX - n
    }

    /// One of `choices`, the first one for zero bytes.
    ///
    /// # Panics
    /// When there is no choice.
    pub fn pick<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        const { assert!(N > 0) };
        let place = self.below(N as u64);
        choices[usize::try_from(place).unwrap_or(0)]
    }

    /// A byte other than zero.
    pub fn pattern(&mut self) -> u8 {
        u8::try_from(1 + self.below(255)).unwrap_or(1)
    }

    /// `base`, moved a little: by nothing, a sector, a cluster or half of one.
    pub fn near(&mut self, base: u64, cluster: u64) -> u64 {
        match self.below(8) {
            0..=2 => base,
            3 => base.saturating_add(512),
            4 => base.saturating_sub(512),
            5 => base.saturating_add(cluster),
            6 => base.saturating_sub(cluster),
            _ => base.saturating_add(cluster / 2),
        }
    }
}
