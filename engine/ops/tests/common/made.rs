//! Images that are made once and copied for every trial that begins with them.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tempfile::TempDir;

/// Directories with an image and its other files, by what makes them.
pub struct Made<K>(Mutex<BTreeMap<K, Once>>);

/// A directory that is made once, or why there is none.
type Once = Arc<OnceLock<Result<TempDir, String>>>;

impl<K: Ord> Made<K> {
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Copies the files that `make` makes for `key` into `to`.
    pub fn copy(
        &self,
        key: K,
        to: &Path,
        make: impl FnOnce(&Path) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let once = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let made = once.get_or_init(|| {
            let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
            make(dir.path()).map(|()| dir).map_err(|e| e.to_string())
        });
        for file in std::fs::read_dir(made.as_ref().map_err(String::as_str)?)? {
            let file = file?;
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
        Ok(())
    }
}
