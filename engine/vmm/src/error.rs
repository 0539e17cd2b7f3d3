//! How a job in a guest can fail, beyond the operation's own refusals.

use instar_ops::disk::IoError;
use std::io;
use std::time::Duration;

/// Why there is no result of a job, or none that can be believed.
///
/// What an operation itself refuses is no [`VmmError`]: it is the job's result, an `OpError`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmmError {
    /// This machine cannot run the guest.
    #[error("KVM is not usable: {reason}")]
    Unavailable {
        /// What is missing, in words.
        reason: String,
    },
    /// The host could not set up or run the virtual machine.
    #[error("{what}: {source}")]
    Host {
        /// What was being done.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A guest binary that was built with this program cannot be loaded.
    #[error("guest binary '{name}' cannot be loaded: {what}")]
    Binary {
        /// Name of the binary.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The guest's code panicked.
    #[error("guest panicked: {text}")]
    Panic {
        /// What the guest had to say, made printable and cut to a bounded length.
        text: String,
    },
    /// The guest's processor stopped at an instruction.
    #[error("guest fault: {0}")]
    Fault(Fault),
    /// The process of the guest did not come to its own end.
    #[error("the guest's process was killed by signal {signal}{}", if *.signal == libc::SIGSYS { " for a forbidden system call" } else { "" })]
    Killed {
        /// The signal that ended it.
        signal: i32,
    },
    /// The guest did not come to an end in time.
    #[error("guest timed out: {why} for {} ms", .limit.as_millis())]
    TimedOut {
        /// Which of the limits it was.
        why: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The guest ended without a result.
    #[error("guest ended without a result")]
    MissingResult,
    /// The guest sent what no correct guest would send.
    #[error("guest sent a malformed message: {0}")]
    MalformedResult(&'static str),
    /// The guest's result contradicts what the host saw it do.
    #[error("guest's result cannot be believed: {0}")]
    Unbelievable(&'static str),
    /// The device failed and the guest claims success all the same.
    #[error("image I/O failed: {}: {}", .0, io::Error::from_raw_os_error(.0.errno.cast_signed()))]
    Io(IoError),
}

/// The kinds of [`VmmError`], for matching and counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// This machine cannot run the guest.
    Unavailable,
    /// The host's own set-up failed.
    Host,
    /// The guest panicked.
    Panic,
    /// The guest's processor faulted.
    Fault,
    /// The guest did not end in time.
    TimedOut,
    /// The result is malformed, missing or contradicts what was seen.
    Result,
    /// The image could not be read or written.
    Io,
}

impl VmmError {
    /// The kind of this error.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Host { .. } | Self::Binary { .. } | Self::Killed { .. } => ErrorKind::Host,
            Self::Panic { .. } => ErrorKind::Panic,
            Self::Fault(_) => ErrorKind::Fault,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::MissingResult | Self::MalformedResult(_) | Self::Unbelievable(_) => ErrorKind::Result,
            Self::Io(_) => ErrorKind::Io,
        }
    }
}

/// Where and why the guest's processor stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub cause: FaultCause,
    /// Instruction pointer, where known.
    pub rip: u64,
    /// The address at fault: CR2 for a page fault, the guest physical address for stray MMIO.
    pub address: Option<u64>,
}

/// What a processor can stop for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCause {
    /// A processor exception.
    Exception {
        /// Its vector (Intel SDM volume 3, table 6-1).
        vector: u8,
        /// Its error code, 0 where it has none.
        code: u64,
        /// Whether the address lies in the guard area below the stack.
        stack_overflow: bool,
    },
    /// A triple fault.
    Shutdown,
    /// An access to an address where there is neither memory nor a device register.
    StrayAccess {
        /// Whether it was a write.
        write: bool,
    },
    /// A device was used as no driver may use it.
    Misuse(&'static str),
    /// KVM could not go on (`KVM_EXIT_INTERNAL_ERROR`, failed entry, an exit of no use here).
    Stuck(&'static str),
}

/// Names of the exceptions by vector (Intel SDM volume 3, table 6-1).
const EXCEPTIONS: [&str; 20] = [
    "divide error",
    "debug exception",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid TSS",
    "segment not present",
    "stack-segment fault",
    "general protection",
    "page fault",
    "reserved",
    "floating-point error",
    "alignment check",
    "machine check",
    "SIMD floating-point error",
];

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.cause {
            FaultCause::Exception { stack_overflow: true, .. } => write!(f, "stack overflow")?,
            FaultCause::Exception { vector, code, .. } => {
                let name = EXCEPTIONS.get(usize::from(vector)).unwrap_or(&"exception");
                write!(f, "{name} (vector {vector}, error code {code:#x})")?;
            }
            FaultCause::Shutdown => write!(f, "triple fault")?,
            FaultCause::StrayAccess { write } => {
                write!(f, "stray {}", if write { "write" } else { "read" })?;
            }
            FaultCause::Misuse(why) => write!(f, "misuse of a device: {why}")?,
            FaultCause::Stuck(why) => write!(f, "{why}")?,
        }
        write!(f, " at RIP {:#x}", self.rip)?;
        match self.address {
            Some(address) => write!(f, ", address {address:#x}"),
            None => Ok(()),
        }
    }
}
