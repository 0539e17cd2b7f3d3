//! Raw images of our own: a sparse file of any length, which qemu-img would round up to a sector.

use std::path::Path;

use super::BuildError;
use super::file::ImageFile;
use crate::{Content, Fixture, expected_content};

/// Makes the image.
pub fn make(fixture: &Fixture, path: &Path) -> Result<(), BuildError> {
    write(path, fixture.size, &expected_content(fixture))
}

/// Makes a file of `len` bytes with this content.
pub fn write(path: &Path, len: u64, content: &Content) -> Result<(), BuildError> {
    let file = ImageFile::create(path)?;
    file.set_len(len)?;
    for extent in content.extents() {
        file.fill(extent.offset, extent.len, extent.byte)?;
    }
    Ok(())
}
