//! The SHA-256 of files that are mostly holes.

use crate::BaselineError;
use oracle_judge::sparse::fingerprint;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The SHA-256 of a file as hexadecimal digits, computed once for all files with the same bytes: most of what a guest
/// sees is holes, which take long to hash and which many cases share.
///
/// # Errors
/// The file cannot be read.
pub fn sha256(path: &Path) -> Result<String, BaselineError> {
    static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let fingerprint = fingerprint(path)?;
    if let Some(hash) = known().get(&fingerprint) {
        return Ok(hash.clone());
    }
    let mut file = File::open(path).map_err(BaselineError::io(path))?;
    let (mut sha, mut buf) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buf).map_err(BaselineError::io(path))? {
            0 => break,
            len => sha.update(&buf[..len]),
        }
    }
    let hash = digits(&sha.finalize());
    known().insert(fingerprint, hash.clone());
    Ok(hash)
}

/// Bytes as hexadecimal digits.
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
