//! QEMU copy-on-write, versions 2 and 3, from QEMU's `docs/interop/qcow2` specification. All
//! fields are big-endian.

pub mod bitmap;
pub mod entry;
pub mod extension;
pub mod geometry;
pub mod header;
pub mod refcount;
pub mod snapshot;
pub mod walk;

pub use entry::{Cluster, L2Format, TableEntry};
pub use extension::Extensions;
pub use geometry::Geometry;
pub use header::{Header, Incompatible};
