//! A part of a file as an image.

use crate::image::file_len;
use std::fs::File;
use std::io;

/// A file from a byte on. An offset in the image is one from there.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// The file.
    pub file: &'a File,
    /// Where in it the image begins, in bytes.
    pub offset: u64,
    /// Length of the image in bytes, where the file goes on behind it or may: nothing can change it then.
    pub size: Option<u64>,
}

impl<'a> From<&'a File> for Window<'a> {
    fn from(file: &'a File) -> Self {
        Self { file, offset: 0, size: None }
    }
}

impl Window<'_> {
    /// Length of the image in bytes.
    ///
    /// # Errors
    /// The kernel's.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> io::Result<u64> {
        match self.size {
            Some(size) => Ok(size),
            None => Ok(file_len(self.file)?.saturating_sub(self.offset)),
        }
    }

    /// Where in the file byte `offset` of the image is; beyond any file if there is no such byte.
    #[must_use]
    pub const fn at(&self, offset: u64) -> u64 {
        self.offset.saturating_add(offset)
    }

    /// As much of `len` bytes from `offset` as the image has; what it may yet get counts.
    #[must_use]
    pub fn inside(&self, offset: u64, len: usize) -> usize {
        let Some(size) = self.size else { return len };
        usize::try_from(size.saturating_sub(offset)).map_or(len, |left| left.min(len))
    }

    /// That `len` bytes from `offset` can be written.
    ///
    /// # Errors
    /// There is no space left for them.
    pub fn admit(&self, offset: u64, len: u64) -> io::Result<()> {
        match (self.size, offset.checked_add(len)) {
            (Some(size), end) if end.is_none_or(|end| end > size) => {
                Err(io::Error::from_raw_os_error(libc::ENOSPC))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_the_end_of_it() {
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(1000).expect("extended");
        let open = Window { offset: 100, ..Window::from(&file) };
        assert_eq!((open.len().ok(), open.at(5), open.inside(2000, 9)), (Some(900), 105, 9));
        assert!(open.admit(1 << 40, 1).is_ok());
        let fixed = Window { size: Some(512), ..open };
        assert_eq!((fixed.len().ok(), fixed.inside(510, 9), fixed.inside(600, 9)), (Some(512), 2, 0));
        assert!(
            fixed.admit(510, 2).is_ok() && fixed.admit(510, 3).is_err() && fixed.admit(u64::MAX, 2).is_err()
        );
    }
}
