//! A virtual machine monitor for one job on one disk image.

mod error;

pub use error::{ErrorKind, Fault, FaultCause, VmmError};
use instar_ops::{
    CheckFinding, CheckReport, CheckRequest, CreateRequest, ImageInfo, InfoItem, InfoRequest,
    OpError, ResizeOutcome, ResizeRequest,
};
use std::fs::File;
use std::time::Duration;

/// Access to `/dev/kvm`: what jobs are run with. Each job gets a virtual machine of its own.
#[derive(Debug)]
pub struct Kvm {}

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
        Self {
            silence: Duration::from_secs(30),
            total: Duration::from_secs(3600),
        }
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
        Err(VmmError::Unavailable {
            reason: "not built in yet".into(),
        })
    }

    /// The same with other limits than the default ones.
    #[must_use]
    pub fn with_limits(self, _limits: Limits) -> Self {
        self
    }

    /// Resizes `image`, which must be open for reading and writing. The length that the file shall
    /// have in the end is left to the caller ([`ResizeOutcome::file_size_after`]).
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn resize(
        &self,
        _image: &File,
        _request: &ResizeRequest,
    ) -> Result<Finished<ResizeOutcome>, VmmError> {
        Err(VmmError::Unavailable {
            reason: "not built in yet".into(),
        })
    }

    /// Describes `image`, with its snapshots and bitmaps in the image's order.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn info(
        &self,
        _image: &File,
        _request: &InfoRequest,
    ) -> Result<Finished<(ImageInfo, Vec<InfoItem>)>, VmmError> {
        Err(VmmError::Unavailable {
            reason: "not built in yet".into(),
        })
    }

    /// Checks `image`. Findings go to `findings` as they come; those of a job that fails later too.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn check(
        &self,
        _image: &File,
        _request: &CheckRequest,
        _findings: &mut dyn FnMut(CheckFinding),
    ) -> Result<Finished<CheckReport>, VmmError> {
        Err(VmmError::Unavailable {
            reason: "not built in yet".into(),
        })
    }

    /// Lays out a new image in the empty file `image`, which must be open for reading and writing.
    ///
    /// # Errors
    /// [`VmmError`]: the job did not come to an end that can be believed.
    pub fn create(
        &self,
        _image: &File,
        _request: &CreateRequest,
    ) -> Result<Finished<ResizeOutcome>, VmmError> {
        Err(VmmError::Unavailable {
            reason: "not built in yet".into(),
        })
    }
}
