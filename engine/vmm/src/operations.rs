//! The operations as jobs: what each is given, and what of its answers is taken.

use crate::answers::{FOREIGN, Findings, Once};
use crate::binaries::{self, Binary};
use crate::error::VmmError;
use crate::extents::{read_only, writable};
use crate::files::Files;
use crate::image::{Image, Seen};
use crate::kvm::{Finished, Kvm, Stats};
use crate::others::Others;
use crate::window::Window;
use crate::{believe, limit};
use instar_abi::message::GuestMessage_::Payload;
use instar_abi::unlock::UnlockConfig;
use instar_ops::{
    CheckFinding, CheckReport, CheckRequest, CreateRequest, Encryption, ImageInfo, InfoItem, InfoRequest,
    Repair, ResizeOutcome, ResizeRequest, UnlockRequest, wire,
};
use std::fs::File;
use std::io;
use zerocopy::IntoBytes;
use zeroize::Zeroize;

/// Most snapshots and bitmaps that an image can have (qcow2 specification: 65,536 and 65,535).
const MAX_INFO_ITEMS: usize = 65_536 + 65_535;

/// What runs a guest, or plays one.
pub trait Runner {
    /// Runs `operation` with its configuration on `files`; every message goes to `sink`.
    fn run(
        &self,
        operation: Binary,
        config: &[u8],
        files: Files<'_>,
        sink: &mut dyn FnMut(Payload) -> Result<(), VmmError>,
    ) -> Result<(Stats, Seen), VmmError>;
}

impl Kvm {
    /// Resizes `image`, which must be open for reading and writing. The length that the file shall
    /// have in the end is left to the caller ([`ResizeOutcome::file_size_after`]).
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn resize<'f>(
        &self,
        image: impl Into<Window<'f>>,
        request: &ResizeRequest,
    ) -> Result<Finished<ResizeOutcome>, VmmError> {
        self.resize_with(image, &Others::default(), request, &mut |_| {})
    }

    /// As [`Self::resize`], of an image with `others`. The length that its data file shall have in the
    /// end is left to the caller, too ([`ResizeOutcome::data_file_size_after`]). What is found in an image that
    /// must be repaired first goes to `findings`.
    ///
    /// # Errors
    /// As [`Self::resize`].
    pub fn resize_with<'f>(
        &self,
        image: impl Into<Window<'f>>,
        others: &Others<'_>,
        request: &ResizeRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Result<Finished<ResizeOutcome>, VmmError> {
        resize(self, image, others, request, findings)
    }

    /// Describes `image`, whose disk is in `extents` if it is in other files, with its snapshots, bitmaps and extents
    /// in the image's order.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn info_with<'f>(
        &self,
        image: impl Into<Window<'f>>,
        extents: &[&File],
        request: &InfoRequest,
    ) -> Result<Finished<(ImageInfo, Vec<InfoItem>)>, VmmError> {
        info(self, image, extents, request)
    }

    /// Checks `image`, which must be open for writing if it is to be repaired, with its `extents`. Findings go to
    /// `findings` as they come; those of a job that fails later too.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn check_with<'f>(
        &self,
        image: impl Into<Window<'f>>,
        extents: &[&File],
        request: &CheckRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Result<Finished<CheckReport>, VmmError> {
        check(self, image, extents, request, findings)
    }

    /// Says how `image` is encrypted, and fails unless `passphrase`, if there is one, opens it. The guest of
    /// this job is the only one that is given one.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn unlock<'f>(
        &self,
        image: impl Into<Window<'f>>,
        request: &UnlockRequest,
        passphrase: Option<&[u8]>,
    ) -> Result<Finished<Encryption>, VmmError> {
        unlock(self, image, request, passphrase)
    }

    /// Lays out a new image in the empty file `image`, which must be open for reading and writing, and in as many
    /// empty `extents` as it has.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn create_with(
        &self,
        image: &File,
        extents: &[&File],
        request: &CreateRequest,
    ) -> Result<Finished<ResizeOutcome>, VmmError> {
        create(self, image, extents, request)
    }
}

/// [`Kvm::resize_with`], whoever runs the guest.
///
/// # Errors
/// As there.
pub fn resize<'f>(
    runner: &dyn Runner,
    image: impl Into<Window<'f>>,
    others: &Others<'_>,
    request: &ResizeRequest,
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<Finished<ResizeOutcome>, VmmError> {
    let image = image.into();
    let len = length(image)?;
    let (mut once, mut findings) = (Once::new(), Findings { told: 0, to: findings });
    let limit = |len| limit::resize(len, request.size, request.format);
    let files = others.files(Image::within(image, len, limit(len), false), limit)?;
    let config = request.to_config(&others.shape()?);
    let ran = runner.run(binaries::RESIZE, config.as_bytes(), files, &mut |payload| {
        once.open()?;
        match payload {
            Payload::ResizeResult(message) => once.set(wire::resize_from_wire(&message)),
            payload => {
                findings.pass(&payload)?;
                once.repairs = true;
                Ok(())
            }
        }
    })?;
    once.finish(ran, |outcome, seen| {
        let data_file = others.data_file.is_some();
        believe::extents(outcome, others.extents.len())?;
        believe::resize(outcome, request, (len, data_file), seen)
    })
}

