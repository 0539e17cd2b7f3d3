//! Crash states and failing devices: what may be left of a resize that did not come to its end, and whether that is a good
//! image.
//!
//! A [`Trace`] is what a resize did to its file. Between two flushes its changes may arrive in any order, or in part, so one
//! trace stands for thousands of [`State`]s ([`for_each_state`]). A [`Judge`] looks at each of them in memory with a
//! reader of its own, instar's check and a second resize; [`second_opinion`] asks a real qemu-img. [`run_case`] does
//! all of it for the resizes of one case.
//!
//! The content that must be preserved comes from the cases' model and the metadata from a reader written from the
//! specification: only the two things that are under test here, instar's resize and check, go through the engine.

#![forbid(unsafe_code)]

mod campaign;
mod content;
mod disk;
mod engine;
mod faults;
mod image;
mod judge;
mod opinion;
mod states;
mod trace;
mod walk;

pub use campaign::{BadState, CaseReport, Cause, Options, run_case};
pub use disk::{Failure, FaultyDisk, MemoryDisk, finish};
pub use engine::{Engine, InProcess, Traced};
pub use image::Image;
pub use judge::{Bad, Good, Judge, Step};
pub use opinion::second_opinion;
pub use states::{Bounds, Part, State, for_each_state};
pub use trace::{Op, Trace};
