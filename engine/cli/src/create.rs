//! `instar create`.

use crate::args::CreateArgs;
use crate::behind::Behind;
use crate::engine;
use crate::error::{CliError, io_text};
use crate::extents::ExtentFiles;
use crate::finish::{fill_data_file, finish, finish_data_file};
use crate::identity;
use crate::image::parse_format;
use crate::lock::{Claim, lock};
use crate::message::{Program, errno_text, shown, to_stderr, to_stdout};
use crate::name::ImageName;
use crate::options::{Options, help};
use crate::others;
use crate::secret::Secrets;
use crate::show::stats_text;
use crate::size::{self, SizeError};
use crate::space;
use instar_ops::{
    CreateRequest, Format, Label, MAX_EXTENTS, OpError, Refusal, ResizeError, VmdkOptions, new_extent_name,
    new_extents,
};
use instar_vmm::Stats;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt;

/// What is said before whatever keeps a new image from getting its size.
const NOT_RESIZED: &str = "Could not resize image: ";
/// Permissions of a new image, before the umask.
const NEW_FILE_MODE: u32 = 0o644;

/// Runs the command. An existing file is not touched before the request is known to be sound.
///
/// # Errors
/// [`CliError`]. A file that was made for the image is removed again.
pub fn run(program: &Program, args: &CreateArgs) -> Result<(), CliError> {
    Secrets::parse(&args.object)?;
    for list in &args.options {
        Options::check_list(list).map_err(CliError::Refused)?;
    }
    if help::is_asked(&args.options) {
        return help(args);
    }
    let file = operand(args)?;
    let (request, options, behind) = request(args, file)?;
    let failed = |reason| CliError::Create { name: shown(file), reason };
    match engine::refusal_of_create(&request) {
        Some(OpError::Refused(Refusal::CreateNames)) => return Err(failed(options.names_do_not_fit())),
        Some(refusal) => return Err(failed(refusal.to_string())),
        None => {}
    }
    let engine = engine::open(args.engine.engine)?;
    // Before an existing image is emptied: what lies in their place is somebody's.
    let mut extents = ExtentFiles::default();
    make_extents(&mut extents, file, &request).map_err(failed)?;
    let target = Target::open(file, &behind.files).map_err(failed);
    let target = target.inspect_err(|_| extents.discard_new())?;
    let data_file = options.data_file.as_ref().map(|name| Target::open(name, &behind.files)).transpose();
    let data_file = data_file.map_err(failed).inspect_err(|_| target.discard())?;
    let beside = data_file.iter().map(|target| &target.file).chain(extents.files());
    for file in beside.chain([&target.file]) {
        options.attributes.apply(program, file);
    }
    let files = (&target.file, data_file.as_ref().map(|target| &target.file), &extents);
    let stats = fill(program, engine.as_ref(), files, &request, &failed);
    let stats = stats.inspect_err(|_| {
        target.discard();
        data_file.iter().for_each(Target::discard);
        extents.discard_new();
    })?;
    if args.engine.stats {
        to_stderr(&stats_text(args.engine.engine, &stats));
    }
    Ok(())
}

/// Tells what options the format has, and those of the file if one is named. Nothing is made.
fn help(args: &CreateArgs) -> Result<(), CliError> {
    let unknown = |_| CliError::Refused(format!("Unknown file format '{}'", shown(args.format.as_ref())));
    let format = supported(parse_format(&args.format).map_err(unknown)?)?;
    if let Some(file) = &args.file {
        ImageName::new(file).map_err(CliError::Refused)?;
    }
    to_stdout(&help::text(format, args.file.is_some()))
}

/// The format, if new images are made in it.
fn supported(format: Format) -> Result<Format, CliError> {
    match format {
        Format::Luks => Err(CliError::Refused(Refusal::CreateLuks.to_string())),
        Format::Qed => Err(CliError::Refused(Refusal::CreateQed.to_string())),
        format => Ok(format),
    }
}

fn operand(args: &CreateArgs) -> Result<&OsString, CliError> {
    let usage = |text| CliError::Usage { text };
    // Of several things that are wrong, the size comes first.
    args.size.as_deref().map(operand_size).transpose()?;
    if let Some(extra) = args.extra.first() {
        return Err(usage(format!("Unexpected argument: {}", shown(extra))));
    }
    let file = args.file.as_ref();
    file.ok_or_else(|| usage("Expecting image file name".to_owned()))
}

/// Makes the request out of format, options and size, and announces it. Also what the options are, and what
/// is behind the image.
fn request(args: &CreateArgs, file: &OsStr) -> Result<(CreateRequest, Options, Behind), CliError> {
    let failed = |reason| CliError::Create { name: shown(file), reason };
    let size = args.size.as_deref().map(operand_size).transpose()?;
    let unknown = |_| failed(format!("Unknown file format '{}'", shown(args.format.as_ref())));
    let format = supported(parse_format(&args.format).map_err(unknown)?)?;
    ImageName::new(file).map_err(failed)?;
    let mut options = Options::parse(format, &args.options).map_err(failed)?;
    if size.is_some() && options.size.is_some() {
        return Err(failed("The image size must be specified only once".to_owned()));
    }
    options.set_backing(args.backing.as_ref(), args.backing_format.as_ref()).map_err(failed)?;
    let behind = Behind::look(file, &options, args.backing_unsafe, || engine::open(args.engine.engine))?;
    let needed = || failed("Image creation needs a size parameter".to_owned());
    let size = size.or(options.size).or(behind.size).ok_or_else(needed)?;
    if !args.quiet {
        let details = options.formatting(size);
        to_stdout(&format!("Formatting '{}', fmt={details}\n", shown(file)))?;
    }
    let mut request = options.request(size).map_err(failed)?;
    request.identity = identity::fresh()?;
    if format == Format::Vmdk {
        name_vmdk(&mut request.vmdk, file, &options, &behind).map_err(failed)?;
    }
    Ok((request, options, behind))
}

