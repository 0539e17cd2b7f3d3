//! The backing file of an image that is to be created.

use crate::engine::Engine;
use crate::error::CliError;
use crate::gate::Gate;
use crate::image::{Access, Image, format_name};
use crate::message::shown;
use crate::name::ImageName;
use crate::options::Options;
use crate::others::{OtherFiles, identity};
use crate::stored::Stored;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// What is said after whatever is wrong with the file.
const NOT_OPENED: &str = "\nCould not open backing image.";
/// A format that is guessed could be one that a guest has written there.
const NO_FORMAT: &str = "Backing file specified without backing format";

/// What is behind the new image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behind {
    /// Virtual size in bytes, if the file was looked at.
    pub size: Option<u64>,
    /// What identifies the content of a VMDK image.
    pub cid: Option<u32>,
    /// What tells the files of the chain from every other file: they must not be overwritten.
    pub files: Vec<(u64, u64)>,
}

impl Behind {
    /// Looks at what `options` name for the new image `new`, and at all that is behind it, unless that is
    /// not wanted. `engine` is asked for only if it is needed.
    ///
    /// # Errors
    /// What to say after the new image's name, or [`CliError::Vmm`].
    pub fn look(
        new: &OsStr,
        options: &Options,
        unlooked: bool,
        engine: impl FnOnce() -> Result<Box<dyn Engine>, CliError>,
    ) -> Result<Self, CliError> {
        let failed = |reason: &str| CliError::Create { name: shown(new), reason: reason.to_owned() };
        let Some(file) = &options.backing_file else {
            return Ok(Self::default());
        };
        if file.is_empty() {
            return Err(failed("Expected backing file name, got empty string"));
        }
        if file == new {
            return Err(failed(
                "Error: Trying to create an image with the same filename as the backing file",
            ));
        }
        // A descriptor tells what its parent has.
        if unlooked && !options.tells_content() {
            let named = options.backing_format.is_some();
            return if named { Ok(Self::default()) } else { Err(failed(NO_FORMAT)) };
        }
        let not_opened = |error| match error {
            CliError::Open { reason, .. } => failed(&format!("{reason}{NOT_OPENED}")),
            other => other,
        };
        let engine = engine()?;
        let image = open(new, file, options.backing_format.as_ref()).map_err(not_opened)?;
        let (others, info) = OtherFiles::look(engine.as_ref(), &image).map_err(not_opened)?;
        if options.backing_format.is_none() {
            let probed = format_name(info.format);
            return Err(failed(&format!("{NO_FORMAT}\nDetected format of {probed}.")));
        }
        let files = others.files().chain([&image.file]).map(identity).collect::<Result<_, _>>();
        let cid = info.vmdk.map(|vmdk| vmdk.cid);
        Ok(Self { size: Some(info.virtual_size), cid, files: files.map_err(|e| failed(&e))? })
    }
}

/// Opens the file that the new image would call `file`. Whoever writes to it goes on doing so.
fn open(new: &OsStr, file: &OsString, format: Option<&OsString>) -> Result<Image, CliError> {
    let refused = |reason| CliError::Open { name: shown(file), reason };
    let owner = ImageName::new(new).map_err(refused)?;
    let format = match format.map(|format| format.as_bytes()) {
        Some(b"") => return Err(refused("Unknown driver ''".to_owned())),
        format => format.unwrap_or_default(),
    };
    let stored = Stored::parse(&owner, file.as_bytes(), format, &[]).map_err(refused)?;
    Image::open_named(&stored, &Gate::Allow, Access::Shared)
}
