//! Putting a key together that was split (specification, section "Anti-forensic information splitting").

use super::hashes::{self, MAX_LEN};
use instar_formats::luks::Hash;
use zeroize::Zeroize;

/// Merges the stripes in `material`, each as long as `key`, into `key`.
pub fn merge(hash: Hash, material: &[u8], key: &mut [u8]) {
    key.fill(0);
    let mut stripes = material.chunks_exact(key.len().max(1)).peekable();
    while let Some(stripe) = stripes.next() {
        for (to, from) in key.iter_mut().zip(stripe) {
            *to ^= from;
        }
        if stripes.peek().is_some() {
            diffuse(hash, key);
        }
    }
}

/// Replaces each digest's length of `key` by the digest of its number and itself; the last may be
/// shorter.
fn diffuse(hash: Hash, key: &mut [u8]) {
    let mut digest = [0; MAX_LEN];
    let len = hashes::digest(hash, &[], &mut digest);
    for (number, piece) in (0_u32..).zip(key.chunks_mut(len.max(1))) {
        hashes::digest(hash, &[&number.to_be_bytes(), piece], &mut digest);
        for (to, from) in piece.iter_mut().zip(&digest) {
            *to = *from;
        }
    }
    digest.zeroize();
}
