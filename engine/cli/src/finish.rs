//! After the job: the file's length and space, which no device that a guest sees can change.

use crate::error::CliError;
use crate::host;
use crate::message::{Program, errno_text};
use instar_ops::{Format, Preallocation, ResizeAction, ResizeOutcome};
use std::fs::File;
use std::io;

/// Gives `file` the length and the space that `outcome` says it must have, durably.
///
/// # Errors
/// [`CliError::Refused`] with the kernel's reason. A raw image that was to grow has its old length back then; of any
/// other format the metadata already counts on the file as it is, so nothing is taken back.
pub fn finish(
    program: &Program,
    file: &File,
    outcome: &ResizeOutcome,
    mode: Preallocation,
) -> Result<(), CliError> {
    let result = set_length(program, file, outcome)
        .and_then(|()| preallocate(file, outcome, mode))
        .and_then(|()| file.sync_all().map_err(failed("Could not flush the image")));
    let grown = outcome.action == ResizeAction::Grow;
    if result.is_err() && grown && outcome.format == Format::Raw {
        // The first error is the one to tell.
        drop(file.set_len(outcome.file_size_before));
    }
    result
}

fn set_length(program: &Program, file: &File, outcome: &ResizeOutcome) -> Result<(), CliError> {
    let wanted = outcome.file_size_after;
    let now = file.metadata().map_err(failed("Failed to inquire current file length"))?.len();
    if now == wanted {
        return Ok(());
    }
    match file.set_len(wanted) {
        // What is left at the end of a format with metadata is only space lost.
        Err(e) if wanted < now && outcome.format != Format::Raw => {
            let why = errno_text(&e);
            program.warning(&format!("Failed to truncate the tail of the image: {why}"));
            Ok(())
        }
        result => result.map_err(failed("Could not resize file")),
    }
}

fn preallocate(file: &File, outcome: &ResizeOutcome, mode: Preallocation) -> Result<(), CliError> {
    let Some((offset, len)) = outcome.preallocate else {
        return Ok(());
    };
    match mode {
        Preallocation::Off | Preallocation::Metadata => Ok(()),
        Preallocation::Falloc => {
            host::allocate(file, offset, len).map_err(failed("Could not preallocate new data"))
        }
        // Written, not only allocated: that the first write to a block costs no more than any other
        // is what sets this mode apart from falloc.
        Preallocation::Full => {
            host::write_zeros(file, offset, len).map_err(failed("Could not write zeros for preallocation"))
        }
    }
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> CliError {
    move |error| CliError::Refused(format!("{what}: {}", errno_text(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn grown(mode: Preallocation) -> (u64, u64) {
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(65536).expect("a hole");
        let outcome = ResizeOutcome {
            format: Format::Raw,
            action: ResizeAction::Grow,
            old_virtual_size: 65536,
            new_virtual_size: 262_144,
            file_size_before: 65536,
            file_size_after: 262_144,
            preallocate: (mode != Preallocation::Off).then_some((65536, 196_608)),
        };
        finish(&Program::new(None), &file, &outcome, mode).expect("finished");
        let metadata = file.metadata().expect("stat");
        (metadata.len(), metadata.blocks() * 512)
    }

    #[test]
    fn space_comes_as_asked() {
        assert_eq!(grown(Preallocation::Off).0, 262_144);
        for mode in [Preallocation::Falloc, Preallocation::Full] {
            let (len, space) = grown(mode);
            assert_eq!(len, 262_144, "{mode:?}");
            assert!((196_608..262_144).contains(&space), "{mode:?}: {space}");
        }
    }

    #[test]
    fn a_raw_image_gets_its_old_length_back() {
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(512).expect("a hole");
        let outcome = ResizeOutcome {
            format: Format::Raw,
            action: ResizeAction::Grow,
            old_virtual_size: 512,
            new_virtual_size: 1024,
            file_size_before: 512,
            file_size_after: 1024,
            preallocate: Some((512, u64::MAX)),
        };
        let program = Program::new(None);
        let error = finish(&program, &file, &outcome, Preallocation::Falloc);
        let text = error.expect_err("no such space").to_string();
        assert_eq!(text, "Could not preallocate new data: File too large");
        assert_eq!(file.metadata().expect("stat").len(), 512);
    }
}
