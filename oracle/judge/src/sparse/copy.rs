//! Copies that keep holes.

use super::{CHUNK, read_padded, segments};
use crate::JudgeError;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Copies `from` to `to`, which is created or emptied: same length, same bytes, same holes.
///
/// # Errors
/// [`JudgeError::Io`].
pub fn copy(from: &Path, to: &Path) -> Result<(), JudgeError> {
    let source = File::open(from).map_err(JudgeError::io(from))?;
    let target = File::create(to).map_err(JudgeError::io(to))?;
    let len = source.metadata().map_err(JudgeError::io(from))?.len();
    target.set_len(len).map_err(JudgeError::io(to))?;
    let mut buf = vec![0; CHUNK];
    for range in segments(&source).map_err(JudgeError::io(from))? {
        for piece in range.pieces(CHUNK as u64) {
            let part = &mut buf[..piece.len_usize()];
            read_padded(&source, piece.start, part).map_err(JudgeError::io(from))?;
            target.write_all_at(part, piece.start).map_err(JudgeError::io(to))?;
        }
    }
    Ok(())
}
