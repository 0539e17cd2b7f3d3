//! Opening an image file: what the host decides without reading the image's metadata.

use crate::error::CliError;
use crate::gate::Gate;
use crate::image_opts::{FILE_DRIVER, ImageOpts};
use crate::lock::{Claim, lock};
use crate::message::errno_text;
use crate::name::ImageName;
use crate::part::{Part, RawLayer};
use crate::stored::Stored;
use instar_formats::probe::{HEAD_LEN, Probed, VHD_FOOTER_LEN, probe};
use instar_ops::Format;
use instar_vmm::Window;
use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Bytes in a unit of `st_blocks`.
const STAT_BLOCK: u64 = 512;

/// What a command is going to do with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Change it.
    Write,
    /// Describe it.
    Info,
    /// Check it.
    Check,
    /// Check and repair it.
    Repair,
    /// Look at it whoever may be writing (`--force-share`).
    Shared,
}

/// An open, locked image file.
#[derive(Debug)]
pub struct Image {
    /// What it is called.
    pub name: ImageName,
    /// The file.
    pub file: File,
    /// The format that the user named.
    pub format: Option<Format>,
    /// Whether that is a guess for all that.
    pub guessed: bool,
    /// Length of the image when it was opened, in bytes.
    pub len: u64,
    /// The part of the file that it is.
    pub part: Part,
    /// Length in bytes of each raw layer between the file and the format, from below.
    pub lengths: Vec<u64>,
    /// Whether it is the file itself by the user's word, and not a raw image in it.
    pub is_file: bool,
}

/// A raw layer that is all of what is below it.
const NO_LAYER: RawLayer = RawLayer::whole();

impl Image {
    /// Opens and locks the image called `given`.
    ///
    /// # Errors
    /// [`CliError::Open`] with what `qemu-img` says; nothing was changed.
    pub fn open(given: &OsStr, format: Option<&str>, access: Access) -> Result<Self, CliError> {
        let refused = |reason| CliError::Open { name: crate::message::shown(given), reason };
        // A format that nobody knows is found before a name that nobody can open.
        format.map(parse_driver).transpose().map_err(refused)?;
        Self::open_as(ImageName::new(given).map_err(refused)?, None, format, access)
    }

