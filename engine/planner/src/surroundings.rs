//! What belongs to an image but lies in other files: its backing and its external data file.

use crate::{PlanError, Target};

/// The disk behind an overlay, as a guest of the overlay would read it: the whole chain, resolved.
pub trait Backing {
    /// Its size in bytes.
    fn virtual_size(&self) -> u64;

    /// Fills `buf` from byte `offset` of the disk; what lies beyond its end reads as zeros.
    ///
    /// # Errors
    /// [`PlanError`]: a layer of the chain makes no sense, or its device failed.
    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), PlanError>;
}

/// The other files of an image, as far as they were attached.
#[derive(Default)]
pub struct Surroundings<'a> {
    /// The disk behind it. `None` if the image has none or is used without it.
    pub backing: Option<&'a mut dyn Backing>,
    /// Its external data file, in which guest data lies.
    pub data_file: Option<&'a mut dyn Target>,
}

impl core::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Surroundings")
            .field("backing", &self.backing.as_ref().map(|backing| backing.virtual_size()))
            .field("data_file", &self.data_file.as_ref().map(|file| file.len()))
            .finish()
    }
}
