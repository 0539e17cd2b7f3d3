//! What a subject did with its copy of a fixture, step by step.

use crate::subject::{IMAGE, Ran, Subject, resize_args};
use crate::{JudgeError, sparse};
use oracle_case::Case;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An image at one moment, kept in a directory of its own.
#[derive(Debug, Clone)]
pub struct State {
    /// The directory; the image in it is [`IMAGE`].
    pub dir: PathBuf,
    /// See [`sparse::fingerprint`].
    pub fingerprint: String,
    /// Length of the file in bytes.
    pub len: u64,
    /// Bytes allocated on the host.
    pub allocated: u64,
}

impl State {
    /// Looks at the image in `dir`.
    ///
    /// # Errors
    /// [`JudgeError::Io`].
    pub fn of(dir: impl Into<PathBuf>) -> Result<Self, JudgeError> {
        let dir = dir.into();
        let path = dir.join(IMAGE);
        let meta = std::fs::metadata(&path).map_err(JudgeError::io(&path))?;
        Ok(Self {
            fingerprint: sparse::fingerprint(&path)?,
            len: meta.len(),
            allocated: meta.blocks() * 512,
            dir,
        })
    }

    /// The image's path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.join(IMAGE)
    }

    /// A directory of its own for a copy of this image.
    ///
    /// # Errors
    /// [`JudgeError::Io`].
    pub fn copy_to(&self, dir: &Path) -> Result<(), JudgeError> {
        std::fs::create_dir_all(dir).map_err(JudgeError::io(dir))?;
        sparse::copy(&self.path(), &dir.join(IMAGE))
    }
}

/// One resize as it went.
#[derive(Debug, Clone)]
pub struct Step {
    /// What the subject said.
    pub ran: Ran,
    /// The image after it.
    pub after: State,
}

/// What a subject did with its copy of a fixture.
pub struct Record<'a> {
    /// The subject.
    pub subject: &'a dyn Subject,
    /// The fixture as the subject was given it.
    pub start: State,
    /// Each resize of the case, in order.
    pub steps: Vec<Step>,
}

impl Record<'_> {
    /// The image at the end.
    #[must_use]
    pub fn last(&self) -> &State {
        self.steps.last().map_or(&self.start, |step| &step.after)
    }

    /// Each resize with the image before it.
    pub fn transitions(&self) -> impl Iterator<Item = (&State, &Step)> {
        let before = std::iter::once(&self.start).chain(self.steps.iter().map(|s| &s.after));
        before.zip(&self.steps)
    }
}

/// Lets `subject` resize copies of `fixture`, each step in a directory of its own below `dir`.
///
/// # Errors
/// [`JudgeError`]: a file could not be copied or the subject not be started.
pub fn record<'a>(
    subject: &'a dyn Subject,
    case: &Case,
    fixture: &State,
    dir: &Path,
) -> Result<Record<'a>, JudgeError> {
    let mut record = Record { subject, start: fixture.clone(), steps: Vec::new() };
    for (i, resize) in case.resizes.iter().enumerate() {
        let here = dir.join(format!("step{i}"));
        record.last().copy_to(&here)?;
        let ran = subject.run(&here, "resize", &resize_args(case.fixture.format.name(), resize))?;
        let after = State::of(here)?;
        record.steps.push(Step { ran, after });
    }
    Ok(record)
}
