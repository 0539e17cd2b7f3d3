//! A file that a job has made longer: targets say how long they were when it began.

use crate::{Patch, Target};
use instar_formats::io::{IoError, ReadAt};

/// A target, now longer than it was when the job began.
pub struct Longer<'t, T> {
    /// The target.
    pub image: &'t mut T,
    /// Its length in bytes now.
    pub len: u64,
}

impl<T: Target> ReadAt for Longer<'_, T> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.image.read_at(offset, buf)
    }
}

impl<T: Target> Target for Longer<'_, T> {
    fn apply(&mut self, patch: Patch<'_>) -> Result<(), IoError> {
        self.image.apply(patch)
    }
}
