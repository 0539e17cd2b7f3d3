//! Good images from one run to the next: most formats draw identities and keys when an image is made, and a new one would
//! have to be asked about anew.

use crate::{HostileError, Recipe};
use oracle_case::Tools;
use oracle_judge::sparse;
use oracle_judge::subject::IMAGE;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

impl Recipe {
    /// As [`Recipe::make`], or what an earlier call has kept in the directory `kept`.
    ///
    /// # Errors
    /// A step fails, or a file cannot be read or written.
    pub fn take(&self, dir: &Path, tools: &Tools, kept: &Path) -> Result<Vec<u8>, HostileError> {
        let place = self.place(kept);
        if place.exists() {
            copy(&place, dir)?;
            let image = dir.join(IMAGE);
            return std::fs::read(&image).map_err(HostileError::io(image));
        }
        let bytes = self.make(dir, tools)?;
        // Another run must never see half of it.
        let new = place.with_extension("new");
        copy(dir, &new)?;
        std::fs::rename(&new, &place).map_err(HostileError::io(&place))?;
        Ok(bytes)
    }

    /// Where it is kept: what is made otherwise one day is another image.
    fn place(&self, kept: &Path) -> PathBuf {
        let how = format!("{} {} {} {:?}", self.format, self.options, self.size, self.steps);
        kept.join(format!("{}-{:016x}", self.name, xxh3_64(how.as_bytes())))
    }
}

/// Copies the files of one directory into another, which is made.
fn copy(from: &Path, to: &Path) -> Result<(), HostileError> {
    std::fs::create_dir_all(to).map_err(HostileError::io(to))?;
    for entry in std::fs::read_dir(from).map_err(HostileError::io(from))? {
        let entry = entry.map_err(HostileError::io(from))?;
        sparse::copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
