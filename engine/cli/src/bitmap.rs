//! Refusals that are about one of an image's bitmaps. The engine tells its number, and its name for the
//! asking.

use crate::engine::Engine;
use crate::error::CliError;
use crate::image::Image;
use crate::message::printable;
use instar_ops::{InfoItem, InfoRequest, OpError, ResizeError};

/// The failure of a resize of `image`, with the bitmap's name if it is about one.
pub fn resize_error(error: OpError, engine: &dyn Engine, image: &Image) -> CliError {
    let other = || CliError::from_op(error, &image.name.given());
    match error {
        OpError::Resize(ResizeError::BitmapInUse { index }) => name(index, engine, image).map(|name| {
            CliError::Refused(format!(
                "Bitmap '{name}' is inconsistent and cannot be used\n\
                 Try block-dirty-bitmap-remove to delete this bitmap from disk"
            ))
        }),
        OpError::Resize(ResizeError::BitmapTooLarge { index }) => name(index, engine, image).map(|name| {
            CliError::Refused(format!(
                "Bitmap '{name}' doesn't satisfy the constraints: Too much space will be occupied by the \
                 bitmap. Use larger granularity"
            ))
        }),
        _ => None,
    }
    .unwrap_or_else(other)
}

/// The name of a bitmap by its number.
fn name(index: u64, engine: &dyn Engine, image: &Image) -> Option<String> {
    let finished = engine.info(image.window(), &[], &InfoRequest { format: image.format }).ok()?;
    let (_, items) = finished.result.ok()?;
    let bitmaps = items.iter().filter_map(|item| match item {
        InfoItem::Bitmap(bitmap) => Some(&bitmap.name),
        InfoItem::Snapshot(_) | InfoItem::Extent(_) => None,
    });
    let name = bitmaps.into_iter().nth(usize::try_from(index).ok()?)?;
    Some(printable(&String::from_utf8_lossy(name)))
}
