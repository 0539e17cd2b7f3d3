//! The files that belong to an image, opened by whoever decided that they may be.

use crate::error::VmmError;
use crate::extents::push_writable;
use crate::files::Files;
use crate::image::Image;
use crate::limit;
use crate::window::Window;
use instar_ops::{Attached, Format, LayerShape, LayerShapes, MAX_LAYERS};
use std::fs::File;

/// The other files of an image.
#[derive(Debug, Default)]
pub struct Others<'a> {
    /// Its external data file, open for reading and writing.
    pub data_file: Option<&'a File>,
    /// The chain of its backing files, its own first; open for reading, and never written.
    pub layers: Vec<LayerFiles<'a>>,
    /// Whether the image is used without its backing file, whatever it says.
    pub detached: bool,
    /// Whether the passphrase of an encrypted image is known.
    pub unlocked: bool,
    /// The files of its extents in the order of the disk, and those that are new and empty behind them, all open for
    /// reading and writing.
    pub extents: Vec<&'a File>,
}

/// A layer of a backing chain.
#[derive(Debug, Clone, Copy)]
pub struct LayerFiles<'a> {
    /// Its file, or the part of one that it is.
    pub file: Window<'a>,
    /// Its external data file, if it has one.
    pub data_file: Option<&'a File>,
    /// What it is.
    pub format: Format,
}

fn length(file: Window<'_>) -> Result<u64, VmmError> {
    file.len().map_err(|source| VmmError::Host { what: "asking for a file's length", source })
}

fn read_only(file: Window<'_>) -> Result<Image<'_>, VmmError> {
    let len = length(file)?;
    Ok(Image::within(file, len, limit::read(len), true))
}

/// What a guest is told of `layers`.
///
/// # Errors
/// There are more than a job can have.
pub(crate) fn shapes(layers: &[LayerFiles<'_>]) -> Result<LayerShapes, VmmError> {
    if layers.len() > MAX_LAYERS {
        let source = std::io::Error::other("there are too many layers");
        return Err(VmmError::Host { what: "opening the backing chain", source });
    }
    let shape =
        |layer: &LayerFiles<'_>| LayerShape { format: layer.format, data_file: layer.data_file.is_some() };
    Ok(layers.iter().map(shape).collect())
}

/// The files of `layers` in their order, to be read only.
pub(crate) fn push_layers<'a>(files: &mut Files<'a>, layers: &[LayerFiles<'a>]) -> Result<(), VmmError> {
    for layer in layers {
        files.push(read_only(layer.file)?);
        if let Some(file) = layer.data_file {
            files.push(read_only(file.into())?);
        }
    }
    Ok(())
}

impl<'a> Others<'a> {
    /// What a guest is told of them.
    ///
    /// # Errors
    /// There are more layers than a job can have.
    pub(crate) fn shape(&self) -> Result<Attached, VmmError> {
        let mut attached =
            Attached { detached: self.detached, unlocked: self.unlocked, ..Attached::default() };
        attached.data_file = self.data_file.is_some();
        attached.extents = u32::try_from(self.extents.len()).unwrap_or(u32::MAX);
        attached.layers = shapes(&self.layers)?;
        Ok(attached)
    }

    /// The files in the order in which [`Attached`] numbers them. The data file and extents may be written as far
    /// as the image `as_image` may.
    ///
    /// # Errors
    /// [`VmmError::Host`]: the kernel does not say how long a file is.
    pub(crate) fn files(
        &self,
        image: Image<'a>,
        as_image: impl Fn(u64) -> u64,
    ) -> Result<Files<'a>, VmmError> {
        let data_file = match self.data_file {
            Some(file) => {
                let len = length(file.into())?;
                Some(Image::new(file, len, as_image(len), false))
            }
            None => None,
        };
        let mut files = Files::with_data_file(image, data_file);
        push_layers(&mut files, &self.layers)?;
        push_writable(&mut files, &self.extents, as_image)?;
        Ok(files)
    }
}
