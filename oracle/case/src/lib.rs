//! Cases, their generator, and fixtures built from them.
//!
//! A [`Case`] says how an image is made, how it is resized and what is written to it afterwards. It comes from a seed
//! ([`Case::from_seed`]) or from JSON. [`build`] makes its image, [`expected_steps`] says what a guest must see after
//! every resize. Nothing here knows the engine: sizes, layouts and contents are worked out from the specifications.

#![forbid(unsafe_code)]

mod build;
pub mod child;
pub mod chs;
mod content;
pub mod effort;
mod expect;
pub mod features;
mod generate;
pub mod geometry;
mod identity;
mod legalize;
mod model;
mod oddity;
pub mod parts;
pub mod secret;
pub mod seed;
pub mod size;
pub mod unresized;

pub use build::{BuildError, Tools, build};
pub use content::{Content, Extent};
pub use expect::{
    Outcome, Refusal, Step, content_after, expected_after, expected_content, expected_extents,
    expected_final, expected_steps, target, target_of, virtual_size,
};
pub use model::*;
pub use oddity::{Oddity, Without};
pub use parts::{Backing, BackingFormat, Bitmap, DataFile, MadeBy, Snapshot};
pub use secret::Encryption;
pub use unresized::{Adapter, Creator, Subformat, Vhdx, Vmdk, Vpc};
