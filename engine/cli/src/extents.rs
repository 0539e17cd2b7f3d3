//! The files that a disk is in, if it is in others than the image's own: opened as far as the gate lets them be, locked,
//! and made where a disk needs more of them.
//!
//! Their names are what the engine says that the image says. Those of new ones count on from theirs.

use crate::engine::Engine;
use crate::error::CliError;
use crate::gate::Gate;
use crate::image::Image;
use crate::lock::{Claim, lock};
use crate::message::{errno_text, shown};
use crate::name::ImageName;
use crate::open_files;
use crate::others::identity;
use instar_ops::{ExtentsAfter, InfoItem, InfoRequest, Name, next_extent_name};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// Bytes in a unit of `st_blocks`.
const STAT_BLOCK: u64 = 512;
/// Permissions of a new file, before the umask.
const NEW_FILE_MODE: u32 = 0o644;

/// Open files, in the order of the disk.
#[derive(Debug, Default)]
pub struct ExtentFiles {
    all: Vec<ExtentFile>,
}

#[derive(Debug)]
struct ExtentFile {
    /// As the descriptor says it.
    stored: Vec<u8>,
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl ExtentFiles {
    /// Opens those that `image` names; none if its disk is in its own file.
    ///
    /// # Errors
    /// [`CliError::Open`] in `qemu-img`'s words; [`CliError::Vmm`] if the engine failed.
    pub fn open(engine: &dyn Engine, image: &Image, gate: &Gate, claim: Claim) -> Result<Self, CliError> {
        let finished = engine.info(image.window(), &[], &InfoRequest { format: image.format })?;
        let (_, items) = finished.result.map_err(|e| CliError::from_op(e, &image.name.given()))?;
        Self::named(image, &items, gate, claim)
    }

    /// Opens those that these items name.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn named(image: &Image, items: &[InfoItem], gate: &Gate, claim: Claim) -> Result<Self, CliError> {
        let refused = |reason| CliError::Open { name: image.name.given(), reason };
        let mut seen = vec![identity(&image.file).map_err(refused)?];
        let mut all = Vec::new();
        open_files::allow(items.len());
        for item in items {
            let InfoItem::Extent(extent) = item else { continue };
            if extent.name.is_empty() {
                continue;
            }
            let found = ExtentFile::open(image, &extent.name, gate, claim).map_err(refused)?;
            let own = identity(&found.file).map_err(refused)?;
            if seen.contains(&own) {
                let name = shown(found.path.as_os_str());
                return Err(refused(format!("'{name}' is a part of the disk more than once")));
            }
            seen.push(own);
            all.push(found);
        }
        Ok(Self { all })
    }

    /// Makes empty files of these names in the image's directory, none of which may be there.
    ///
    /// # Errors
    /// What to say. Those that were made are removed again.
    pub fn create(&mut self, image: &ImageName, names: &[Name]) -> Result<(), String> {
        open_files::allow(self.all.len() + names.len());
        for name in names {
            let plain = !name.contains(&b'/') && name.as_slice() != b".." && !name.is_empty();
            let path = PathBuf::from(OsStr::from_bytes(&image.resolve(name)));
            let made = if plain { create(&path) } else { Err(io::ErrorKind::InvalidInput.into()) };
            let file = made.map_err(|e| {
                self.discard_new();
                format!("Could not create '{}': {}", shown(path.as_os_str()), errno_text(&e))
            })?;
            self.all.push(ExtentFile { stored: name.to_vec(), path, file, is_new: true });
        }
        Ok(())
    }

    /// Makes `count` more files, named like the last.
    ///
    /// # Errors
    /// As [`Self::create`], or the last one's name has no number.
    pub fn add(&mut self, image: &ImageName, count: u64) -> Result<(), String> {
        let stored = self.all.iter().map(|extent| extent.stored.as_slice());
        let names = (1..=count).map(|n| next_extent_name(stored.clone(), n)).collect::<Option<Vec<_>>>();
        self.create(image, &names.ok_or("further extents cannot be named like the last one")?)
    }

    /// Removes the files that were made.
    pub fn discard_new(&mut self) {
        for made in self.all.iter().filter(|extent| extent.is_new) {
            // The error that brought us here is the one to tell.
            drop(std::fs::remove_file(&made.path));
        }
        self.all.retain(|extent| !extent.is_new);
    }

    /// The files as an engine takes them.
    #[must_use]
    pub fn files(&self) -> Vec<&File> {
        self.all.iter().map(|extent| &extent.file).collect()
    }

    /// Forgets all but those that stay, and returns the others.
    pub fn keep(&mut self, after: &ExtentsAfter) -> Vec<Dropped> {
        let kept = usize::try_from(after.kept).unwrap_or(usize::MAX).min(self.all.len());
        self.all.split_off(kept).into_iter().map(Dropped).collect()
    }

    /// Gives the last one its length, durably.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_last_len(&self, len: u64) -> io::Result<()> {
        let Some(last) = self.all.last() else { return Ok(()) };
        if last.file.metadata()?.len() != len {
            last.file.set_len(len)?;
        }
        last.file.sync_all()
    }

    /// Path, length and space on the host of each, in bytes.
    ///
    /// # Errors
    /// The kernel's.
    pub fn sizes(&self) -> io::Result<Vec<(PathBuf, u64, u64)>> {
        let size = |extent: &ExtentFile| {
            let metadata = extent.file.metadata()?;
            Ok((extent.path.clone(), metadata.len(), metadata.blocks() * STAT_BLOCK))
        };
        self.all.iter().map(size).collect()
    }
}

/// A file that is no part of the disk any more.
#[derive(Debug)]
pub struct Dropped(ExtentFile);

impl Dropped {
    /// Removes it, if it lies beside the image: an image must not choose what else is removed.
    ///
    /// # Errors
    /// What to say, the file's name in it.
    pub fn remove(&self) -> Result<(), String> {
        let Self(ExtentFile { stored, path, file, .. }) = self;
        let name = shown(path.as_os_str());
        let failed =
            |why: String| format!("'{name}' is no part of the disk any more, but was not removed: {why}");
        if stored.contains(&b'/') {
            return Err(failed("it is in another directory".to_owned()));
        }
        let there = path.symlink_metadata().map_err(|e| failed(errno_text(&e)))?;
        if identity(file).map_err(failed)? != (there.dev(), there.ino()) {
            return Err(failed("another file has its name".to_owned()));
        }
        std::fs::remove_file(path).map_err(|e| failed(errno_text(&e)))
    }
}

impl ExtentFile {
    fn open(image: &Image, stored: &[u8], gate: &Gate, claim: Claim) -> Result<Self, String> {
        let name = ImageName::new(OsStr::from_bytes(&image.name.resolve(stored)))?;
        let file = gate.open(name.path(), claim == Claim::Exclusive)?;
        let path = name.path().to_owned();
        let locked = |why| format!("{why}\nIs another process using the image [{}]?", name.shown_path());
        lock(&file, claim).map_err(locked)?;
        Ok(Self { stored: stored.to_vec(), path, file, is_new: false })
    }
}

fn create(path: &std::path::Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(NEW_FILE_MODE).open(path)?;
    lock(&file, Claim::Exclusive).map_err(|_| io::Error::from_raw_os_error(libc::EAGAIN))?;
    Ok(file)
}
