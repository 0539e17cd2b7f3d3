//! The other files of an image: its external data file and the chain behind it, opened as far as the
//! gate lets them be.
//!
//! Names and formats are what the engine says of each image; nothing is read of them here.

mod reveal;

use crate::engine::Engine;
use crate::error::{CliError, io_text};
use crate::gate::Gate;
use crate::image::{Image, parse_format};
use crate::image_opts::Behind;
use crate::lock::{Claim, lock};
use crate::name::ImageName;
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
        let mut seen = vec![identity(&image.file).map_err(refused)?];
        let mut owner = image.name.clone();
        while !info.backing_file.is_empty() {
            let behind = BEHIND.repeat(all.layers.len() + 1);
            let refused = |reason: String| refused(format!("{behind}{reason}"));
            if all.layers.len() == MAX_LAYERS {
                return Err(refused(format!("the backing chain is longer than {MAX_LAYERS} files")));
            }
            let told = source.and_then(|source| source.behind().get(all.layers.len()));
            let stored = named(&owner, &info, told).map_err(refused)?;
            let (mut layer, named) = Layer::open(&stored, gate).map_err(refused)?;
            let own = identity(&layer.file).map_err(refused)?;
            if seen.contains(&own) {
                let name = layer.name.shown_path();
                return Err(refused(format!("Backing file '{name}' creates an infinite loop.")));
            }
            seen.push(own);
            claim(&layer.file, &layer.name, claims.of_layers()).map_err(refused)?;
            info = describe(engine, (&layer.file).into(), named)?.map_err(refused)?;
            if let Some(source) = source.filter(|_| info.encrypted) {
                let id = stored.key_secret.as_deref().ok_or_else(|| refused(locked(&info)))?;
                source.unlock_with(engine, ((&layer.file).into(), Some(info.format)), id, refused)?;
                layer.key_secret = Some(id.to_owned());
            }
            (layer.format, layer.size) = (info.format, info.virtual_size);
            layer.data_file = data_file(&info, gate, claims.behind()).map_err(refused)?;
            owner = layer.name.clone();
            all.layers.push(layer);
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
        LayerFiles { file: &self.file, data_file: self.data_file.as_ref(), format: self.format }
    }

    /// Opens a backing file, and tells the format that it is said to have.
    fn open(stored: &Stored, gate: &Gate) -> Result<(Self, Option<Format>), String> {
        let format = stored.format.as_deref().map(parse_format).transpose()?;
        let file = gate.open(stored.name.path(), false)?;
        // Until the engine has said what it is.
        let (unknown, size) = (Format::Raw, 0);
        let name = stored.name.clone();
        Ok((Self { name, file, data_file: None, format: unknown, size, key_secret: None }, format))
    }
}

/// What the backing file of `owner` is, by what `owner` says and what the user has `told`, which counts for more.
fn named(owner: &ImageName, info: &ImageInfo, told: Option<&Behind>) -> Result<Stored, String> {
    let mut stored = Stored::parse(owner, &info.backing_file)?;
    let own = String::from_utf8_lossy(&info.backing_format);
    stored.format = stored.format.or_else(|| (!own.is_empty()).then(|| own.into_owned()));
    let Some(Behind { driver, filename, key_secret, .. }) = told else { return Ok(stored) };
    if let Some(filename) = filename {
        stored = Stored {
            name: ImageName::new(OsStr::new(&format!("file:{filename}")))?,
            format: None,
            key_secret: None,
        };
    }
    stored.format = driver.clone().or(stored.format);
    stored.key_secret = key_secret.clone().or(stored.key_secret);
    Ok(stored)
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
