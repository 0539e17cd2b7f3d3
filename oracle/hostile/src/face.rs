//! What of an image a program can tell: all of its bytes but what is drawn by chance and means nothing.
//!
//! Whoever writes to a VHDX draws new GUIDs for its headers, and leaves in its log what was written by way of it. The same
//! resize of the same image twice has other bytes there, and qemu-img says the same of both.

use crate::HostileError;
use crate::code::crc32c;
use oracle_judge::sparse::{copy, fingerprint};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What a VHDX begins with.
const SIGNATURE: &[u8] = b"vhdxfile";
/// Where its headers are, and their length.
const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
const HEADER: usize = 4096;
/// Where a log can begin, and how long one is that is looked at, in bytes.
const LOG_FROM: u64 = 1 << 20;
const LONGEST_LOG: u64 = 16 << 20;

/// A fingerprint of the image in the file `path`.
///
/// # Errors
/// It cannot be read; a copy beside it cannot be written.
pub fn face(path: &Path) -> Result<String, HostileError> {
    let parts = by_chance(&File::open(path).map_err(HostileError::io(path))?).unwrap_or_default();
    if parts.is_empty() {
        return Ok(fingerprint(path)?);
    }
    let plain = path.with_extension("face");
    copy(path, &plain)?;
    let file = File::options().write(true).open(&plain).map_err(HostileError::io(&plain))?;
    for (at, len) in parts {
        let zeros = vec![0; usize::try_from(len).unwrap_or(0)];
        file.write_all_at(&zeros, at).map_err(HostileError::io(&plain))?;
    }
    let print = fingerprint(&plain)?;
    std::fs::remove_file(&plain).map_err(HostileError::io(&plain))?;
    Ok(print)
}

/// The parts of a VHDX that are drawn by chance, first byte and length; none if its headers are not both valid or name a log that
/// is to be replayed, as then they are not all there is to it.
fn by_chance(file: &File) -> Option<Vec<(u64, u64)>> {
    let mut signature = [0; SIGNATURE.len()];
    file.read_exact_at(&mut signature, 0).ok()?;
    if signature != SIGNATURE {
        return None;
    }
    let len = file.metadata().ok()?.len();
    let mut parts = Vec::new();
    for at in HEADERS {
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, at).ok()?;
        let number = |at: usize, len: usize| {
            header[at..at + len].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let mut bare = header;
        bare[4..8].fill(0);
        if !header.starts_with(b"head")
            || number(4, 4) != u64::from(crc32c(&bare))
            || header[48..64] != [0; 16]
        {
            return None;
        }
        // The checksum, both GUIDs, and the log.
        parts.extend([(at + 4, 4), (at + 16, 32)]);
        let log = (number(72, 8), number(68, 4));
        if log.0 >= LOG_FROM && log.1 <= LONGEST_LOG && log.0.checked_add(log.1).is_some_and(|end| end <= len)
        {
            parts.push(log);
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers of a VHDX with a log of 1 MiB behind them.
    fn image(guid: u8, log: u8, content: u8) -> Vec<u8> {
        let mut bytes = vec![0; 3 << 20];
        bytes[..8].copy_from_slice(SIGNATURE);
        for at in [64 << 10, 128 << 10] {
            let header: &mut [u8] = &mut bytes[at..at + HEADER];
            header[..4].copy_from_slice(b"head");
            header[16..48].fill(guid);
            header[68..72].copy_from_slice(&(1_u32 << 20).to_le_bytes());
            header[72..80].copy_from_slice(&(1_u64 << 20).to_le_bytes());
            let sum = crc32c(header);
            header[4..8].copy_from_slice(&sum.to_le_bytes());
        }
        bytes[1 << 20] = log;
        bytes[2 << 20] = content;
        bytes
    }

    fn face_of(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        std::fs::write(&path, bytes).unwrap();
        face(&path).unwrap()
    }

    #[test]
    fn what_is_drawn_does_not_count_and_all_else_does() {
        let good = face_of(&image(1, 2, 3));
        assert_eq!(face_of(&image(9, 8, 3)), good);
        assert_ne!(face_of(&image(1, 2, 4)), good);
        let mut other = image(1, 2, 3);
        other[(64 << 10) + 4] ^= 1;
        assert_ne!(face_of(&other), good, "a header that is not valid");
        assert_ne!(face_of(&image(1, 2, 3)[..(2 << 20) + 512]), good, "another length");
    }

    #[test]
    fn a_log_that_counts_is_looked_at() {
        let with_log = |log| {
            let mut bytes = image(1, log, 3);
            let header: &mut [u8] = &mut bytes[64 << 10..(64 << 10) + HEADER];
            header[48] = 1;
            header[4..8].fill(0);
            let sum = crc32c(header);
            header[4..8].copy_from_slice(&sum.to_le_bytes());
            face_of(&bytes)
        };
        assert_ne!(with_log(1), with_log(2));
    }
}
