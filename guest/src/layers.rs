//! The files of a backing chain.

use crate::{Device, Files, SharedDisk};
use instar_ops::{Layer, LayerShape, MAX_LAYERS, ReadAt};

/// The file of each layer, and the layer's data file.
pub type LayerDisks<'f> = heapless::Vec<(SharedDisk<'f, Device>, Option<SharedDisk<'f, Device>>), MAX_LAYERS>;

impl Files {
    /// The files of layers of these `shapes`, from file `first` on, each with its data file behind it.
    #[must_use]
    pub fn layers(&self, first: u64, shapes: &[LayerShape]) -> LayerDisks<'_> {
        let mut number = first;
        let mut next = || {
            let disk = self.disk(number);
            number += 1;
            disk
        };
        let layers = shapes.iter().take(MAX_LAYERS);
        layers.map(|shape| (next(), shape.data_file.then(&mut next))).collect()
    }
}

/// Files as an operation takes those of layers of these `shapes`.
pub fn as_layers<'d>(
    files: &'d mut LayerDisks<'_>,
    shapes: &[LayerShape],
) -> heapless::Vec<Layer<'d>, MAX_LAYERS> {
    let layers = files.iter_mut().zip(shapes).map(|((file, data_file), shape)| Layer {
        file,
        data_file: data_file.as_mut().map(|file| file as &mut dyn ReadAt),
        format: shape.format,
    });
    layers.collect()
}
