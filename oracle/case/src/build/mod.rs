//! Building the image that a fixture describes.
//!
//! [`Maker::Qemu`] has qemu-img and qemu-io do it; [`Maker::Own`] lays the file out by itself, from the specification and
//! not through any engine. [`crate::Tweak`]s are then applied to the finished file, whoever made it. Images are sparse
//! files; the same fixture gives the same bytes with the same tools.

mod damage;
mod file;
mod header;
mod own;
mod qemu;
mod raw;
mod refcounts;
mod tweak;
mod unresized;

use std::io;
use std::path::{Path, PathBuf};

use crate::child::{Output, Tool};
use crate::{Fixture, FormatOptions, Maker, Tweak};

/// The tools that fixtures are made with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tools {
    /// qemu-img.
    pub qemu_img: Tool,
    /// qemu-io of the same version.
    pub qemu_io: Tool,
}

/// Why a fixture could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The file could not be written.
    #[error("{path}: {source}")]
    File {
        /// The image.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A tool could not be started.
    #[error("{program}: {source}")]
    Start {
        /// The tool.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A tool failed or hung.
    #[error("{command}: {:?}: {}", output.ending, first_line(output))]
    Tool {
        /// The command line.
        command: String,
        /// What it left behind.
        output: Box<Output>,
    },
    /// The fixture asks for what its maker cannot do; [`crate::Case::legalize`] would have changed it.
    #[error("{0}")]
    Illegal(&'static str),
    /// The finished file is not the image that a tweak expects.
    #[error("{path}: {what} at offset {offset}")]
    Unexpected {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes.
        offset: u64,
    },
}

/// Makes the image of `fixture` in `dir` and returns its path. What belongs to it lies next to it, named as
/// [`crate::parts`] says; the image itself may be renamed.
///
/// # Errors
/// [`BuildError`]: a tool, the file system, or a fixture that is not legal.
pub fn build(fixture: &Fixture, dir: &Path, tools: &Tools) -> Result<PathBuf, BuildError> {
    let dir = std::path::absolute(dir).map_err(|source| BuildError::File { path: dir.into(), source })?;
    let path = dir.join(format!("image.{}", fixture.format.name()));
    match (fixture.maker, &fixture.format) {
        (Maker::Qemu, _) => qemu::make(fixture, &path, tools)?,
        (Maker::Own, FormatOptions::Raw) => raw::make(fixture, &path)?,
        (Maker::Own, FormatOptions::Qcow2(options)) => own::make(fixture, options, &path)?,
        (Maker::Own, FormatOptions::Qed(_) | FormatOptions::Luks) => {
            return Err(BuildError::Illegal("only qemu-img lays out QED and LUKS images"));
        }
        (Maker::Own, _) => unresized::make(fixture, &path)?,
    }
    let laid_out = |tweak: &&Tweak| {
        fixture.maker == Maker::Own && matches!(tweak, Tweak::RefcountHole { .. } | Tweak::SpareL1 { .. })
    };
    let mut tweaks = fixture.tweaks.iter().filter(|tweak| !laid_out(tweak)).peekable();
    if tweaks.peek().is_some() {
        tweak::apply(tweaks, &path)?;
    }
    Ok(path)
}

fn first_line(output: &Output) -> String {
    let text = output.stderr_text() + &output.stdout_text();
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message").to_owned()
}
