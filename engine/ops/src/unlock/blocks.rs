//! Block ciphers by name, and the modes that chain their blocks.

use crate::ImageError;
use aes::cipher::consts::U16;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit, typenum::Unsigned};
use aes::{Aes128, Aes192, Aes256};
use cast5::Cast5;
use instar_formats::luks::{Cipher, Mode};
use serpent::Serpent;
use twofish::Twofish;
use xts_mode::Xts128;

use super::sectors::{SECTOR, Scheme};

/// Bytes of the longest block.
pub const MAX_BLOCK: usize = 16;

/// What makes the initial vector of a sector of its number.
type Vectors<'v> = &'v mut dyn FnMut(u64) -> [u8; MAX_BLOCK];

/// What a cipher must be able to do.
trait Blocks: KeyInit + BlockSizeUser + BlockCipherEncrypt + BlockCipherDecrypt {}

impl<C: KeyInit + BlockSizeUser + BlockCipherEncrypt + BlockCipherDecrypt> Blocks for C {}

/// Calls a generic function with the type of a cipher; `otherwise` for a key that it does not take.
macro_rules! with {
    ($cipher:expr, $key:expr, $function:ident($($argument:expr),*), $otherwise:expr) => {
        match ($cipher, $key.len()) {
            (Cipher::Aes, 16) => $function::<Aes128>($($argument),*),
            (Cipher::Aes, 24) => $function::<Aes192>($($argument),*),
            (Cipher::Aes, 32) => $function::<Aes256>($($argument),*),
            (Cipher::Serpent, 16 | 24 | 32) => $function::<Serpent>($($argument),*),
            (Cipher::Twofish, 16 | 24 | 32) => $function::<Twofish>($($argument),*),
            (Cipher::Cast5, 16) => $function::<Cast5>($($argument),*),
            _ => $otherwise,
        }
    };
    (wide $cipher:expr, $key:expr, $function:ident($($argument:expr),*), $otherwise:expr) => {
        match ($cipher, $key.len()) {
            (Cipher::Aes, 16) => $function::<Aes128>($($argument),*),
            (Cipher::Aes, 24) => $function::<Aes192>($($argument),*),
            (Cipher::Aes, 32) => $function::<Aes256>($($argument),*),
            (Cipher::Serpent, 16 | 24 | 32) => $function::<Serpent>($($argument),*),
            (Cipher::Twofish, 16 | 24 | 32) => $function::<Twofish>($($argument),*),
            _ => $otherwise,
        }
    };
}

/// Encrypts the start of `data`, one block.
pub fn encrypt(cipher: Cipher, key: &[u8], data: &mut [u8; MAX_BLOCK]) {
    with!(cipher, key, encrypt_with(key, data), ());
}

fn encrypt_with<C: Blocks>(key: &[u8], data: &mut [u8; MAX_BLOCK]) {
    let Ok(cipher) = C::new_from_slice(key) else { return };
    let part = data.get_mut(..C::BlockSize::USIZE).unwrap_or_default();
    if let Ok(block) = <&mut Array<u8, C::BlockSize>>::try_from(part) {
        cipher.encrypt_block(block);
    }
}

/// Decrypts whole sectors, numbered from 0.
pub fn sectors(scheme: &Scheme, key: &[u8], data: &mut [u8], vectors: Vectors<'_>) -> Result<(), ImageError> {
    let unfit = ImageError::LuksKeyLen { bytes: key.len() as u64 };
    if scheme.mode == Mode::Xts {
        let (first, second) = key.split_at_checked(key.len() / 2).ok_or(unfit)?;
        return with!(wide scheme.cipher, first, xts((first, second), data, vectors), Err(ImageError::LuksXts));
    }
    with!(scheme.cipher, key, chained(scheme.mode, key, data, vectors), Err(unfit))
}

fn xts<C: Blocks + BlockSizeUser<BlockSize = U16>>(
    (first, second): (&[u8], &[u8]),
    data: &mut [u8],
    vectors: Vectors<'_>,
) -> Result<(), ImageError> {
    let unfit = |_| ImageError::LuksKeyLen { bytes: first.len() as u64 };
    let (first, second) =
        (C::new_from_slice(first).map_err(unfit)?, C::new_from_slice(second).map_err(unfit)?);
    let xts = Xts128::new(first, second);
    for (number, sector) in (0..).zip(data.chunks_exact_mut(SECTOR)) {
        xts.decrypt_sector(sector, Array(vectors(number)));
    }
    Ok(())
}

fn chained<C: Blocks>(
    mode: Mode,
    key: &[u8],
    data: &mut [u8],
    vectors: Vectors<'_>,
) -> Result<(), ImageError> {
    let cipher = C::new_from_slice(key).map_err(|_| ImageError::LuksKeyLen { bytes: key.len() as u64 })?;
    for (number, sector) in (0..).zip(data.chunks_exact_mut(SECTOR)) {
        let mut before = Array::<u8, C::BlockSize>::default();
        for (to, from) in before.iter_mut().zip(vectors(number)) {
            *to = from;
        }
        for piece in sector.chunks_exact_mut(C::BlockSize::USIZE) {
            if let Ok(block) = <&mut Array<u8, C::BlockSize>>::try_from(piece) {
                one(&cipher, mode, &mut before, block);
            }
        }
    }
    Ok(())
}

/// Decrypts one block; `before` is what the mode hands from block to block (NIST SP 800-38A).
fn one<C: Blocks>(
    cipher: &C,
    mode: Mode,
    before: &mut Array<u8, C::BlockSize>,
    block: &mut Array<u8, C::BlockSize>,
) {
    let xor = |to: &mut Array<u8, C::BlockSize>, from: &Array<u8, C::BlockSize>| {
        to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
    };
    match mode {
        Mode::Cbc => {
            let text = block.clone();
            cipher.decrypt_block(block);
            xor(block, before);
            *before = text;
        }
        Mode::Ctr => {
            let mut stream = before.clone();
            cipher.encrypt_block(&mut stream);
            xor(block, &stream);
            count(before);
        }
        Mode::Ecb | Mode::Xts => cipher.decrypt_block(block),
    }
}

/// Adds 1 to a big-endian number.
fn count(number: &mut [u8]) {
    for byte in number.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return;
        }
    }
}
