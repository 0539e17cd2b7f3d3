//! A fingerprint of a file's bytes that does not depend on where its holes are.

use super::{CHUNK, read_padded, segments};
use crate::JudgeError;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs::File;
use std::path::Path;

/// The unit that is left out of the hash when it is all zeros.
const BLOCK: usize = 4096;

/// A hash over the length and every block that is not zero, as hexadecimal digits. Equal for two
/// files exactly if they read the same, whether zeros are holes or not.
///
/// # Errors
/// [`JudgeError::Io`].
pub fn fingerprint(path: &Path) -> Result<String, JudgeError> {
    let file = File::open(path).map_err(JudgeError::io(path))?;
    let len = file.metadata().map_err(JudgeError::io(path))?.len();
    let mut hash = Sha256::new();
    hash.update(len.to_le_bytes());
    let mut buf = vec![0; CHUNK];
    let mut next = 0;
    for range in segments(&file).map_err(JudgeError::io(path))? {
        // A hole may begin inside a block: hash whole blocks, each one once.
        let range = range.widen(BLOCK as u64).from(next);
        next = next.max(range.end);
        for piece in range.pieces(CHUNK as u64) {
            let part = &mut buf[..piece.len_usize()];
            read_padded(&file, piece.start, part).map_err(JudgeError::io(path))?;
            let places = (piece.start..).step_by(BLOCK);
            for (at, block) in places.zip(part.chunks(BLOCK)) {
                if block.iter().any(|b| *b != 0) {
                    hash.update(at.to_le_bytes());
                    hash.update(block);
                }
            }
        }
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
