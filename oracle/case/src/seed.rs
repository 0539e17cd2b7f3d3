//! From a seed to the bytes that the generator eats.

/// Bytes that one seed gives the generator.
pub const BYTES: usize = 768;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, well spread, and the same for ever.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }
}

/// The bytes of a seed.
pub fn bytes(seed: u64) -> [u8; BYTES] {
    bytes_of(seed, 0)
}

/// Other bytes of a seed for every `attempt`; the first are [`bytes`].
pub fn bytes_of(seed: u64, attempt: u64) -> [u8; BYTES] {
    /// Odd and large: no two attempts of neighbouring seeds begin alike.
    const STRIDE: u64 = 0xd134_2543_de82_ef95;
    let mut out = [0; BYTES];
    let mut rng = SplitMix64::new(seed ^ attempt.wrapping_mul(STRIDE));
    for chunk in out.chunks_exact_mut(8) {
        chunk.copy_from_slice(&rng.next_u64().to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published first outputs for seed 1234567.
    #[test]
    fn the_reference_sequence() {
        let mut rng = SplitMix64::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
        assert_eq!(rng.next_u64(), 9_817_491_932_198_370_423);
    }
}
