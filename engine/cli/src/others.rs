//! The other files of an image: its external data file and the chain behind it, opened as far as the
//! gate lets them be.
//!
//! Names and formats are what the engine says of each image; nothing is read of them here.

mod reveal;

use crate::engine::Engine;
use crate::error::{CliError, io_text};
use crate::gate::Gate;
use crate::image::Image;
use crate::lock::{Claim, lock};
use crate::name::ImageName;
use crate::part::Part;
use crate::source::Source;
use crate::stored::Stored;
use instar_ops::{Format, ImageError, ImageInfo, InfoRequest, LayerError, MAX_LAYERS};
use instar_vmm::{LayerFiles, Others, Window};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

pub use reveal::Sealed;

/// What `qemu-img` says before whatever is wrong with a backing file, once for each step down.
const BEHIND: &str = "Could not open backing file: ";

/// Open files.
#[derive(Debug, Default)]
pub struct OtherFiles {
    /// The image's external data file.
    pub data_file: Option<File>,
    layers: Vec<Layer>,
}

/// A file of the backing chain.
#[derive(Debug)]
struct Layer {
    name: ImageName,
    file: File,
    part: Part,
    data_file: Option<File>,
    format: Format,
    /// Virtual size in bytes.
    size: u64,
    /// The name of the secret that opens it, if it is encrypted.
    key_secret: Option<String>,
}

impl OtherFiles {
    /// Opens what `image` and the images behind it name.
    ///
    /// # Errors
    /// [`CliError::Open`] in `qemu-img`'s words; [`CliError::Vmm`] if the engine failed.
    pub fn open(
        engine: &dyn Engine,
        (image, source): (&Image, &Source),
        gate: &Gate,
    ) -> Result<Self, CliError> {
        Ok(Self::walk(engine, (image, Some(source)), gate, Claims::Write)?.0)
    }

    /// Opens what an image that nothing is done to, and that others may be writing, and the images behind
    /// it name, and describes it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn look(engine: &dyn Engine, image: &Image) -> Result<(Self, ImageInfo), CliError> {
        Self::walk(engine, (image, None), &Gate::Allow, Claims::Nothing)
    }

    fn walk(
        engine: &dyn Engine,
        (image, source): (&Image, Option<&Source>),
        gate: &Gate,
        claims: Claims,
    ) -> Result<(Self, ImageInfo), CliError> {
        let mut all = Self::default();
        let refused = |reason| CliError::Open { name: image.name.given(), reason };
        let own = describe(engine, image.window(), image.format)?.map_err(refused)?;
        let mut info = own.clone();
        all.data_file = data_file(&info, gate, claims).map_err(refused)?;
        let mut seen = vec![(identity(&image.file).map_err(refused)?, image.part)];
        let mut owner = image.name.clone();
        let mut told = source.map(|source| source.behind().to_vec()).unwrap_or_default();
        while !info.backing_file.is_empty() {
            let behind = BEHIND.repeat(all.layers.len() + 1);
            let refused = |reason: String| refused(format!("{behind}{reason}"));
            if all.layers.len() == MAX_LAYERS {
                return Err(refused(format!("the backing chain is longer than {MAX_LAYERS} files")));
            }
            let ImageInfo { backing_file, backing_format, .. } = &info;
            let stored = Stored::parse(&owner, backing_file, backing_format, &told).map_err(refused)?;
            let Image { name, file, part, format, .. } = Image::behind(&stored, gate).map_err(refused)?;
            let own = (identity(&file).map_err(refused)?, part);
            if seen.contains(&own) {
                let name = name.shown_path();
                return Err(refused(format!("Backing file '{name}' creates an infinite loop.")));
            }
            seen.push(own);
            claim(&file, &name, claims.of_layers()).map_err(refused)?;
            let window = part.of(&file);
            info = describe(engine, window, format)?.map_err(refused)?;
            let mut key_secret = None;
            if let Some(source) = source.filter(|_| info.encrypted) {
                let id = stored.key_secret().ok_or_else(|| refused(locked(&info)))?;
                source.unlock_with(engine, (window, Some(info.format)), id, refused)?;
                key_secret = Some(id.to_owned());
            }
            let data_file = data_file(&info, gate, claims.behind()).map_err(refused)?;
            owner = name.clone();
            let (format, size) = (info.format, info.virtual_size);
            all.layers.push(Layer { name, file, part, data_file, format, size, key_secret });
            let opts = stored.opts.unwrap_or_default();
            if opts.detached {
                break;
            }
            told = opts.behind;
        }
        Ok((all, own))
    }

    /// All of them.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        let layers = self.layers.iter().flat_map(|layer| [Some(&layer.file), layer.data_file.as_ref()]);
        layers.flatten().chain(&self.data_file)
    }

    /// The files as an engine takes them.
    pub fn as_others(&self) -> Others<'_> {
        Others {
            data_file: self.data_file.as_ref(),
            layers: self.layers.iter().map(Layer::files).collect(),
            detached: false,
            unlocked: false,
            extents: Vec::new(),
        }
    }

    /// Why layer `layer` could not be used.
    pub fn error(&self, layer: u32, error: LayerError) -> CliError {
        let layer = usize::try_from(layer).unwrap_or(usize::MAX);
        let name = self.layers.get(layer).map(|layer| layer.name.shown_path()).unwrap_or_default();
        let reason = match error {
            LayerError::Io(e) => io_text(&e),
            LayerError::Image(e) => e.to_string(),
            LayerError::Refused(e) => e.to_string(),
        };
        CliError::Refused(format!("Could not read backing file '{name}': {reason}"))
    }
}

