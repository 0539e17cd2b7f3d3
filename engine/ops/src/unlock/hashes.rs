//! Hash functions by name, and PBKDF2 with them (RFC 8018, section 5.2).

use instar_formats::luks::Hash;
use md5::Md5;
use pbkdf2::pbkdf2_hmac;
use ripemd::Ripemd160;
use sha1::Sha1;
use sha2_guest::{Digest, Sha224, Sha256, Sha384, Sha512};
use sm3::Sm3;

/// Bytes of the longest digest.
pub const MAX_LEN: usize = 64;

/// Calls a generic function with the type of a hash.
macro_rules! with {
    ($hash:expr, $function:ident($($argument:expr),*)) => {
        match $hash {
            Hash::Md5 => $function::<Md5>($($argument),*),
            Hash::Sha1 => $function::<Sha1>($($argument),*),
            Hash::Sha224 => $function::<Sha224>($($argument),*),
            Hash::Sha256 => $function::<Sha256>($($argument),*),
            Hash::Sha384 => $function::<Sha384>($($argument),*),
            Hash::Sha512 => $function::<Sha512>($($argument),*),
            Hash::Ripemd160 => $function::<Ripemd160>($($argument),*),
            Hash::Sm3 => $function::<Sm3>($($argument),*),
        }
    };
}

/// Fills `out` with what `rounds` of PBKDF2 make of a password.
pub fn pbkdf2(hash: Hash, password: &[u8], salt: &[u8], rounds: u32, out: &mut [u8]) {
    with!(hash, pbkdf2_hmac(password, salt, rounds, out));
}

/// The digest of `parts`, one after the other, at the start of `out`; its length.
pub fn digest(hash: Hash, parts: &[&[u8]], out: &mut [u8; MAX_LEN]) -> usize {
    with!(hash, digest_with(parts, out))
}

fn digest_with<D: Digest>(parts: &[&[u8]], out: &mut [u8; MAX_LEN]) -> usize {
    let mut hasher = D::new();
    for part in parts {
        hasher.update(part);
    }
    let digest = hasher.finalize();
    for (to, from) in out.iter_mut().zip(&digest) {
        *to = *from;
    }
    digest.len()
}
