//! What fuzzers feed to the engine, and what must hold whatever they feed.
//!
//! A target is a function of bytes. It panics when something does not hold, and returns otherwise; whether the bytes made
//! sense is nobody's affair. The programs in `fuzz/` hand it what libFuzzer invents, and a test what is kept in
//! `corpus/`.

#![forbid(unsafe_code)]

mod case;
mod crash;
mod findings;
mod gauntlet;
mod input;
mod memory;
mod open;
mod read;
mod resize;
mod scratch;
mod size;
mod smaller;
mod target;
mod watched;

pub use findings::Findings;
pub use gauntlet::{Passed, run as gauntlet};
pub use input::{Canvas, Input, MOST_LEN};
pub use resize::resized;
pub use size::WORDS;
pub use target::{ALL, Target, run};
