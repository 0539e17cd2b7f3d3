//! The oracles: each looks at a trial in one way of its own.

mod bitmaps;
mod check;
mod clean;
mod companions;
mod content;
mod created;
mod engines;
mod foreign;
mod fresh;
mod header;
mod host_size;
mod info;
mod map;
mod metamorphic;
mod outcome;
mod own_check;
mod own_info;
mod parity;
mod reader;
mod refusal;
mod snapshots;
mod support;
mod untouched;
mod writable;

use crate::{JudgeError, Scope, Trial, Verdict};

/// One way of telling whether a resize did right.
pub trait Oracle: Send + Sync {
    /// Its name in reports and in the list of known divergences.
    fn name(&self) -> &'static str;

    /// What it catches, in one line.
    fn about(&self) -> &'static str;

    /// Which records it wants to see.
    fn scope(&self) -> Scope;

    /// Looks at a trial.
    ///
    /// # Errors
    /// [`JudgeError`]: it could not look. What it does not like is a verdict.
    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError>;
}

/// Every oracle that judges an instar, alone or against a qemu-img, in the order of reports.
#[must_use]
pub fn all() -> &'static [&'static dyn Oracle] {
    &[
        &outcome::Outcome,
        &refusal::Refusal,
        &engines::Engines,
        &untouched::Untouched,
        &clean::Clean,
        &content::Content,
        &reader::Reader,
        &foreign::SEVEN_ZIP,
        &foreign::LIBYAL,
        &foreign::CRATES,
        &parity::ContentParity,
        &created::Created,
        &header::HeaderParity,
        &info::InfoParity,
        &check::CheckParity,
        &map::MapParity,
        &own_info::OwnInfo("instar-info"),
        &own_check::OwnCheck("instar-check"),
        &host_size::HostSize,
        &companions::Companions,
        &snapshots::Snapshots,
        &bitmaps::Bitmaps,
        &writable::Writable,
        &metamorphic::Metamorphic,
        &fresh::FreshCreate,
    ]
}

/// The oracles that compare any two subjects, in the order of reports: neither is held to a model.
#[must_use]
pub fn between() -> &'static [&'static dyn Oracle] {
    &[
        &refusal::Refusal,
        &engines::Engines,
        &parity::ContentParity,
        &header::HeaderParity,
        &info::InfoParity,
        &check::CheckParity,
        &map::MapParity,
        &own_info::OwnInfo("own-info"),
        &own_check::OwnCheck("own-check"),
        &host_size::HostSize,
        &fresh::FreshCreate,
    ]
}
