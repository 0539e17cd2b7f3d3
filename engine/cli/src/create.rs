//! `instar create`.

use crate::args::CreateArgs;
use crate::engine;
use crate::error::{CliError, io_text};
use crate::finish::finish;
use crate::image::parse_format;
use crate::lock::{Claim, lock};
use crate::message::{Program, errno_text, shown, to_stderr, to_stdout};
use crate::name::ImageName;
use crate::options::Options;
use crate::show::stats_text;
use crate::size::{self, SizeError};
use instar_ops::{CreateRequest, Format, OpError, Preallocation, Refusal};
use instar_vmm::Stats;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

/// Permissions of a new image, before the umask.
const NEW_FILE_MODE: u32 = 0o644;

/// Runs the command. An existing file is not touched before the request is known to be sound.
///
/// # Errors
/// [`CliError`]. A file that was made for the image is removed again.
pub fn run(program: &Program, args: &CreateArgs) -> Result<(), CliError> {
    let file = operand(args)?;
    let request = request(args, file)?;
    let failed = |reason| CliError::Create { name: shown(file), reason };
    if let Some(refusal) = engine::refusal_of_create(&request) {
        return Err(failed(refusal.to_string()));
    }
    let engine = engine::open(args.engine.engine)?;
    let target = Target::open(file).map_err(failed)?;
    let stats =
        fill(program, engine.as_ref(), &target.file, &request, &failed).inspect_err(|_| target.discard())?;
    if args.engine.stats {
        to_stderr(&stats_text(args.engine.engine, &stats));
    }
    Ok(())
}

fn operand(args: &CreateArgs) -> Result<&OsString, CliError> {
    let refused = [
        (args.backing.is_some(), "--backing"),
        (args.backing_format.is_some(), "--backing-format"),
        (args.backing_unsafe, "--backing-unsafe"),
        (args.object.is_some(), "--object"),
    ];
    if let Some((_, option)) = refused.iter().find(|(given, _)| *given) {
        return Err(CliError::Refused(format!("{option} is not supported")));
    }
    let usage = |text| CliError::Usage { text };
    if let Some(extra) = args.extra.first() {
        return Err(usage(format!("Unexpected argument: {}", shown(extra))));
    }
    let file = args.file.as_ref();
    file.ok_or_else(|| usage("Expecting image file name".to_owned()))
}

/// Makes the request out of format, options and size, and announces it.
fn request(args: &CreateArgs, file: &OsStr) -> Result<CreateRequest, CliError> {
    let failed = |reason| CliError::Create { name: shown(file), reason };
    for list in &args.options {
        Options::check_list(list).map_err(CliError::Refused)?;
    }
    let size = args.size.as_deref().map(operand_size).transpose()?;
    let unknown = |_| failed(format!("Unknown file format '{}'", shown(args.format.as_ref())));
    let format = parse_format(&args.format).map_err(unknown)?;
    if format == Format::Luks {
        return Err(CliError::Refused(Refusal::CreateLuks.to_string()));
    }
    if format == Format::Qed {
        return Err(CliError::Refused(Refusal::CreateQed.to_string()));
    }
    let options = Options::parse(format, &args.options).map_err(failed)?;
    let size = match (size, options.size) {
        (Some(_), Some(_)) => {
            return Err(failed("The image size must be specified only once".to_owned()));
        }
        (None, None) => {
            return Err(failed("Image creation needs a size parameter".to_owned()));
        }
        (Some(size), None) | (None, Some(size)) => size,
    };
    if !args.quiet {
        let details = options.formatting(size);
        to_stdout(&format!("Formatting '{}', fmt={details}\n", shown(file)))?;
    }
    let qcow2 = options.qcow2().map_err(failed)?;
    Ok(CreateRequest { format, size, qcow2 })
}

