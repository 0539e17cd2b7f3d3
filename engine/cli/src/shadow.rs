//! A file that is replaced by another one, whole or not at all.
//!
//! The descriptor of a disk in several files is text of any length: written in place, a crash could leave parts of two
//! texts. So a copy is changed, made durable, and given the file's name.

use crate::lock::{Claim, lock};
use crate::message::{errno_text, shown};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Longest file that is copied, in bytes.
const MOST: u64 = 1 << 20;

/// A copy that has not taken the file's place yet. It is removed unless it does.
#[derive(Debug)]
pub struct Shadow {
    file: File,
    path: PathBuf,
    real: PathBuf,
    done: bool,
}

impl Shadow {
    /// A copy of `file`, which is at `path`, beside it.
    ///
    /// # Errors
    /// What to say.
    pub fn of(file: &File, path: &Path) -> Result<Self, String> {
        Self::copy(file, path).map_err(|e| {
            format!("Could not make a copy beside '{}': {}", shown(path.as_os_str()), errno_text(&e))
        })
    }

    fn copy(file: &File, path: &Path) -> io::Result<Self> {
        // The name may be a link; what it leads to is replaced.
        let real = path.canonicalize()?;
        let metadata = file.metadata()?;
        if metadata.len() > MOST {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        let mut name = std::ffi::OsString::from(".");
        name.push(real.file_name().unwrap_or_default());
        name.push(format!(".{}", std::process::id()));
        let beside = real.with_file_name(name);
        let copy = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&beside)?;
        let mut shadow = Self { file: copy, path: beside, real, done: false };
        lock(&shadow.file, Claim::Exclusive).map_err(|_| io::Error::from_raw_os_error(libc::EAGAIN))?;
        let mut bytes = vec![0; usize::try_from(metadata.len()).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0)?;
        shadow.file.write_all(&bytes)?;
        // Nobody but root may give a file away; then it is the caller's.
        drop(std::os::unix::fs::fchown(&shadow.file, Some(metadata.uid()), Some(metadata.gid())));
        shadow.file.set_permissions(metadata.permissions())?;
        Ok(shadow)
    }

    /// The copy.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Whether it has taken the file's place.
    #[must_use]
    pub const fn is_in_place(&self) -> bool {
        self.done
    }

    /// Whether the copy is what `file` is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_same(&self, file: &File) -> io::Result<bool> {
        let read = |file: &File| {
            let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
            file.read_exact_at(&mut bytes, 0).map(|()| bytes)
        };
        Ok(read(&self.file)? == read(file)?)
    }

    /// Lets the copy take the file's place, durably.
    ///
    /// # Errors
    /// The kernel's.
    pub fn commit(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, &self.real)?;
        self.done = true;
        sync_directory(&self.real)
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        if !self.done {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// Makes what became of the names in a file's directory durable.
///
/// # Errors
/// The kernel's.
pub fn sync_directory(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, link) = (dir.path().join("a"), dir.path().join("link"));
        std::fs::write(&path, b"old").expect("written");
        std::os::unix::fs::symlink("a", &link).expect("linked");
        let file = File::open(&path).expect("opened");
        let shadow = Shadow::of(&file, &link).expect("copied");
        shadow.file().write_all_at(b"new!", 0).expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"old");
        drop(shadow);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 2, "no copy is left");
        let mut shadow = Shadow::of(&file, &link).expect("copied");
        shadow.file().write_all_at(b"new!", 0).expect("written");
        assert!(!shadow.is_in_place());
        shadow.commit().expect("replaced");
        assert!(shadow.is_in_place());
        drop(shadow);
        assert_eq!(std::fs::read(&link).expect("read"), b"new!");
        assert!(link.symlink_metadata().expect("there").is_symlink(), "the link stays a link");
    }
}
