//! What comes of a case.

use serde::Serialize;

use crate::disk::Failure;
use crate::question::Question;
use crate::states::State;

/// What was done to the image before it was found bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// A crash.
    State(State),
    /// This call failed like that.
    Fault {
        /// Its number.
        call: usize,
        /// How.
        failure: Failure,
    },
    /// This change or flush of the engine's device failed like that.
    GuestFault {
        /// Its number among the changes and flushes.
        call: usize,
        /// How.
        failure: Failure,
    },
    /// Nothing: the resize came to its end.
    End,
    /// The resize was refused.
    Refused,
    /// The engines took different ways.
    Engines,
}

/// A state that is no good image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadState {
    /// The resize of the case, counted from 0.
    pub resize: usize,
    /// What was done.
    pub cause: Cause,
    /// `format/direction/kind`, for grouping.
    pub class: String,
    /// What is wrong, in words.
    pub detail: String,
}

/// What came of a case.
#[derive(Debug, Clone, Default)]
pub struct CaseReport {
    /// Resizes that changed the image.
    pub resizes: u64,
    /// Those whose trace is of another engine than the one in this process, and was held to that one's.
    pub compared: u64,
    /// States that were built.
    pub states: u64,
    /// Different ones among those of one resize: these were judged.
    pub distinct: u64,
    /// Different ones that were not judged, as they are of a disk whose table takes long to look at.
    pub spared: u64,
    /// Calls that were made to fail.
    pub faults: u64,
    /// Those of the engine's own device.
    pub engine_faults: u64,
    /// States that a real qemu-img may be asked about: those drawn, and the first of each kind.
    pub questions: Vec<Question>,
    /// What is no good.
    pub bad: Vec<BadState>,
    /// Why (the rest of) the case was not run.
    pub skipped: Option<String>,
}
