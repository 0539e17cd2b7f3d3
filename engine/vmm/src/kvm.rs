//! The operations as jobs in guests: what callers see.

use crate::answers::{FOREIGN, Findings, Once};
use crate::binaries::{self, Binary};
use crate::error::VmmError;
use crate::extents::{read_only, writable};
use crate::files::Files;
use crate::image::{Image, Seen, file_len};
use crate::machine::{self, Job};
use crate::observe::{Change, Observer};
use crate::others::Others;
use crate::{believe, limit};
use instar_abi::message::GuestMessage_::Payload;
use instar_ops::{
    CheckFinding, CheckReport, CheckRequest, CreateRequest, Encryption, ImageInfo, InfoItem, InfoRequest,
    OpError, Repair, ResizeOutcome, ResizeRequest, UnlockRequest, wire,
};
use kvm_bindings::{CpuId, KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::VmFd;
use std::fs::File;
use std::io;
use std::time::Duration;
use zerocopy::IntoBytes;
use zeroize::Zeroize;

/// Most snapshots and bitmaps that an image can have (qcow2 specification: 65,536 and 65,535).
const MAX_INFO_ITEMS: usize = 65_536 + 65_535;
/// How much longer than others the guest that unlocks may be silent: it derives a key for each of eight
/// slots in turn, which took its maker a second or two with faster code, and more on a busy machine.
const UNLOCK_PATIENCE: u32 = 20;

/// Access to `/dev/kvm`: what jobs are run with. Each job gets a virtual machine of its own, run by
/// the thread that asks for it.
#[derive(Debug)]
pub struct Kvm {
    fd: kvm_ioctls::Kvm,
    operation: Option<Binary>,
    pub(crate) cpuid: CpuId,
    pub(crate) limits: Limits,
    pub(crate) log: fn(&str),
    observer: Observer,
}

/// How long a guest may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time that a guest may run without an exit to the host.
    pub silence: Duration,
    /// Longest time that a guest may run altogether; the host's own I/O is not counted.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { silence: Duration::from_secs(30), total: Duration::from_secs(3600) }
    }
}

/// A job that came to its end, whatever that is.
#[derive(Debug)]
pub struct Finished<T> {
    /// What the operation answered.
    pub result: Result<T, OpError>,
    /// What it took.
    pub stats: Stats,
}

/// What a job took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Exits from the guest to the host.
    pub exits: u64,
    /// Requests to the block device.
    pub block_requests: u64,
    /// Bytes that the guest read from the image.
    pub bytes_read: u64,
    /// Bytes that the guest wrote to the image, zeroing not counted.
    pub bytes_written: u64,
    /// Flushes of the image (`fdatasync`).
    pub flushes: u64,
    /// Time in the guest, the cost of its exits included.
    pub guest_time: Duration,
    /// Time from the creation of the virtual machine to its end.
    pub total_time: Duration,
    /// Memory of the virtual machine in bytes, touched or not.
    pub guest_memory: u64,
}

impl Kvm {
    /// Opens `/dev/kvm`.
    ///
    /// # Errors
    /// [`VmmError::Unavailable`] names what is missing.
    pub fn open() -> Result<Self, VmmError> {
        let fd = kvm_ioctls::Kvm::new().map_err(|e| unavailable(e.errno()))?;
        if u32::try_from(fd.get_api_version()) != Ok(KVM_API_VERSION) {
            return Err(VmmError::Unavailable { reason: "/dev/kvm does not answer as KVM does".into() });
        }
        let cpuid = fd.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(|e| unavailable(e.errno()))?;
        Ok(Self {
            fd,
            operation: None,
            cpuid,
            limits: Limits::default(),
            log: |_| {},
            observer: Observer::none(),
        })
    }

    /// The same with other limits than the default ones.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same, with every line of a guest's debug text handed to `log`.
    #[must_use]
    pub const fn with_log(mut self, log: fn(&str)) -> Self {
        self.log = log;
        self
    }

