//! Info, check, create and resize as functions over a Disk, the same in the guest and in process.
#![no_std]
#![forbid(unsafe_code)]

mod chain;
mod check;
mod companions;
mod create;
mod damage;
pub mod disk;
mod encryption;
mod error;
mod finding;
mod info;
mod label;
mod links;
mod luks;
mod open;
mod qed;
mod report;
mod resize;
#[cfg(test)]
mod testing;
mod types;
mod unlock;
mod vhd;
mod vhdx;
mod vmdk;
pub mod wire;

pub use chain::read_layers;
pub use check::{check, check_with, resize_mended};
pub use companions::{
    Attached, Companions, Layer, LayerShape, LayerShapes, MAX_EXTENTS, MAX_LAYERS, Revealed,
};
pub use create::{create, create_with};
pub use damage::Damage;
pub use disk::Disk;
pub use encryption::Encryption;
pub use error::{LayerError, OpError, Phase, Refusal};
pub use finding::{CheckFinding, CheckReport, Fault, Table};
pub use info::{info, info_with};
pub use instar_abi::unlock::PASSPHRASE_LEN;
pub use instar_formats::ImageError;
pub use instar_formats::io::ReadAt;
pub use instar_formats::luks::{Cipher, Hash, IvGen, Mode};
pub use instar_planner::ResizeError;
pub use label::Label;
pub use links::{LinkName, Links};
pub use report::{
    Bitmap, Extent, ExtentKind, ImageInfo, InfoItem, LuksInfo, LuksSlot, Name, Qcow2Info, Snapshot, VmdkInfo,
};
pub use resize::{resize, resize_with};
pub use types::*;
pub use unlock::{reveal, unlock};
pub use vmdk::{new_extent_name, new_extents, next_extent_name};

/// What `scratch` must hold at least, in bytes, for every operation on every image. Constant: no
/// image, however large, needs more.
pub const SCRATCH_LEN: usize = 16 << 20;

const _: () = assert!(instar_planner::SCRATCH_LEN + chain::Chain::SCRATCH_LEN <= SCRATCH_LEN);
