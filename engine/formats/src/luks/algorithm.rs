//! What a LUKS header calls its algorithms, and what `qemu-img` calls them.

use crate::ImageError;

/// A block cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES, keys of 16, 24 or 32 bytes.
    Aes,
    /// Serpent, the same.
    Serpent,
    /// Twofish, the same.
    Twofish,
    /// CAST-128, keys of 16 bytes, blocks of 8.
    Cast5,
}

/// How the blocks of a sector hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They do not.
    Ecb,
    /// Cipher block chaining.
    Cbc,
    /// IEEE 1619, with half of the key for the tweak.
    Xts,
    /// Counter.
    Ctr,
}

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// RIPEMD-160.
    Ripemd160,
    /// SM3.
    Sm3,
}

/// What makes a sector's initial vector of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IvGen {
    /// The number, 32 bits.
    Plain,
    /// The number, 64 bits.
    Plain64,
    /// The number, encrypted with the hash of the key.
    Essiv(Hash),
}

/// All hash functions, in the order of their numbers on the wire, which begin with 1.
const HASHES: [(Hash, &str); 8] = [
    (Hash::Md5, "md5"),
    (Hash::Sha1, "sha1"),
    (Hash::Sha224, "sha224"),
    (Hash::Sha256, "sha256"),
    (Hash::Sha384, "sha384"),
    (Hash::Sha512, "sha512"),
    (Hash::Ripemd160, "ripemd160"),
    (Hash::Sm3, "sm3"),
];
/// All block ciphers, likewise.
const CIPHERS: [(Cipher, &str); 4] = [
    (Cipher::Aes, "aes"),
    (Cipher::Serpent, "serpent"),
    (Cipher::Twofish, "twofish"),
    (Cipher::Cast5, "cast5"),
];
/// All modes, likewise.
const MODES: [(Mode, &str); 4] =
    [(Mode::Ecb, "ecb"), (Mode::Cbc, "cbc"), (Mode::Xts, "xts"), (Mode::Ctr, "ctr")];

/// The value that `name` names in `table`.
fn named<T: Copy>(table: &[(T, &str)], name: &[u8]) -> Result<T, ImageError> {
    let found = table.iter().find(|(_, known)| known.as_bytes() == name);
    found.map(|(value, _)| *value).ok_or_else(|| unknown(name))
}

/// The refusal of `name`, with as much of it as the refusal holds.
fn unknown(name: &[u8]) -> ImageError {
    let mut words = [[0; 8]; 2];
    for (to, from) in words.as_flattened_mut().iter_mut().zip(name) {
        *to = *from;
    }
    let [first, second] = words;
    ImageError::LuksAlgorithm { name: u64::from_be_bytes(first), more: u64::from_be_bytes(second) }
}

macro_rules! table {
    ($type:ident, $table:ident) => {
        impl $type {
            /// Its name in a header and in `qemu-img`.
            #[must_use]
            pub fn name(self) -> &'static str {
                $table.iter().find(|(value, _)| *value == self).map_or("", |(_, name)| name)
            }

            /// Its number on the wire, from 1.
            #[must_use]
            pub fn number(self) -> u32 {
                (1..).zip($table).find(|(_, (value, _))| *value == self).map_or(0, |(number, _)| number)
            }

            /// The inverse of [`Self::number`].
            #[must_use]
            pub fn from_number(number: u32) -> Option<Self> {
                (1..).zip($table).find(|(n, _)| *n == number).map(|(_, (value, _))| value)
            }

            /// What a header calls `name`.
            ///
            /// # Errors
            /// [`ImageError::LuksAlgorithm`] for a name that nobody here knows.
            pub fn parse(name: &[u8]) -> Result<Self, ImageError> {
                named(&$table, name)
            }
        }
    };
}

table!(Cipher, CIPHERS);
table!(Mode, MODES);
table!(Hash, HASHES);

impl Cipher {
    /// Whether there is a key of so many bytes.
    #[must_use]
    pub const fn takes_key(self, len: usize) -> bool {
        match self {
            Self::Cast5 => len == 16,
            Self::Aes | Self::Serpent | Self::Twofish => matches!(len, 16 | 24 | 32),
        }
    }
}

impl IvGen {
    /// Its name, without its hash.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Plain64 => "plain64",
            Self::Essiv(_) => "essiv",
        }
    }

    /// Its hash, if it has one.
    #[must_use]
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::Essiv(hash) => Some(hash),
            Self::Plain | Self::Plain64 => None,
        }
    }
}

/// The mode and the generator that a header's cipher mode, `MODE-GENERATOR[:HASH]`, names.
///
/// # Errors
/// [`ImageError`]: it is of another form, or names what nobody here knows.
pub fn parse_mode(text: &[u8]) -> Result<(Mode, IvGen), ImageError> {
    let dash = text.iter().position(|b| *b == b'-').ok_or(ImageError::LuksMode)?;
    let (mode, rest) = text.split_at(dash);
    let generator = rest.get(1..).unwrap_or_default();
    let mut parts = generator.splitn(2, |b| *b == b':');
    let generator = match (parts.next().unwrap_or_default(), parts.next()) {
        (b"plain", _) => IvGen::Plain,
        (b"plain64", _) => IvGen::Plain64,
        (b"essiv", Some(hash)) => IvGen::Essiv(Hash::parse(hash)?),
        (b"essiv", None) => return Err(ImageError::LuksMode),
        (other, _) => return Err(unknown(other)),
    };
    Ok((Mode::parse(mode)?, generator))
}
