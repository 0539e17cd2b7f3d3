//! Why a baseline could not be made or read.

use std::path::PathBuf;

/// Why a baseline could not be made or read. What a tool answers, refusals among it, is an outcome and no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of a file is not what it should be.
    #[error("{path}:{line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A tool could not be started, or an image not be looked at.
    #[error(transparent)]
    Judge(#[from] oracle_judge::JudgeError),
    /// A tool did not end: what it would have answered is not known.
    #[error("{program} did not end within {seconds} s")]
    Late {
        /// The tool.
        program: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A tool that reads an image says something that is not its format.
    #[error("{0}")]
    Unreadable(String),
}

impl BaselineError {
    /// For `map_err`: an I/O error of `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
