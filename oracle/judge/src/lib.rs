//! The oracles: verdicts on what a resize did.
//!
//! A [`Subject`] is anything that speaks qemu-img's command line. [`record`] lets it resize copies
//! of a fixture and keeps the image after every step. A [`Trial`] puts one record, or two, before
//! an [`Oracle`], which agrees, skips or disagrees. [`Known`] divergences are told from new ones
//! by a list, each entry of which has a case that still shows it.
//!
//! Nothing here goes through the engine: images are read by qemu-img, by programs and crates of somebody
//! else's and by readers of the oracle's own ([`qcow2`], [`disk`]).

#![forbid(unsafe_code)]

pub mod desk;
pub mod disk;
mod error;
pub mod foreign;
pub mod identity;
mod known;
mod oracles;
mod other;
pub mod qcow2;
mod record;
pub mod sparse;
pub mod subject;
pub mod text;
mod trial;
mod verdict;
mod version;

pub use desk::Desk;
pub use error::JudgeError;
pub use known::{Known, known};
pub use oracles::{Oracle, all, between};
pub use other::Other;
pub use record::{Part, Record, State, Step, record};
pub use subject::{Family, Instar, Qemu, Subject};
pub use trial::{Scope, Trial};
pub use verdict::{Class, Direction, Finding, Kind, Verdict};
pub use version::Version;
