//! Crash states and failing devices: what may be left of a resize that did not come to its end, and whether that is a good
//! image.
//!
//! A [`Trace`] is what a resize did to its file. Between two flushes its changes may arrive in any order, or in part, so one
//! trace stands for thousands of [`State`]s ([`for_each_state`]). A [`Judge`] looks at each of them in memory with a
//! reader of its own, instar's check and a second resize. [`run_case`] does all of it for the resizes of one case, and picks
//! the states that a real qemu-img is asked about ([`Question`]).
//!
//! The content that must be preserved comes from the cases' model and the metadata from a reader written from the
//! specification: only the two things that are under test here, instar's resize and check, go through the engine.

#![forbid(unsafe_code)]

mod beside;
mod blocks;
mod bytes;
mod campaign;
mod content;
mod data_file;
mod disk;
mod engine;
mod faults;
mod format;
mod image;
mod judge;
mod kept;
mod opinion;
mod overlay;
mod packed;
mod parts;
mod question;
mod report;
mod scratch;
mod split;
mod states;
mod trace;
mod walk;
mod worker;

pub use beside::Beside;
pub use campaign::{Options, run_case, unreadable};
pub use disk::{Failure, MemoryDisk, finish};
pub use engine::{Engine, Failed, InProcess, Traced, job};
pub use image::Image;
pub use judge::{Bad, Good, Judge, Step};
pub use opinion::{Expected, second_opinion};
pub use question::{Kind, Question};
pub use report::{BadState, CaseReport, Cause};
pub use states::{Bounds, Part, State, for_each_state};
pub use trace::{Op, Trace};
pub use worker::{Files, InMemory, Stop, Worker};
