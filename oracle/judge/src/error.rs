//! Why a judgement could not be made.

use std::path::PathBuf;

/// Why a judgement could not be made. A failure of the thing judged is a finding, not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// A file of the trial could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A tool could not be started.
    #[error("cannot run {program}: {reason}")]
    Spawn {
        /// The program.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// The list of known divergences does not say what it should.
    #[error("known divergences: {0}")]
    Known(String),
}

impl JudgeError {
    /// For `map_err`: an I/O error of `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