    /// The same, with every change of an image (not of its data file) shown to `observer` before it is made. An errno in return lets the
    /// change fail with that, undone. For tests of what becomes of an image, and to see how far a job is.
    #[must_use]
    pub fn with_observer(self, observer: impl Fn(Change<'_>) -> Option<i32> + Send + Sync + 'static) -> Self {
        self.observed_by(Observer::new(observer))
    }

    /// The same, by an observer that there is.
    #[must_use]
    pub fn observed_by(mut self, observer: Observer) -> Self {
        self.observer = observer;
        self
    }

    /// The same, with `binary`, an ELF file, in place of every operation: for tests of what a guest
    /// that cannot be trusted can do.
    #[must_use]
    pub const fn with_operation(mut self, binary: &'static [u8]) -> Self {
        self.operation = Some(Binary { name: "replacement", bytes: binary });
        self
    }

    pub(crate) fn create_vm(&self) -> Result<VmFd, VmmError> {
        self.fd.create_vm().map_err(|e| unavailable(e.errno()))
    }

    fn run(
        &self,
        operation: Binary,
        config: &[u8],
        mut files: Files<'_>,
        sink: &mut dyn FnMut(Payload) -> Result<(), VmmError>,
    ) -> Result<(Stats, Seen), VmmError> {
        if let Some(image) = files.image() {
            image.observer = self.observer.clone();
        }
        let limits = match operation.name == binaries::UNLOCK.name {
            true => Limits { silence: self.limits.silence * UNLOCK_PATIENCE, ..self.limits },
            false => self.limits,
        };
        let operation = self.operation.unwrap_or(operation);
        machine::run(self, Job { operation, config, files, sink, limits })
    }

    /// Resizes `image`, which must be open for reading and writing. The length that the file shall
    /// have in the end is left to the caller ([`ResizeOutcome::file_size_after`]).
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn resize(&self, image: &File, request: &ResizeRequest) -> Result<Finished<ResizeOutcome>, VmmError> {
        self.resize_with(image, &Others::default(), request, &mut |_| {})
    }

    /// As [`Self::resize`], of an image with `others`. The length that its data file shall have in the
    /// end is left to the caller, too ([`ResizeOutcome::data_file_size_after`]). What is found in an image that
    /// must be repaired first goes to `findings`.
    ///
    /// # Errors
    /// As [`Self::resize`].
    pub fn resize_with(
        &self,
        image: &File,
        others: &Others<'_>,
        request: &ResizeRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Result<Finished<ResizeOutcome>, VmmError> {
        let len = length(image)?;
        let (mut once, mut findings) = (Once::new(), Findings { told: 0, to: findings });
        let limit = |len| limit::resize(len, request.size);
        let files = others.files(Image::new(image, len, limit(len), false), limit)?;
        let config = request.to_config(&others.shape()?);
        let ran = self.run(binaries::RESIZE, config.as_bytes(), files, &mut |payload| {
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

    /// Describes `image`, whose disk is in `extents` if it is in other files, with its snapshots, bitmaps and extents
    /// in the image's order.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn info_with(
        &self,
        image: &File,
        extents: &[&File],
        request: &InfoRequest,
    ) -> Result<Finished<(ImageInfo, Vec<InfoItem>)>, VmmError> {
        let len = length(image)?;
        let (mut once, mut items) = (Once::new(), Vec::new());
        let files = read_only(Image::new(image, len, limit::read(len), true), extents)?;
        let ran = self.run(binaries::INFO, request.to_config().as_bytes(), files, &mut |payload| {
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

    /// Checks `image`, which must be open for writing if it is to be repaired, with its `extents`. Findings go to
    /// `findings` as they come; those of a job that fails later too.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn check_with(
        &self,
        image: &File,
        extents: &[&File],
        request: &CheckRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Result<Finished<CheckReport>, VmmError> {
        let len = length(image)?;
        let (mut once, mut findings) = (Once::new(), Findings { told: 0, to: findings });
        let repairs = request.repair != Repair::Nothing;
        once.repairs = repairs;
        let limit = if repairs { limit::repair(len) } else { limit::read(len) };
        let files = read_only(Image::new(image, len, limit, !repairs), extents)?;
        let ran = self.run(binaries::CHECK, request.to_config().as_bytes(), files, &mut |payload| {
            once.open()?;
            match payload {
                Payload::CheckResult(message) => once.set(wire::check_from_wire(&message)),
                payload => findings.pass(&payload),
            }
        })?;
        once.finish(ran, |report, _| believe::check(report, request))
    }

    /// Says how `image` is encrypted, and fails unless `passphrase`, if there is one, opens it. The guest of
    /// this job is the only one that is given one.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn unlock(
        &self,
        image: &File,
        request: &UnlockRequest,
        passphrase: Option<&[u8]>,
    ) -> Result<Finished<Encryption>, VmmError> {
        let len = length(image)?;
        let mut once = Once::new();
        let device = Image::new(image, len, limit::read(len), true);
        let long =
            || VmmError::Host { what: "passing the passphrase", source: io::ErrorKind::InvalidInput.into() };
        let mut config = request.to_config(passphrase).ok_or_else(long)?;
        let ran = self.run(binaries::UNLOCK, config.as_bytes(), Files::only(device), &mut |payload| {
            once.open()?;
            match payload {
                Payload::UnlockResult(message) => once.set(wire::unlock_from_wire(&message)),
                _ => Err(FOREIGN),
            }
        });
        config.passphrase.zeroize();
        once.finish(ran?, |_, _| Ok(()))
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
        let len = length(image)?;
        let mut once = Once::new();
        let limit = |len| limit::create(len, limit::described(request));
        let files = writable(Image::new(image, len, limit(len), false), extents, limit)?;
        let ran = self.run(binaries::CREATE, request.to_config().as_bytes(), files, &mut |payload| {
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
}

fn length(image: &File) -> Result<u64, VmmError> {
    file_len(image).map_err(|source| VmmError::Host { what: "asking for the image's length", source })
}

/// Says what is wrong with `/dev/kvm`.
fn unavailable(errno: i32) -> VmmError {
    let reason = match errno {
        libc::ENOENT => "there is no /dev/kvm on this machine".into(),
        libc::EACCES => "no permission to open /dev/kvm".into(),
        _ => format!("/dev/kvm: {}", io::Error::from_raw_os_error(errno)),
    };
    VmmError::Unavailable { reason }
}