/// Has the descriptor name its own file, and tell the content of the one behind it.
fn name_vmdk(vmdk: &mut VmdkOptions, file: &OsStr, options: &Options, behind: &Behind) -> Result<(), String> {
    let name = ImageName::new(file)?;
    let name = name.path().file_name().unwrap_or_default().as_bytes();
    // What ends a name in a descriptor.
    let label = Label::new(name).filter(|_| !name.contains(&b'"') && !name.contains(&b'\n'));
    vmdk.name = label.ok_or("a descriptor cannot name a file of this name")?;
    if options.backing_file.is_some() {
        vmdk.parent_cid = Some(behind.cid.ok_or("backing_file must be a vmdk image")?);
    }
    Ok(())
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

/// Lays the image out and gives the files their lengths. The data file, which is the second one, is
/// nobody's before the image is there.
fn fill(
    program: &Program,
    engine: &dyn engine::Engine,
    (file, data_file, extents): (&File, Option<&File>, &ExtentFiles),
    request: &CreateRequest,
    failed: &dyn Fn(String) -> CliError,
) -> Result<Stats, CliError> {
    let mode = request.qcow2.preallocation;
    let finished = engine.create(file, &extents.files(), request)?;
    let outcome = finished.result.map_err(|error| match (error, space::text(&error, mode, false)) {
        (_, Some(text)) => failed(format!("{NOT_RESIZED}{text}")),
        (OpError::Io(e), None) => failed(io_text(&e)),
        (other, None) => failed(other.to_string()),
    })?;
    let named = |before: &'static str| {
        move |error| match error {
            CliError::Refused(reason) => failed(format!("{before}{reason}")),
            other => other,
        }
    };
    finish(program, file, &outcome, mode).map_err(named(""))?;
    if let Some(data_file) = data_file {
        finish_data_file(program, data_file, &outcome).map_err(named(NOT_RESIZED))?;
        fill_data_file(data_file, &outcome, mode).map_err(named(NOT_RESIZED))?;
    }
    Ok(finished.stats)
}

/// Makes the files that the disk goes into, if it goes into others than the image's own.
fn make_extents(extents: &mut ExtentFiles, file: &OsStr, request: &CreateRequest) -> Result<(), String> {
    if request.format != Format::Vmdk {
        return Ok(());
    }
    let count = new_extents(request);
    if count > MAX_EXTENTS as u64 {
        return Err(ResizeError::VmdkTooManyExtents { most: MAX_EXTENTS as u64 }.to_string());
    }
    let names = (0..count).map(|n| new_extent_name(request, n)).collect::<Option<Vec<_>>>();
    extents.create(&ImageName::new(file)?, &names.ok_or("the names of extents are too long")?)
}

/// The emptied file that the image goes into.
struct Target {
    name: ImageName,
    file: File,
    is_new: bool,
}

impl Target {
    /// Opens, locks and empties the file, making it if there is none. Those that are `behind` the new image
    /// are refused.
    fn open(given: &OsStr, behind: &[(u64, u64)]) -> Result<Self, String> {
        let name = ImageName::new(given)?;
        let path = name.shown_path();
        let not_created = |e: io::Error| format!("Could not create '{path}': {}", errno_text(&e));
        let (file, is_new) = open_or_create(&name).map_err(not_created)?;
        let target = Self { name, file, is_new };
        if !target.file.metadata().is_ok_and(|m| m.is_file()) {
            return Err(format!("'{path}' is not a regular file"));
        }
        if behind.contains(&others::identity(&target.file)?) {
            return Err(format!("'{path}' is behind the image that is to be created"));
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
        let target = Target::open(path.as_os_str(), &[]).expect("made");
        assert!(target.is_new);
        target.discard();
        assert!(!path.exists());
        std::fs::write(&path, b"old").expect("written");
        let target = Target::open(path.as_os_str(), &[]).expect("opened");
        assert!(!target.is_new);
        target.discard();
        assert_eq!(path.metadata().expect("still there").len(), 0);
    }

    #[test]
    fn a_locked_file_keeps_its_content() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), b"old").expect("written");
        lock(file.as_file(), Claim::Read).expect("free");
        let error = Target::open(file.path().as_os_str(), &[]).err().expect("locked");
        assert!(error.starts_with("Failed to get \"write\" lock\nIs another process"));
        assert_eq!(std::fs::read(file.path()).expect("read"), b"old");
    }

    #[test]
    fn directories_are_not_images() {
        let error = Target::open(OsStr::new("/tmp"), &[]).err();
        assert_eq!(error.as_deref(), Some("Could not create '/tmp': Is a directory"));
    }
}
