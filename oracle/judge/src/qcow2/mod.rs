//! A reader of qcow2 metadata of the oracle's own, written from QEMU's `docs/interop/qcow2.txt`
//! and independent of the engine: two sides that share one misreading would agree for ever.

mod audit;
mod bitmaps;
mod header;
mod snapshots;
mod tables;
mod walk;

pub use audit::{Problem, audit};
pub use bitmaps::{Bitmap, bitmaps};
pub use header::{BITMAPS, Extension, FIELDS, Field, Header};
pub use snapshots::{Snapshot, snapshots};
pub use tables::{COPIED, Entry, EntryKind};
pub use walk::{Layout, Role, walk};

#[cfg(test)]
mod tests;

/// Why an image could not be walked.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is not a qcow2 image, or one that contradicts itself.
    #[error("{0}")]
    Malformed(String),
}
