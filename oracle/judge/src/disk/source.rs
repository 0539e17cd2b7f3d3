//! A file whose structures are read; what lies behind its end reads as zeros.

use crate::JudgeError;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The longest structure that is read at once, in bytes: no image of a case has a longer one.
const MOST: u64 = 64 << 20;

/// A file.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
    /// Length in bytes.
    pub len: u64,
}

impl Source {
    /// Opens it.
    pub fn open(path: &Path) -> Result<Self, JudgeError> {
        let file = File::open(path).map_err(JudgeError::io(path))?;
        let len = file.metadata().map_err(JudgeError::io(path))?.len();
        Ok(Self { file, path: path.into(), len })
    }

    /// Fills `buffer` from the byte `at` on.
    pub fn fill(&self, at: u64, buffer: &mut [u8]) -> Result<(), JudgeError> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at.saturating_add(done as u64)) {
                Ok(0) => {
                    rest.fill(0);
                    break;
                }
                Ok(count) => done += count,
                Err(error) => return Err(JudgeError::io(&self.path)(error)),
            }
        }
        Ok(())
    }

    /// `len` bytes from `at` on.
    pub fn bytes(&self, at: u64, len: u64) -> Result<Bytes, JudgeError> {
        let mut bytes = vec![0; super::place(len.min(MOST))];
        self.fill(at, &mut bytes)?;
        Ok(Bytes(bytes))
    }
}

/// Bytes of a structure. What is asked for behind their end is zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// `N` bytes from `at` on.
    pub fn at<const N: usize>(&self, at: usize) -> [u8; N] {
        let found = self.0.get(at..at.saturating_add(N));
        found.and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    /// A range of them, as far as there are any.
    pub fn part(&self, at: usize, len: usize) -> &[u8] {
        let end = at.saturating_add(len).min(self.0.len());
        self.0.get(at..end).unwrap_or_default()
    }

    /// A 32-bit number, most significant byte first.
    pub fn be32(&self, at: usize) -> u64 {
        u32::from_be_bytes(self.at(at)).into()
    }

    /// A 64-bit number, most significant byte first.
    pub fn be64(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.at(at))
    }

    /// A 16-bit number, least significant byte first.
    pub fn le16(&self, at: usize) -> u64 {
        u16::from_le_bytes(self.at(at)).into()
    }

    /// A 32-bit number, least significant byte first.
    pub fn le32(&self, at: usize) -> u64 {
        u32::from_le_bytes(self.at(at)).into()
    }

    /// A 64-bit number, least significant byte first.
    pub fn le64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.at(at))
    }
}
