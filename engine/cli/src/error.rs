//! What the command line can fail with, in `qemu-img`'s words where it has some.

use crate::message::{errno_text, printable};
use crate::size::SizeError;
use instar_ops::disk::{Direction, IoError};
use instar_ops::{ImageError, OpError, Phase, Refusal, ResizeError};
use instar_vmm::{ErrorKind, VmmError};
use std::io;

/// Why a command ended without its result. The display is what follows `instar: ` on stderr; it may
/// have lines of explanation after the first.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line makes no sense. A second line names the help that would tell.
    #[error("{text}")]
    Usage {
        /// What is wrong.
        text: String,
    },
    /// A size does not parse.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// The image could not be opened or understood.
    #[error("Could not open '{name}': {reason}")]
    Open {
        /// The image's name as given.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The image could not be created.
    #[error("{name}: {reason}")]
    Create {
        /// The image's name as given.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The request was refused, or the job failed.
    #[error("{0}")]
    Refused(String),
    /// Shrinking needs consent.
    #[error("{}", ResizeError::ShrinkWithoutFlag)]
    ShrinkWithoutFlag,
    /// The image's format has nothing to check; the exit code says so.
    #[error("{}", Refusal::NoChecks)]
    ChecksUnsupported,
    /// The check could not be completed, and there is more to say than that.
    #[error("ERROR {what}")]
    CheckFailed {
        /// What was in the way, with a hint on a line of its own perhaps.
        what: String,
        /// The same as an error of the system.
        reason: &'static str,
    },
    /// The virtual machine failed.
    #[error("{}", vmm_text(.0))]
    Vmm(#[from] VmmError),
    /// The result could not be printed.
    #[error("could not write to standard output: {}", errno_text(.0))]
    Output(io::Error),
}

impl CliError {
    /// A warning that goes with the error.
    #[must_use]
    pub const fn warning(&self) -> Option<&'static str> {
        match self {
            Self::ShrinkWithoutFlag => Some(
                "Shrinking an image will delete all data beyond the shrunken image's end. Before \
                 performing such an operation, make sure there is no important data there.",
            ),
            _ => None,
        }
    }

    /// What follows the error on a line of its own.
    #[must_use]
    pub fn outcome(&self) -> Option<String> {
        match self {
            Self::CheckFailed { reason, .. } => Some(format!("Check failed: {reason}")),
            _ => None,
        }
    }

    /// The failure of a check of the image called `name`.
    #[must_use]
    pub fn from_check(error: OpError, name: &str) -> Self {
        let too_large = |what| Self::CheckFailed { what, reason: "File too large" };
        match error {
            OpError::Image(ImageError::SnapshotsTooMany { overhanging }) => too_large(format!(
                "snapshot table too large\nYou can force-remove all {overhanging} overhanging snapshots with \
                 qemu-img check -r all"
            )),
            OpError::Image(
                e @ (ImageError::SnapshotExtra { .. } | ImageError::SnapshotTableTooBig { .. }),
            ) => too_large(format!("failed to read the snapshot table: {e}")),
            OpError::Image(ImageError::SnapshotOffset) => Self::CheckFailed {
                what: "snapshot table offset invalid".to_owned(),
                reason: "Invalid argument",
            },
            _ => Self::from_op(error, name),
        }
    }

    /// The failure of an operation on the image called `name`.
    #[must_use]
    pub fn from_op(error: OpError, name: &str) -> Self {
        match (error, error.phase()) {
            (OpError::Io(e), _) => Self::Refused(io_text(&e)),
            (OpError::Resize(ResizeError::ShrinkWithoutFlag), _) => Self::ShrinkWithoutFlag,
            (OpError::Refused(Refusal::NoChecks), _) => Self::ChecksUnsupported,
            (OpError::Image(ImageError::LuksAlgorithm { name: first, more }), _) => Self::Open {
                name: name.to_owned(),
                reason: format!("Algorithm '{}' not supported", ascii([first, more])),
            },
            (OpError::Image(ImageError::VhdxLogDirty), _) => Self::Open {
                name: name.to_owned(),
                reason: format!(
                    "VHDX image file '{name}' opened read-only, but contains a log that needs to be \
                     replayed\nTo replay the log, run:\nqemu-img check -r all '{name}'"
                ),
            },
            (_, Phase::Open) => Self::Open { name: name.to_owned(), reason: error.to_string() },
            _ => Self::Refused(error.to_string()),
        }
    }
}

/// The text that big-endian words hold, without the zeros behind it.
fn ascii(words: [u64; 2]) -> String {
    let bytes = words.map(u64::to_be_bytes);
    printable(String::from_utf8_lossy(bytes.as_flattened()).trim_end_matches('\0'))
}

/// A failed device request in words, with the kernel's reason where there is one.
#[must_use]
pub fn io_text(error: &IoError) -> String {
    let what = match error.direction {
        Direction::Read => "Read from",
        Direction::Write => "Write to",
        Direction::Flush => return format!("Could not flush the image: {}", errno(error.errno)),
    };
    let IoError { offset, len, .. } = error;
    let reason = errno(error.errno);
    format!("{what} the image failed ({len} bytes at byte {offset}): {reason}")
}

fn errno(number: u32) -> String {
    match i32::try_from(number) {
        Ok(n) if n != 0 => errno_text(&io::Error::from_raw_os_error(n)),
        _ => "Input/output error".to_owned(),
    }
}

fn vmm_text(error: &VmmError) -> String {
    let text = printable(&error.to_string());
    match error.kind() {
        ErrorKind::Unavailable => {
            format!("{text}; '--engine in-process' works without a virtual machine")
        }
        _ => text,
    }
}
