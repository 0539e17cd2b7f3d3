//! Raw images of our own: a sparse file of any length, which qemu-img would round up to a sector.

use std::path::Path;

use super::BuildError;
use super::file::ImageFile;
use crate::{Fixture, expected_extents};

/// Makes the image.
pub fn make(fixture: &Fixture, path: &Path) -> Result<(), BuildError> {
    let file = ImageFile::create(path)?;
    file.set_len(fixture.size)?;
    for extent in expected_extents(fixture) {
        file.fill(extent.offset, extent.len, extent.byte)?;
    }
    Ok(())
}
