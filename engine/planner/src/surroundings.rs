//! What belongs to an image but lies in other files: its backing and its external data file.

use crate::{IoError, PlanError, ReadAt, Target};
use core::ops::Range;

/// The disk behind an overlay, as a guest of the overlay would read it: the whole chain, resolved.
pub trait Backing {
    /// Its size in bytes.
    fn virtual_size(&self) -> u64;

    /// Fills `buf` from byte `offset` of the disk; what lies beyond its end reads as zeros.
    ///
    /// # Errors
    /// [`PlanError`]: a layer of the chain makes no sense, or its device failed.
    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), PlanError>;

    /// Fails, before anything is written, where [`Self::read`] of these bytes would for want of a key.
    ///
    /// # Errors
    /// [`PlanError`]: a layer is encrypted, makes no sense, or its device failed.
    fn admit(&mut self, bytes: Range<u64>) -> Result<(), PlanError> {
        let _ = bytes;
        Ok(())
    }

    /// What unpacks the clusters of the chain, for those of the overlay: the memory that it takes is there once.
    fn unpacker(&mut self) -> Option<&mut dyn Unpack> {
        None
    }
}

/// A compressed cluster of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressed {
    /// Its first byte in the file.
    pub offset: u64,
    /// Length in bytes, up to the end of a sector.
    pub len: u64,
    /// Whether Zstandard has packed it, and not deflate.
    pub zstd: bool,
}

/// Unpacks compressed clusters.
pub trait Unpack {
    /// Fills `cluster` with what a cluster of `file` holds, and says whether that could be done: if not, `cluster` may hold
    /// anything.
    ///
    /// # Errors
    /// The device's.
    fn unpack(
        &mut self,
        file: &mut dyn ReadAt,
        packed: &Compressed,
        cluster: &mut [u8],
    ) -> Result<bool, IoError>;
}

/// The other files of an image, as far as they were attached.
#[derive(Default)]
pub struct Surroundings<'a> {
    /// The disk behind it. `None` if the image has none or is used without it.
    pub backing: Option<&'a mut dyn Backing>,
    /// Its external data file, in which guest data lies.
    pub data_file: Option<&'a mut dyn Target>,
    /// What unpacks clusters of the image, unless its backing does.
    pub unpacker: Option<&'a mut dyn Unpack>,
}

impl Surroundings<'_> {
    /// Unpacks a cluster of `image`, as [`Unpack::unpack`] does; nobody can where there is nothing that does.
    ///
    /// # Errors
    /// The device's.
    pub fn unpack(
        &mut self,
        image: &mut dyn ReadAt,
        packed: &Compressed,
        cluster: &mut [u8],
    ) -> Result<bool, IoError> {
        let of_chain = self.backing.as_mut().and_then(|backing| backing.unpacker());
        match (of_chain, &mut self.unpacker) {
            (Some(unpacker), _) => unpacker.unpack(image, packed, cluster),
            (None, Some(unpacker)) => unpacker.unpack(image, packed, cluster),
            (None, None) => Ok(false),
        }
    }
}

impl core::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Surroundings")
            .field("backing", &self.backing.as_ref().map(|backing| backing.virtual_size()))
            .field("data_file", &self.data_file.as_ref().map(|file| file.len()))
            .field("unpacker", &self.unpacker.is_some())
            .finish()
    }
}