impl Layer {
    const fn files(&self) -> LayerFiles<'_> {
        let (file, data_file) = (self.part.of(&self.file), self.data_file.as_ref());
        LayerFiles { file, data_file, format: self.format }
    }
}

/// What is said of an encrypted image for which no secret is named.
fn locked(info: &ImageInfo) -> String {
    let needed =
        if info.format == Format::Luks { ImageError::KeySecret } else { ImageError::EncryptKeySecret };
    needed.to_string()
}

fn claim(file: &File, name: &ImageName, claim: Claim) -> Result<(), String> {
    let path = name.shown_path();
    lock(file, claim).map_err(|why| format!("{why}\nIs another process using the image [{path}]?"))
}

/// What is claimed of the files that an image names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claims {
    /// To write its data file, and to read what is behind it.
    Write,
    /// To read them.
    Read,
    /// Nothing.
    Nothing,
}

impl Claims {
    const fn of_layers(self) -> Claim {
        if matches!(self, Self::Nothing) { Claim::Nothing } else { Claim::Read }
    }

    const fn of_data_file(self) -> Claim {
        if matches!(self, Self::Write) { Claim::Exclusive } else { self.of_layers() }
    }

    /// Of the files that a layer names.
    const fn behind(self) -> Self {
        if matches!(self, Self::Nothing) { self } else { Self::Read }
    }
}

/// Opens the external data file of the image that is described, if it has one.
fn data_file(info: &ImageInfo, gate: &Gate, claims: Claims) -> Result<Option<File>, String> {
    let Some(stored) = info.qcow2.as_ref().and_then(|qcow2| qcow2.data_file.as_ref()) else {
        return Ok(None);
    };
    if stored.is_empty() {
        return Err("'data-file' is required for this image".to_owned());
    }
    // Unlike that of a backing file, `qemu-img` takes this name as it stands.
    let name = ImageName::new(OsStr::from_bytes(stored))?;
    let file = gate.open(name.path(), claims == Claims::Write)?;
    claim(&file, &name, claims.of_data_file())?;
    Ok(Some(file))
}

/// What the engine says of an image, or why it cannot be opened.
fn describe(
    engine: &dyn Engine,
    file: Window<'_>,
    format: Option<Format>,
) -> Result<Result<ImageInfo, String>, CliError> {
    let finished = engine.info(file, &[], &InfoRequest { format })?;
    Ok(finished.result.map(|(info, _)| info).map_err(|error| error.to_string()))
}

/// What tells a file from every other one: device and inode.
///
/// # Errors
/// The kernel's, in words.
pub fn identity(file: &File) -> Result<(u64, u64), String> {
    let metadata = file.metadata().map_err(|e| format!("Could not stat: {e}"))?;
    Ok((metadata.dev(), metadata.ino()))
}
