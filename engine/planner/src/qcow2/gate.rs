//! What a resize refuses before it looks any further.

use crate::{PlanError, ResizeError, Surroundings};
use instar_formats::ImageError;
use instar_formats::io::ReadAt;
use instar_formats::qcow2::extension::CRYPTO;
use instar_formats::qcow2::header::Incompatible;
use instar_formats::qcow2::snapshot::Snapshots;
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{Extensions, Header};

/// `crypt_method` of LUKS (specification, "Header"). Whether it is unlocked is the caller's to know: no
/// data is read or written here.
const LUKS: u32 = 2;

/// Bytes of the snapshot table that are read at a time.
const PIECE: usize = 4096;

/// Refusals that come before the request is looked at: `qemu-img` decides them on opening.
pub fn before_request(header: &Header) -> Result<(), PlanError> {
    if header.has(Incompatible::CORRUPT) {
        return Err(ImageError::Corrupt.into());
    }
    if header.has(Incompatible::DIRTY) {
        return Err(ResizeError::Dirty.into());
    }
    Ok(())
}

/// Refusals of features whose metadata a resize would have to change.
pub fn features<R: ReadAt>(
    image: &mut R,
    header: &Header,
    around: &Surroundings<'_>,
) -> Result<(), PlanError> {
    let mut piece = [0; PIECE];
    let (mut snapshots, mut reader) = (Snapshots::new(header), Buffered::new(&mut piece));
    while snapshots.next(image, &mut reader)?.is_some() {}
    if header.snapshots > 0 && header.version < 3 {
        return Err(ResizeError::SnapshotsV2.into());
    }
    if header.has(Incompatible::DATA_FILE) && around.data_file.is_none() {
        return Err(ResizeError::DataFile.into());
    }
    let mut extensions = Extensions::new(header);
    while let Some(extension) = extensions.next(image)? {
        if extension.kind == CRYPTO && header.crypt_method != LUKS {
            return Err(ResizeError::CryptoUnexpected.into());
        }
    }
    Ok(())
}
