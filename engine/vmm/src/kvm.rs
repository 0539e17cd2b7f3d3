//! Access to KVM, and how guests are run with it.

use crate::answers::Here;
use crate::apart;
use crate::binaries::{self, Binary};
use crate::confine::Confinement;
use crate::error::VmmError;
use crate::files::Files;
use crate::image::Seen;
use crate::machine::{self, Job};
use crate::observe::{Change, Observer};
use crate::operations::Runner;
use instar_abi::message::GuestMessage_::Payload;
use instar_ops::OpError;
use kvm_bindings::{CpuId, KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::VmFd;
use std::io;
use std::time::Duration;

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
    log: fn(&str),
    pub(crate) observer: Observer,
    confinement: Option<Confinement>,
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
            confinement: None,
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

    /// The same, with every change of an image (not of its other files) shown to `observer` before it is made. An errno in return lets the
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

    /// The same, with every job in a process of its own that can do nothing but run its guest and serve it: see
    /// docs/hardening.md. Only for a process with one thread, as it is copied.
    #[must_use]
    pub fn confined(mut self) -> Self {
        self.confinement = Some(self.confinement.unwrap_or_default());
        self
    }

    /// As [`Self::confined`], with `probe` called in each job's process when it is confined: for tests of what
    /// one that was taken over can do.
    #[must_use]
    pub fn with_probe(mut self, probe: fn()) -> Self {
        self.confinement.get_or_insert_default().probe = Some(probe);
        self
    }

    /// As [`Self::confined`], with one system call less: for the test that each of them is needed.
    #[must_use]
    pub fn without_call(mut self, name: &'static str) -> Self {
        self.confinement.get_or_insert_default().without = Some(name);
        self
    }

    pub(crate) fn create_vm(&self) -> Result<VmFd, VmmError> {
        self.fd.create_vm().map_err(|e| unavailable(e.errno()))
    }
}

impl Runner for Kvm {
    fn run(
        &self,
        operation: Binary,
        config: &[u8],
        mut files: Files<'_>,
        sink: &mut dyn FnMut(Payload) -> Result<(), VmmError>,
    ) -> Result<(Stats, Seen), VmmError> {
        files.observe(&self.observer);
        let limits = match operation.name == binaries::UNLOCK.name {
            true => Limits { silence: self.limits.silence * UNLOCK_PATIENCE, ..self.limits },
            false => self.limits,
        };
        let operation = self.operation.unwrap_or(operation);
        let mut here = Here { sink, log: self.log };
        let job = Job { operation, config, files, listener: &mut here, limits };
        match self.confinement {
            Some(confinement) => apart::run(self, confinement, job),
            None => machine::run(self, job),
        }
    }
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