    /// As [`Self::open`], by a name that is understood, and its options, if it has any.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_as(
        name: ImageName,
        opts: Option<&ImageOpts>,
        format: Option<&str>,
        access: Access,
    ) -> Result<Self, CliError> {
        let given = name.given();
        let refused = |reason| CliError::Open { name: given.clone(), reason };
        format.map(parse_driver).transpose().map_err(refused)?;
        let file = open_regular(&name, matches!(access, Access::Write | Access::Repair))?;
        let image = Self::of_file(name, opts, format, file).map_err(refused)?;
        let claim = image.claim(access).map_err(refused)?;
        lock(&image.file, claim).map_err(|why| locked(&image.name, &why))?;
        Ok(image)
    }

    /// Opens and locks an image that another one names, to describe it, if `gate` lets it be.
    ///
    /// # Errors
    /// [`CliError::Open`] with what `qemu-img` says.
    pub fn open_named(stored: &Stored, gate: &Gate, access: Access) -> Result<Self, CliError> {
        let refused = |reason| CliError::Open { name: stored.name.behind(), reason };
        let image = Self::behind(stored, gate).map_err(refused)?;
        let claim = image.claim(access).map_err(refused)?;
        lock(&image.file, claim).map_err(|why| locked(&image.name, &why))?;
        Ok(image)
    }

    /// Opens an image that another one names, to be read only, if `gate` lets it be. It is not locked yet.
    ///
    /// # Errors
    /// What `qemu-img` says, without a name.
    pub fn behind(stored: &Stored, gate: &Gate) -> Result<Self, String> {
        let format = stored.format.as_deref();
        format.map(parse_driver).transpose()?;
        let file = gate.open(stored.name.path(), false)?;
        Self::of_file(stored.name.clone(), stored.opts.as_ref(), format, file)
    }

    /// The image in an open file.
    fn of_file(
        name: ImageName,
        opts: Option<&ImageOpts>,
        format: Option<&str>,
        file: File,
    ) -> Result<Self, String> {
        let driver = format.map(parse_driver).transpose()?;
        let is_file = driver.is_some_and(|(_, is_file)| is_file);
        let format = driver.map(|(format, _)| format);
        let len = metadata(&file)?.len();
        let (part, lengths, guessed) = (Part::default(), Vec::new(), false);
        let mut image = Self { len, name, file, format, guessed, is_file, part, lengths };
        if let Some(opts) = opts {
            image.place(opts)?;
        }
        Ok(image)
    }

    /// Finds the part of the file that the options name. Which of them there may be depends on the format.
    fn place(&mut self, opts: &ImageOpts) -> Result<(), String> {
        let (_, below) = opts.layers.split_last().unwrap_or((&NO_LAYER, &[]));
        for layer in below {
            (self.part, self.len) = layer.within(self.part, self.len)?;
            self.lengths.push(self.len);
        }
        let opts = match self.format {
            Some(_) => opts.clone(),
            None => opts.probed(probed_name(self.probe()?))?,
        };
        if let Some(own) = opts.layers.last().filter(|own| own.is_part()) {
            (self.part, self.len) = own.within(self.part, self.len)?;
            // What begins at its offset may look like something else.
            (self.format, self.guessed) = (Some(Format::Raw), self.format.is_none());
        }
        self.name = self.name.clone().described(opts.shown()).above(opts.shown_below());
        Ok(())
    }

    /// The part of the file that it is, as engines take it.
    #[must_use]
    pub const fn window(&self) -> Window<'_> {
        self.part.of(&self.file)
    }

    /// A writer must not depend on what it finds to know whether it may look; readers leave an
    /// image without metadata unlocked, as `qemu-img` does.
    fn claim(&self, access: Access) -> Result<Claim, String> {
        Ok(match access {
            Access::Write | Access::Repair => Claim::Exclusive,
            Access::Shared => Claim::Nothing,
            Access::Info | Access::Check if self.is_raw()? => Claim::Nothing,
            Access::Info => Claim::Glance,
            Access::Check => Claim::Read,
        })
    }

    /// Whether the image is raw: by the user's word or, without one, because it has no magic bytes
    /// of any other format. That is all that is looked at here; what comes of it is a warning and a
    /// lock, the engine probes for itself.
    ///
    /// # Errors
    /// The kernel's text if the file cannot be read.
    pub fn is_raw(&self) -> Result<bool, String> {
        match self.format {
            Some(format) => Ok(format == Format::Raw),
            None => Ok(self.probe()? == Probed::Raw),
        }
    }

    /// What the first and the last bytes are those of.
    fn probe(&self) -> Result<Probed, String> {
        let failed = |e: io::Error| format!("Could not read image: {}", errno_text(&e));
        let mut head = [0; HEAD_LEN];
        let mut tail = [0; VHD_FOOTER_LEN];
        let footer = self.len.saturating_sub(VHD_FOOTER_LEN as u64);
        let inside = self.part.offset.saturating_add(footer);
        let got_head = read_what_is_there(&self.file, &mut head, self.part.offset).map_err(failed)?;
        let got_tail = read_what_is_there(&self.file, &mut tail, inside).map_err(failed)?;
        Ok(probe(got_head, got_tail))
    }

    /// Length and space on the host now, in bytes.
    ///
    /// # Errors
    /// [`CliError::Open`] if the kernel does not say.
    pub fn host_sizes(&self) -> Result<(u64, u64), CliError> {
        let metadata =
            metadata(&self.file).map_err(|reason| CliError::Open { name: self.name.given(), reason })?;
        Ok((metadata.len(), metadata.blocks() * STAT_BLOCK))
    }
}

