//! Why hostile images could not be made or judged.

use oracle_judge::JudgeError;
use std::path::PathBuf;

/// Why hostile images could not be made or judged. What a program under test does wrong is a finding, not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostileError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A step of a recipe failed.
    #[error("making {recipe}: {step}: {said}")]
    Recipe {
        /// The recipe's name.
        recipe: &'static str,
        /// The step.
        step: String,
        /// What the tool said.
        said: String,
    },
    /// A tool could not be run.
    #[error(transparent)]
    Judge(#[from] JudgeError),
}

impl HostileError {
    /// For `map_err`: an I/O error of `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
