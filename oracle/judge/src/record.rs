//! What a subject did with its copy of a fixture, step by step.

use crate::subject::{Family, IMAGE, Ran, Subject, resize_args};
use crate::{JudgeError, sparse};
use oracle_case::Case;
use oracle_case::parts::is_part;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An image at one moment, kept in a directory of its own.
#[derive(Debug, Clone)]
pub struct State {
    /// The directory; the image in it is [`IMAGE`].
    pub dir: PathBuf,
    /// See [`sparse::fingerprint`]; with those of the files that belong to it, if there are any.
    pub fingerprint: String,
    /// Length of the file in bytes.
    pub len: u64,
    /// Bytes allocated on the host.
    pub allocated: u64,
    /// The files next to it that belong to it, by name.
    pub parts: BTreeMap<String, Part>,
}

/// A backing or data file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// See [`sparse::fingerprint`].
    pub fingerprint: String,
    /// Length in bytes.
    pub len: u64,
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
        let parts = parts(&dir)?;
        let others = parts.iter().map(|(name, part)| format!("+{name}:{}", part.fingerprint));
        Ok(Self {
            fingerprint: sparse::fingerprint(&path)? + &others.collect::<String>(),
            len: meta.len(),
            allocated: meta.blocks() * 512,
            dir,
            parts,
        })
    }

    /// The image's path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.join(IMAGE)
    }

    /// A directory of its own for a copy of this image and what belongs to it.
    ///
    /// # Errors
    /// [`JudgeError::Io`].
    pub fn copy_to(&self, dir: &Path) -> Result<(), JudgeError> {
        std::fs::create_dir_all(dir).map_err(JudgeError::io(dir))?;
        for name in self.parts.keys() {
            sparse::copy(&self.dir.join(name), &dir.join(name))?;
        }
        sparse::copy(&self.path(), &dir.join(IMAGE))
    }
}

/// The files in `dir` that belong to the image there.
fn parts(dir: &Path) -> Result<BTreeMap<String, Part>, JudgeError> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(JudgeError::io(dir))? {
        let entry = entry.map_err(JudgeError::io(dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_part(&name) {
            let path = entry.path();
            let len = entry.metadata().map_err(JudgeError::io(&path))?.len();
            found.insert(name, Part { fingerprint: sparse::fingerprint(&path)?, len });
        }
    }
    Ok(found)
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
    /// Each resize of the case, in order; none if the subject does not resize such images.
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
    // What it would say is that it does not: no image comes of it.
    if subject.family() == Family::Qemu && case.fixture.format.is_unresized() {
        return Ok(record);
    }
    for (i, resize) in case.resizes.iter().enumerate() {
        let here = dir.join(format!("step{i}"));
        record.last().copy_to(&here)?;
        let ran = subject.run(&here, "resize", &resize_args(&case.fixture.format, resize))?;
        let after = State::of(here)?;
        record.steps.push(Step { ran, after });
    }
    Ok(record)
}
