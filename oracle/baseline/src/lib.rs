//! Baselines: what each version of qemu-img answered to a fixed matrix of cases.
//!
//! A [`Case`] is an image to make and resizes to do. A [`Lab`] carries it out and describes what came of it as an
//! [`Outcome`], in a form that [`normal`] makes independent of the host. A [`Store`] keeps the distinct outcomes of
//! every case with the versions that gave each, as lines of JSON that a diff shows one by one. [`judge`] holds an
//! instar to a stored outcome.

#![forbid(unsafe_code)]

mod ask;
mod case;
mod error;
mod explained;
mod hash;
mod history;
mod import;
mod judge;
mod lab;
mod label;
mod make;
mod matrix;
pub mod normal;
mod observe;
mod store;

pub use case::{Case, Resize};
pub use error::BaselineError;
pub use explained::{Explained, explain, explained};
pub use history::{Change, changes};
pub use import::import;
pub use judge::{ANSWERS, Answered, Excused, comparable, compared, judge, supported, unsupported};
pub use lab::{Lab, Resizer};
pub use label::Label;
pub use matrix::{matrix, reproducible};
pub use store::{Answer, Entry, Store};

/// What came of a case: the parts that docs/oracle.md lists, normalised.
pub type Outcome = serde_json::Value;
