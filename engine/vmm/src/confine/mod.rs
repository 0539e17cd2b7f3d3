//! What is left to the process of a guest before the guest runs for the first time: its files, its processor, a pipe.
//!
//! Whoever takes the process over finds nothing to open (Landlock, no free descriptor, no call that takes a name), nothing to
//! ask the kernel for but what serving a guest takes (seccomp), and limits of memory, time and length.

mod calls;

use crate::error::VmmError;
pub use calls::allowed_calls;
use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr as _, Scope};
use std::io;
use std::os::fd::RawFd;

/// Memory, in bytes, that the process may have beyond what it has when the guest begins: a piece of zeros to write (1 MiB),
/// messages, and generous room.
const MORE_MEMORY: u64 = 64 << 20;
/// Memory, in bytes, if the kernel does not tell how much there is already.
const ALL_MEMORY: u64 = 1 << 30;
/// Processor time, in seconds, beyond the guest's own.
const MORE_TIME: u64 = 600;
/// What the kernel calls "to the last descriptor".
const LAST: u32 = u32::MAX;

/// How a process is confined, beyond what always holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Confinement {
    /// A system call that is not allowed after all.
    pub without: Option<&'static str>,
    /// What is done in the process once it is confined.
    pub probe: Option<fn()>,
}

/// What a process keeps.
#[derive(Debug)]
pub struct Kept {
    /// Open files, those below among them.
    pub descriptors: Vec<RawFd>,
    /// The guest's processor.
    pub processor: RawFd,
    /// Where reports go.
    pub pipe: RawFd,
    /// The first byte that no file may have; none if no file may be written.
    pub file_limit: Option<u64>,
    /// How long the guest may run, in seconds.
    pub seconds: u64,
}

impl Confinement {
    /// Confines this process, for good.
    ///
    /// # Errors
    /// [`VmmError::Host`]: the kernel did not do a part of it.
    pub fn enter(self, kept: Kept) -> Result<(), VmmError> {
        let memory = memory_now().map_or(ALL_MEMORY, |now| now.saturating_add(MORE_MEMORY));
        let filter =
            calls::filter(&kept, self.without).map_err(|e| failed("filtering system calls")(other(e)))?;
        close_others(kept.descriptors.clone()).map_err(failed("closing files"))?;
        no_names().map_err(|e| failed("restricting access to files")(other(e)))?;
        limit(&kept, memory).map_err(failed("limiting resources"))?;
        seccompiler::apply_filter(&filter).map_err(|e| failed("filtering system calls")(other(e)))?;
        if let Some(probe) = self.probe {
            probe();
        }
        Ok(())
    }
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> VmmError {
    move |source| VmmError::Host { what, source }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

/// Whether a call that returns a negative number on failure failed.
fn done(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes every file but those that are `kept`: the user's, and those of other jobs, which this one has no business with.
fn close_others(mut kept: Vec<RawFd>) -> io::Result<()> {
    kept.sort_unstable();
    kept.dedup();
    let mut first = 0;
    for fd in kept.iter().filter_map(|fd| u32::try_from(*fd).ok()) {
        if first < fd {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, LAST)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: nothing of this process uses the files again: it ends without giving anything back.
    done(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })
}

/// Takes away every way to a file, a socket or a process by its name. A kernel that is too old for a part of it leaves
/// that to the filter of system calls, which has no call that takes a name.
fn no_names() -> Result<(), landlock::RulesetError> {
    let abi = ABI::V6;
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(abi))?;
    let ruleset = ruleset.handle_access(AccessNet::from_all(abi))?.scope(Scope::from_all(abi))?;
    ruleset.create()?.restrict_self().map(drop)
}

/// Bytes of address space that this process has.
fn memory_now() -> Option<u64> {
    /// Bytes of a page, in which the kernel counts.
    const PAGE: u64 = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(PAGE)
}

fn limit(kept: &Kept, memory: u64) -> io::Result<()> {
    // Nobody reads the memory of a process that may hold a passphrase, dead or alive.
    set(libc::RLIMIT_CORE, 0)?;
    // SAFETY: numbers only.
    done(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }.into())?;
    // A write beyond the limit is an error, not a signal.
    // SAFETY: ignoring a signal installs no handler and touches no memory of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    set(libc::RLIMIT_FSIZE, kept.file_limit.unwrap_or(0))?;
    set(libc::RLIMIT_AS, memory)?;
    set(libc::RLIMIT_CPU, kept.seconds.saturating_add(MORE_TIME))?;
    set(libc::RLIMIT_NOFILE, 0)
}

/// Sets a limit, unless there is a tighter one.
fn set(resource: libc::__rlimit_resource_t, most: u64) -> io::Result<()> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is valid during the call.
    done(unsafe { libc::getrlimit(resource, &raw mut now) }.into())?;
    let most = most.min(now.rlim_cur);
    let new = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: as above.
    done(unsafe { libc::setrlimit(resource, &raw const new) }.into())
}