/// The formats by name.
///
/// # Errors
/// `qemu-img`'s words for a name that is none of them.
pub fn parse_format(name: &str) -> Result<Format, String> {
    match name {
        "raw" => Ok(Format::Raw),
        "qcow2" => Ok(Format::Qcow2),
        "luks" => Ok(Format::Luks),
        "qed" => Ok(Format::Qed),
        "vpc" => Ok(Format::Vhd),
        "vhdx" => Ok(Format::Vhdx),
        "vmdk" => Ok(Format::Vmdk),
        other => Err(format!("Unknown driver '{}'", crate::message::printable(other))),
    }
}

/// The drivers by name: a format, and whether it is that of the file itself.
///
/// # Errors
/// As [`parse_format`].
pub fn parse_driver(name: &str) -> Result<(Format, bool), String> {
    match name {
        FILE_DRIVER => Ok((Format::Raw, true)),
        name => Ok((parse_format(name)?, false)),
    }
}

/// The name of the format that an image seems to have.
const fn probed_name(probed: Probed) -> &'static str {
    match probed {
        Probed::Raw => "raw",
        Probed::Qcow2 => "qcow2",
        Probed::Luks => "luks",
        Probed::Qed => "qed",
        Probed::Vhd | Probed::VhdFixed => "vpc",
        Probed::Vhdx => "vhdx",
        Probed::Vmdk => "vmdk",
        Probed::Qcow => "qcow",
        Probed::Vdi => "vdi",
        Probed::Parallels => "parallels",
    }
}

/// The name of a format.
#[must_use]
pub const fn format_name(format: Format) -> &'static str {
    match format {
        Format::Raw => "raw",
        Format::Qcow2 => "qcow2",
        Format::Luks => "luks",
        Format::Qed => "qed",
        Format::Vhd => "vpc",
        Format::Vhdx => "vhdx",
        Format::Vmdk => "vmdk",
    }
}

/// The error for an image that somebody else uses.
pub fn locked(name: &ImageName, why: &str) -> CliError {
    let path = name.shown_path();
    CliError::Open {
        name: name.given(),
        reason: format!("{why}\nIs another process using the image [{path}]?"),
    }
}

/// Opens a regular file. Anything else is told apart first and never opened: opening a FIFO blocks
/// and opening a device may do something.
fn open_regular(name: &ImageName, write: bool) -> Result<File, CliError> {
    let refused = |reason| CliError::Open { name: name.given(), reason };
    let path = name.shown_path();
    if path.is_empty() {
        return Err(refused("The 'file' block driver requires a file name".to_owned()));
    }
    let not_opened = |e: io::Error| refused(format!("Could not open '{path}': {}", errno_text(&e)));
    let metadata = name.path().metadata().map_err(not_opened)?;
    if !metadata.is_file() {
        return Err(not_regular(&metadata, &path, write, refused));
    }
    let file = open_file(name.path(), write).map_err(not_opened)?;
    // Whatever has taken the file's place since is refused as well.
    match file.metadata() {
        Ok(m) if m.is_file() => Ok(file),
        Ok(m) => Err(not_regular(&m, &path, write, refused)),
        Err(e) => Err(not_opened(e)),
    }
}

/// Fills `buf` as far as the file reaches and returns that part.
fn read_what_is_there<'a>(file: &File, buf: &'a mut [u8], offset: u64) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buf.len() {
        match file.read_at(&mut buf[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(&buf[..filled])
}

fn open_file(path: &Path, write: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(write).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

fn not_regular(
    metadata: &Metadata,
    path: &str,
    write: bool,
    refused: impl Fn(String) -> CliError,
) -> CliError {
    let kind = metadata.file_type();
    if write && kind.is_dir() {
        return refused(format!("Could not open '{path}': Is a directory"));
    }
    if write && (kind.is_block_device() || kind.is_char_device()) {
        return CliError::Refused("Cannot resize device files".to_owned());
    }
    refused(format!("'file' driver requires '{path}' to be a regular file"))
}

fn metadata(file: &File) -> Result<Metadata, String> {
    file.metadata().map_err(|e| format!("Could not stat: {}", errno_text(&e)))
}
