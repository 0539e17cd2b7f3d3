//! After the job: the file's length and space, which no device that a guest sees can change.

use crate::error::CliError;
use crate::host;
use crate::message::{Program, errno_text};
use crate::progress::Progress;
use instar_ops::{Format, Preallocation, ResizeAction, ResizeOutcome};
use instar_vmm::Window;
use std::fs::File;
use std::io;

/// Bytes that are written between two signs of life.
const PIECE: u64 = 64 << 20;

/// What the host can do to an image file that no device of a guest can. Offsets and lengths in bytes; every error is the
/// kernel's.
pub trait Tail {
    /// Its length.
    fn len(&self) -> io::Result<u64>;
    /// Cuts it, or extends it with a hole.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Gives a range space.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Gives a range space and lets it read as zeros, without writing; not every filesystem can.
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Writes zeros to a range.
    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Makes all of it durable.
    fn sync(&self) -> io::Result<()>;
}

impl Tail for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        host::allocate(self, offset, len)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        host::reserve(self, offset, len)
    }

    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        host::write_zeros(self, offset, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

impl Tail for Window<'_> {
    fn len(&self) -> io::Result<u64> {
        Window::len(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.admit(0, len)?;
        match self.size {
            Some(_) => Ok(()),
            None => self.file.set_len(self.at(len)),
        }
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.admit(offset, len)?;
        host::allocate(self.file, self.at(offset), len)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.admit(offset, len)?;
        host::reserve(self.file, self.at(offset), len)
    }

    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        self.admit(offset, len)?;
        host::write_zeros(self.file, self.at(offset), len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Gives `file` the length and the space that `outcome` says it must have, durably.
///
/// # Errors
/// [`CliError::Refused`] with the kernel's reason. A raw image or a LUKS file that was to grow has its old length back then; of any
/// other format the metadata already counts on the file as it is, so nothing is taken back.
pub fn finish(
    program: &Program,
    file: &impl Tail,
    outcome: &ResizeOutcome,
    mode: Preallocation,
) -> Result<(), CliError> {
    let result = set_length(program, file, outcome)
        .and_then(|()| preallocate(file, outcome, mode))
        .and_then(|()| file.sync().map_err(failed("Could not flush the image")));
    let grown = outcome.action == ResizeAction::Grow;
    if result.is_err() && grown && is_plain(outcome) {
        // The first error is the one to tell.
        drop(file.set_len(outcome.file_size_before));
    }
    result
}

/// Gives the external data file the length that `outcome` says it must have, durably.
///
/// It comes last, in either direction. The image's metadata are durable and of the new size by then. A
/// data file that is shorter than the disk reads as zeros where it ends, which is what a new area holds;
/// one that is longer has what nobody reaches any more. So a crash before this leaves a good image, and
/// data is cut off only when nothing names it.
///
/// # Errors
/// [`CliError::Refused`] with the kernel's reason.
pub fn finish_data_file(
    program: &Program,
    file: &impl Tail,
    outcome: &ResizeOutcome,
) -> Result<(), CliError> {
    let Some(wanted) = outcome.data_file_size_after else {
        return Ok(());
    };
    let now = file.len().map_err(failed("Failed to inquire current file length"))?;
    if now != wanted {
        let shrinks = outcome.action == ResizeAction::Shrink;
        match file.set_len(wanted) {
            Err(e) if shrinks => {
                let why = errno_text(&e);
                program.warning(&format!("Failed to truncate the tail of the data file: {why}"));
            }
            result => result.map_err(failed("Could not resize file"))?,
        }
    }
    file.sync().map_err(failed("Could not flush the data file"))
}

/// Gives the external data file of a new image the space that `mode` asks for. Zeros are written last.
///
/// # Errors
/// [`CliError::Refused`] with the kernel's reason.
pub fn fill_data_file(
    file: &impl Tail,
    outcome: &ResizeOutcome,
    mode: Preallocation,
) -> Result<(), CliError> {
    let whole = outcome.data_file_size_after.map(|len| (0, len));
    preallocate(file, &ResizeOutcome { preallocate: whole, ..*outcome }, mode)?;
    file.sync().map_err(failed("Could not flush the data file"))
}

/// Whether the file's length is the disk's: no metadata tell where the disk ends.
const fn is_plain(outcome: &ResizeOutcome) -> bool {
    matches!(outcome.format, Format::Raw | Format::Luks)
}

fn set_length(program: &Program, file: &impl Tail, outcome: &ResizeOutcome) -> Result<(), CliError> {
    let wanted = outcome.file_size_after;
    let now = file.len().map_err(failed("Failed to inquire current file length"))?;
    if now == wanted {
        return Ok(());
    }
    match file.set_len(wanted) {
        // What is left at the end of a format with metadata is only space lost.
        Err(e) if wanted < now && !is_plain(outcome) => {
            let why = errno_text(&e);
            program.warning(&format!("Failed to truncate the tail of the image: {why}"));
            Ok(())
        }
        result => result.map_err(failed("Could not resize file")),
    }
}

fn preallocate(file: &impl Tail, outcome: &ResizeOutcome, mode: Preallocation) -> Result<(), CliError> {
    let Some((offset, len)) = outcome.preallocate else {
        return Ok(());
    };
    match mode {
        Preallocation::Off | Preallocation::Metadata => Ok(()),
        Preallocation::Falloc => file.allocate(offset, len).map_err(failed("Could not preallocate new data")),
        Preallocation::Full => {
            fill(file, offset, len).map_err(failed("Could not write zeros for preallocation"))
        }
    }
}

/// Zeros that are written, not only allocated: that the first write to a block costs no more than any
/// other is what sets `full` apart from `falloc`. The space is taken first, so that a disk too small for
/// it says so before anything is written.
fn fill(file: &impl Tail, offset: u64, len: u64) -> io::Result<()> {
    match file.reserve(offset, len) {
        Err(e) if host::is_unsupported(&e) => {}
        reserved => reserved?,
    }
    let progress = Progress::of(len);
    let mut done = 0;
    while done < len {
        let now = PIECE.min(len - done);
        file.write_zeros(offset + done, now)?;
        done += now;
        progress.show(done);
    }
    Ok(())
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> CliError {
    move |error| CliError::Refused(format!("{what}: {}", errno_text(&error)))
}

#[cfg(test)]
mod tests;
