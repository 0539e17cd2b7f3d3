//! An image file that is read and written at offsets, its errors carrying its path.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::BuildError;

/// Bytes written at a time when a range is filled.
const CHUNK: usize = 64 << 10;

/// An image file.
#[derive(Debug)]
pub struct ImageFile {
    file: File,
    path: PathBuf,
}

impl ImageFile {
    /// Creates or empties the file at `path`.
    pub fn create(path: &Path) -> Result<Self, BuildError> {
        Self::open_with(path, OpenOptions::new().create(true).truncate(true))
    }

    /// Opens the file at `path`.
    pub fn open(path: &Path) -> Result<Self, BuildError> {
        Self::open_with(path, &mut OpenOptions::new())
    }

    fn open_with(path: &Path, options: &mut OpenOptions) -> Result<Self, BuildError> {
        let file = options.read(true).write(true).open(path);
        let path = path.to_owned();
        match file {
            Ok(file) => Ok(Self { file, path }),
            Err(source) => Err(BuildError::File { path, source }),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> Result<u64, BuildError> {
        self.file.metadata().map(|data| data.len()).map_err(|source| self.failed(source))
    }

    /// Cuts or extends (with a hole) to `len` bytes.
    pub fn set_len(&self, len: u64) -> Result<(), BuildError> {
        self.file.set_len(len).map_err(|source| self.failed(source))
    }

    /// Reads `buffer.len()` bytes at `offset`; what lies beyond the end reads as zeros.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), BuildError> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let count = self.file.read_at(rest, offset + done as u64);
            match count.map_err(|source| self.failed(source))? {
                0 => {
                    rest.fill(0);
                    break;
                }
                count => done += count,
            }
        }
        Ok(())
    }

    /// Writes `data` at `offset`.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), BuildError> {
        self.file.write_all_at(data, offset).map_err(|source| self.failed(source))
    }

    /// Fills a range with one byte.
    pub fn fill(&self, offset: u64, len: u64, byte: u8) -> Result<(), BuildError> {
        let chunk = [byte; CHUNK];
        let mut done = 0;
        while done < len {
            let count = usize::try_from(len - done).unwrap_or(CHUNK).min(CHUNK);
            self.write(offset + done, &chunk[..count])?;
            done += count as u64;
        }
        Ok(())
    }

    /// A big-endian 32-bit number.
    pub fn be32(&self, offset: u64) -> Result<u32, BuildError> {
        let mut bytes = [0; 4];
        self.read(offset, &mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// A big-endian 64-bit number.
    pub fn be64(&self, offset: u64) -> Result<u64, BuildError> {
        let mut bytes = [0; 8];
        self.read(offset, &mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// An error about what the file holds.
    pub fn unexpected(&self, what: &'static str, offset: u64) -> BuildError {
        BuildError::Unexpected { path: self.path.clone(), what, offset }
    }

    fn failed(&self, source: std::io::Error) -> BuildError {
        BuildError::File { path: self.path.clone(), source }
    }
}
