//! The files that belong to an image, and how a guest is told of them.

use crate::{Disk, Format, ReadAt};
pub use instar_abi::layout::{MAX_EXTENTS, MAX_LAYERS};

/// The other files of the image that is resized, opened by whoever decided that they may be.
#[derive(Default)]
pub struct Companions<'a, 'f> {
    /// The external data file.
    pub data_file: Option<&'a mut dyn Disk>,
    /// The chain of backing files, the overlay's own backing first; [`MAX_LAYERS`] at most.
    pub backing: &'a mut [Layer<'f>],
    /// Whether the image is used without its backing file, whatever it says. It cannot grow then.
    pub detached: bool,
    /// Whether the passphrase of an encrypted image is known.
    pub unlocked: bool,
    /// The files of its extents in the order of the disk, those that are new and empty behind them; [`MAX_EXTENTS`] at
    /// most.
    pub extents: &'a mut [&'f mut dyn Disk],
}

impl core::fmt::Debug for Companions<'_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Companions")
            .field("data_file", &self.data_file.is_some())
            .field("backing", &self.backing.len())
            .field("detached", &self.detached)
            .field("unlocked", &self.unlocked)
            .field("extents", &self.extents.len())
            .finish()
    }
}

/// One file of a backing chain, to be read only.
pub struct Layer<'a> {
    /// The file.
    pub file: &'a mut dyn ReadAt,
    /// Its external data file, if it has one.
    pub data_file: Option<&'a mut dyn ReadAt>,
    /// What it is.
    pub format: Format,
}

/// What a [`Layer`] is, without its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerShape {
    /// What it is.
    pub format: Format,
    /// Whether it has an external data file.
    pub data_file: bool,
}

/// Layers without their files.
pub type LayerShapes = heapless::Vec<LayerShape, MAX_LAYERS>;

/// What [`Companions`] there are, as a guest is told: files are numbered from 0, the image; its data
/// file follows, if it has one, then each layer with its own data file behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attached {
    /// Whether there is a data file.
    pub data_file: bool,
    /// The layers, the image's own backing file first.
    pub layers: LayerShapes,
    /// Whether the image is used without its backing file.
    pub detached: bool,
    /// Whether the passphrase of an encrypted image is known.
    pub unlocked: bool,
    /// How many files of extents there are, behind all others.
    pub extents: u32,
}

impl Attached {
    /// The number of the image's data file.
    pub const DATA_FILE: u64 = 1;

    /// The number of the first layer's file.
    #[must_use]
    pub fn first_layer(&self) -> u64 {
        1_u64.saturating_add(u64::from(self.data_file))
    }

    /// How many files there are, the image included.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.first_layer().saturating_add(files_of(&self.layers))
    }

    /// How many files there are with those of extents.
    #[must_use]
    pub fn all_files(&self) -> u64 {
        self.files().saturating_add(u64::from(self.extents))
    }
}

/// What of an encrypted disk is to be written out in plain, as a guest is told: files are numbered from 0, each layer with
/// its own data file behind it; the file for the plain bytes is the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revealed {
    /// The layers, the encrypted image first; none if nothing is to be written.
    pub layers: LayerShapes,
    /// First byte of the disk that is meant.
    pub offset: u64,
    /// How many bytes are.
    pub len: u64,
}

impl Revealed {
    /// The number of the file for the plain bytes.
    #[must_use]
    pub fn plain(&self) -> u64 {
        files_of(&self.layers)
    }

    /// The bytes that are meant.
    #[must_use]
    pub fn bytes(&self) -> core::ops::Range<u64> {
        self.offset..self.offset.saturating_add(self.len)
    }
}

/// How many files layers are.
fn files_of(layers: &[LayerShape]) -> u64 {
    layers.iter().map(|shape| 1_u64.saturating_add(u64::from(shape.data_file))).sum()
}
