//! Putting a version into the archive: all of it or nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::store::{Archive, Entry, ORIGIN};

/// A version being put together, next to the others but not yet one of them. Dropped, it is gone.
pub struct Staging {
    dir: TempDir,
}

impl Staging {
    /// Begins in the archive's directory, which is made if need be.
    pub fn begin(archive: &Archive) -> Result<Self> {
        let context = || archive.dir().display().to_string();
        fs::create_dir_all(archive.dir()).with_context(context)?;
        let dir = tempfile::Builder::new().prefix("fetching-").tempdir_in(archive.dir());
        Ok(Self { dir: dir.with_context(context)? })
    }

    /// Where to put the version's files.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs what was put there, and makes it the archive's version of that number. One that is there already stays.
    pub fn finish(self, archive: &Archive, origin: &str) -> Result<Entry> {
        fs::write(self.path().join(ORIGIN), format!("{origin}\n"))?;
        // A temporary directory is its owner's only; an archive may be shared.
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o755))?;
        let staged = Entry::of_directory(self.path())?;
        let place = archive.place(&staged.version);
        match fs::rename(self.path(), &place) {
            Ok(()) => {}
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(error).with_context(|| place.display().to_string()),
        }
        Entry::of_directory(&place)
    }
}

/// Whether a rename failed because a directory with content is there.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}
