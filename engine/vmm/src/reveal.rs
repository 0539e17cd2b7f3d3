//! The job that reads a part of an encrypted disk.

use crate::error::VmmError;
use crate::files::Files;
use crate::image::{Image, file_len};
use crate::kvm::{Finished, Kvm};
use crate::limit;
use crate::operations::{Runner, with_passphrase};
use crate::others::{LayerFiles, push_layers, shapes};
use instar_ops::{Encryption, Revealed};
use std::fs::File;
use std::io;
use std::ops::Range;

impl Kvm {
    /// Writes `bytes` of the disk that `layers` are to the same place of `plain`, which is open for reading and writing.
    /// The first of the layers is encrypted, and `passphrase` opens it. This guest writes to no other file.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn reveal(
        &self,
        layers: &[LayerFiles<'_>],
        bytes: &Range<u64>,
        plain: &File,
        passphrase: &[u8],
    ) -> Result<Finished<Encryption>, VmmError> {
        reveal(self, layers, (bytes, plain), passphrase)
    }
}

/// [`Kvm::reveal`], whoever runs the guest.
///
/// # Errors
/// As there.
pub fn reveal(
    runner: &dyn Runner,
    layers: &[LayerFiles<'_>],
    (bytes, plain): (&Range<u64>, &File),
    passphrase: &[u8],
) -> Result<Finished<Encryption>, VmmError> {
    let failed = |source| VmmError::Host { what: "reading an encrypted backing file", source };
    let invalid = || failed(io::ErrorKind::InvalidInput.into());
    let len = bytes.end.saturating_sub(bytes.start);
    let revealed = Revealed { layers: shapes(layers)?, offset: bytes.start, len };
    let mut files = Files::none();
    push_layers(&mut files, layers)?;
    let plain_len = file_len(plain).map_err(failed)?;
    files.push(Image::new(plain, plain_len, limit::read(bytes.end), false));
    let mut config = revealed.to_config(passphrase).filter(|_| !layers.is_empty()).ok_or_else(invalid)?;
    with_passphrase(runner, &mut config, files)
}