fn operand_size(word: &OsStr) -> Result<u64, CliError> {
    let size = word.to_str().map(|text| size::parse("size", text));
    size.unwrap_or(Err(SizeError::Syntax { parameter: "size" })).map_err(|error| {
        CliError::Refused(match error {
            SizeError::Syntax { .. } => {
                format!("Invalid image size specified: '{}'", shown(word))
            }
            SizeError::OutOfRange { .. } => {
                format!("Invalid image size specified. Must be between 0 and {}.", size::MAX_SIZE)
            }
        })
    })
}

/// Lays the image out and gives the file its length.
fn fill(
    program: &Program,
    engine: &dyn engine::Engine,
    file: &File,
    request: &CreateRequest,
    failed: &dyn Fn(String) -> CliError,
) -> Result<Stats, CliError> {
    let finished = engine.create(file, request)?;
    let outcome = finished.result.map_err(|error| match error {
        OpError::Io(e) => failed(io_text(&e)),
        other => failed(other.to_string()),
    })?;
    finish(program, file, &outcome, Preallocation::Off).map_err(|error| match error {
        CliError::Refused(reason) => failed(reason),
        other => other,
    })?;
    Ok(finished.stats)
}

/// The emptied file that the image goes into.
struct Target {
    name: ImageName,
    file: File,
    is_new: bool,
}

impl Target {
    /// Opens, locks and empties the file, making it if there is none.
    fn open(given: &OsStr) -> Result<Self, String> {
        let name = ImageName::new(given)?;
        let path = name.shown_path();
        let not_created = |e: io::Error| format!("Could not create '{path}': {}", errno_text(&e));
        let (file, is_new) = open_or_create(&name).map_err(not_created)?;
        let target = Self { name, file, is_new };
        if !target.file.metadata().is_ok_and(|m| m.is_file()) {
            return Err(format!("'{path}' is not a regular file"));
        }
        lock(&target.file, Claim::Exclusive)
            .map_err(|why| format!("{why}\nIs another process using the image [{path}]?"))?;
        target.file.set_len(0).map_err(not_created)?;
        Ok(target)
    }

    /// Leaves nothing half made behind: what is left of an existing file is empty.
    fn discard(&self) {
        // The error that brought us here is the one to tell.
        if self.is_new {
            drop(std::fs::remove_file(self.name.path()));
        } else {
            drop(self.file.set_len(0));
        }
    }
}

fn open_or_create(name: &ImageName) -> io::Result<(File, bool)> {
    // A FIFO or a device is not even opened.
    if let Ok(metadata) = name.path().metadata()
        && !metadata.is_file()
    {
        let number = if metadata.is_dir() { libc::EISDIR } else { libc::EINVAL };
        return Err(io::Error::from_raw_os_error(number));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(NEW_FILE_MODE).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.clone().create_new(true).open(name.path()) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            // Not necessarily existing after all: the name may be a link to nowhere.
            options.create(true).open(name.path()).map(|f| (f, false))
        }
        other => other.map(|f| (f, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_removed_and_an_old_one_emptied() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("new.img");
        let target = Target::open(path.as_os_str()).expect("made");
        assert!(target.is_new);
        target.discard();
        assert!(!path.exists());
        std::fs::write(&path, b"old").expect("written");
        let target = Target::open(path.as_os_str()).expect("opened");
        assert!(!target.is_new);
        target.discard();
        assert_eq!(path.metadata().expect("still there").len(), 0);
    }

    #[test]
    fn a_locked_file_keeps_its_content() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), b"old").expect("written");
        lock(file.as_file(), Claim::Read).expect("free");
        let error = Target::open(file.path().as_os_str()).err().expect("locked");
        assert!(error.starts_with("Failed to get \"write\" lock\nIs another process"));
        assert_eq!(std::fs::read(file.path()).expect("read"), b"old");
    }

    #[test]
    fn directories_are_not_images() {
        let error = Target::open(OsStr::new("/tmp")).err();
        assert_eq!(error.as_deref(), Some("Could not create '/tmp': Is a directory"));
    }
}