/// [`Kvm::info_with`], whoever runs the guest.
///
/// # Errors
/// As there.
pub fn info<'f>(
    runner: &dyn Runner,
    image: impl Into<Window<'f>>,
    extents: &[&File],
    request: &InfoRequest,
) -> Result<Finished<(ImageInfo, Vec<InfoItem>)>, VmmError> {
    let image = image.into();
    let len = length(image)?;
    let (mut once, mut items) = (Once::new(), Vec::new());
    let files = read_only(Image::within(image, len, limit::read(len), true), extents)?;
    let ran = runner.run(binaries::INFO, request.to_config().as_bytes(), files, &mut |payload| {
        once.open()?;
        if let Payload::InfoResult(message) = payload {
            return once.set(wire::info_from_wire(message));
        }
        if items.len() == MAX_INFO_ITEMS {
            return Err(VmmError::MalformedResult("there are more items than an image can have"));
        }
        items.push(wire::info_item_from_wire(payload).ok_or(FOREIGN)?);
        Ok(())
    })?;
    let Finished { result, stats } = once.finish(ran, |info, _| believe::info(info))?;
    Ok(Finished { result: result.map(|info| (info, items)), stats })
}

/// [`Kvm::check_with`], whoever runs the guest.
///
/// # Errors
/// As there.
pub fn check<'f>(
    runner: &dyn Runner,
    image: impl Into<Window<'f>>,
    extents: &[&File],
    request: &CheckRequest,
    findings: &mut dyn FnMut(CheckFinding),
) -> Result<Finished<CheckReport>, VmmError> {
    let image = image.into();
    let len = length(image)?;
    let (mut once, mut findings) = (Once::new(), Findings { told: 0, to: findings });
    let repairs = request.repair != Repair::Nothing;
    once.repairs = repairs;
    let limit = if repairs { limit::repair(len) } else { limit::read(len) };
    let files = read_only(Image::within(image, len, limit, !repairs), extents)?;
    let ran = runner.run(binaries::CHECK, request.to_config().as_bytes(), files, &mut |payload| {
        once.open()?;
        match payload {
            Payload::CheckResult(message) => once.set(wire::check_from_wire(&message)),
            payload => findings.pass(&payload),
        }
    })?;
    once.finish(ran, |report, _| believe::check(report, request))
}

/// [`Kvm::unlock`], whoever runs the guest.
///
/// # Errors
/// As there.
pub fn unlock<'f>(
    runner: &dyn Runner,
    image: impl Into<Window<'f>>,
    request: &UnlockRequest,
    passphrase: Option<&[u8]>,
) -> Result<Finished<Encryption>, VmmError> {
    let image = image.into();
    let len = length(image)?;
    let device = Image::within(image, len, limit::read(len), true);
    let long =
        || VmmError::Host { what: "passing the passphrase", source: io::ErrorKind::InvalidInput.into() };
    let mut config = request.to_config(passphrase).ok_or_else(long)?;
    with_passphrase(runner, &mut config, Files::only(device))
}

/// Runs the guest that opens encryption, and forgets the passphrase in `config` behind it.
///
/// # Errors
/// Those of the job.
pub fn with_passphrase(
    runner: &dyn Runner,
    config: &mut UnlockConfig,
    files: Files<'_>,
) -> Result<Finished<Encryption>, VmmError> {
    let mut once = Once::new();
    let ran = runner.run(binaries::UNLOCK, config.as_bytes(), files, &mut |payload| {
        once.open()?;
        match payload {
            Payload::UnlockResult(message) => once.set(wire::unlock_from_wire(&message)),
            _ => Err(FOREIGN),
        }
    });
    config.passphrase.zeroize();
    once.finish(ran?, |_, _| Ok(()))
}

/// [`Kvm::create_with`], whoever runs the guest.
///
/// # Errors
/// As there.
pub fn create(
    runner: &dyn Runner,
    image: &File,
    extents: &[&File],
    request: &CreateRequest,
) -> Result<Finished<ResizeOutcome>, VmmError> {
    let len = length(image.into())?;
    let mut once = Once::new();
    let limit = |len| limit::create(len, limit::described(request));
    let files = writable(Image::new(image, len, limit(len), false), extents, limit)?;
    let ran = runner.run(binaries::CREATE, request.to_config().as_bytes(), files, &mut |payload| {
        once.open()?;
        match payload {
            Payload::CreateResult(message) => once.set(wire::resize_from_wire(&message)),
            _ => Err(FOREIGN),
        }
    })?;
    once.finish(ran, |outcome, seen| {
        believe::extents(outcome, 0)?;
        believe::create(outcome, request, len, seen)
    })
}

fn length(image: Window<'_>) -> Result<u64, VmmError> {
    image.len().map_err(|source| VmmError::Host { what: "asking for the image's length", source })
}
