//! What does the work: a guest in a virtual machine, or the same code in this process.

mod file_disk;
mod in_process;
mod kvm;

use crate::args::EngineKind;
use crate::error::CliError;
pub use in_process::refusal_of_create;
use instar_ops::{
    CheckFinding, CheckReport, CheckRequest, CreateRequest, Encryption, ImageInfo, InfoItem, InfoRequest,
    ResizeOutcome, ResizeRequest, UnlockRequest,
};
use instar_vmm::{Finished, LayerFiles, Observer, Others, Window};
use std::fs::File;
use std::ops::Range;

/// What may come of a job: its end, or the reason why there is none.
pub type Job<T> = Result<Finished<T>, CliError>;

/// Runs the four operations on an open image. None of them changes the file's length downwards or
/// gives it the space that an outcome asks for; that is the caller's.
pub trait Engine {
    /// Resizes `image`, open for reading and writing, with the files that belong to it. What is found in an
    /// image that must be repaired first goes to `findings`.
    ///
    /// # Errors
    /// [`CliError`] if the job did not come to an end.
    fn resize(
        &self,
        image: Window<'_>,
        others: &Others<'_>,
        request: &ResizeRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Job<ResizeOutcome>;

    /// Describes `image`, with its snapshots, bitmaps and extents in the image's order. Without the files of its
    /// `extents`, their headers are not looked at.
    ///
    /// # Errors
    /// [`CliError`] if the job did not come to an end.
    fn info(
        &self,
        image: Window<'_>,
        extents: &[&File],
        request: &InfoRequest,
    ) -> Job<(ImageInfo, Vec<InfoItem>)>;

    /// Checks `image` with its `extents`, open for writing too if it is to be repaired. Findings go to `findings` as
    /// they come.
    ///
    /// # Errors
    /// [`CliError`] if the job did not come to an end.
    fn check(
        &self,
        image: Window<'_>,
        extents: &[&File],
        request: &CheckRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Job<CheckReport>;

    /// Says how `image` is encrypted, and fails unless `passphrase`, if there is one, opens it.
    ///
    /// # Errors
    /// [`CliError`] if the job did not come to an end.
    fn unlock(
        &self,
        image: Window<'_>,
        request: &UnlockRequest,
        passphrase: Option<&[u8]>,
    ) -> Job<Encryption>;

    /// Writes `bytes` of the disk that `layers` are to the same place of `plain`. The first of them is encrypted, and
    /// `passphrase` opens it.
    ///
    /// # Errors
    /// [`CliError`] if the job did not come to an end.
    fn reveal(
        &self,
        layers: &[LayerFiles<'_>],
        bytes: &Range<u64>,
        plain: &File,
        passphrase: &[u8],
    ) -> Job<Encryption>;

    /// Lays out a new image in the empty file `image`, open for reading and writing, and in empty `extents`.
    ///
    /// # Errors
    /// [`CliError`] if the job did not come to an end.
    fn create(&self, image: &File, extents: &[&File], request: &CreateRequest) -> Job<ResizeOutcome>;
}

/// The engine that the user asked for. There is no other in its place if it cannot be had.
///
/// # Errors
/// [`CliError::Vmm`] if this machine has no usable KVM.
pub fn open(kind: EngineKind) -> Result<Box<dyn Engine>, CliError> {
    open_watched(kind, Observer::none())
}

/// The same, with every change of an image shown to `observer` before it is made.
///
/// # Errors
/// As [`open`].
pub fn open_watched(kind: EngineKind, observer: Observer) -> Result<Box<dyn Engine>, CliError> {
    Ok(match kind {
        EngineKind::Kvm => Box::new(instar_vmm::Kvm::open()?.observed_by(observer).confined()),
        EngineKind::InProcess => Box::new(in_process::InProcess { observer }),
    })
}
