//! On-disk structures of virtual disk images: probe, parse, encode, verify.
//!
//! Nothing here knows a device, a plan or a request; everything works on buffers that the caller
//! owns, or reads through [`io::ReadAt`].
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod bytes;
mod error;
pub mod io;
pub mod luks;
pub mod probe;
pub mod qcow2;
pub mod qed;
pub mod vhd;
pub mod vhdx;
pub mod vmdk;

pub use error::ImageError;
