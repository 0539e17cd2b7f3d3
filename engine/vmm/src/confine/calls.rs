//! The system calls that the process of a guest may make once it is confined. Any other one kills it.

use super::Kept;
use kvm_bindings::{KVMIO, kvm_regs, kvm_sregs};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::os::fd::RawFd;
use vmm_sys_util::ioctl::{_IOC_NONE, _IOC_READ, ioctl_expr};

/// A system call.
struct Call {
    name: &'static str,
    number: libc::c_long,
    /// With which arguments.
    with: With,
}

/// Which arguments a call may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    Anything,
    /// As above, in a job that changes files.
    AnythingIfWritable,
    /// The guest's processor, and a request that running it takes.
    Processor,
    /// The pipe, or standard error, which is closed unless something is shown there.
    Reports,
    /// Memory for nothing but data, with no file behind it.
    PlainMemory,
}

const fn call(name: &'static str, number: libc::c_long, with: With) -> Call {
    Call { name, number, with }
}

/// All of them.
const CALLS: [Call; 12] = [
    // Runs the guest, and asks where it stopped.
    call("ioctl", libc::SYS_ioctl, With::Processor),
    // The guest reads its files.
    call("pread64", libc::SYS_pread64, With::Anything),
    // The guest writes to its files.
    call("pwrite64", libc::SYS_pwrite64, With::AnythingIfWritable),
    // The guest zeroes parts of its files.
    call("fallocate", libc::SYS_fallocate, With::AnythingIfWritable),
    // The guest flushes its files, even those that it only reads.
    call("fdatasync", libc::SYS_fdatasync, With::Anything),
    // What the guest says goes to the process that waits for it; a line on a terminal tells how far it is.
    call("write", libc::SYS_write, With::Reports),
    // The allocator, for a large buffer: zeros where the file system has none of its own.
    call("mmap", libc::SYS_mmap, With::PlainMemory),
    // The allocator, when the buffer is no longer needed.
    call("munmap", libc::SYS_munmap, With::Anything),
    // The allocator, for small ones: requests, messages, errors.
    call("brk", libc::SYS_brk, With::Anything),
    // The watchdog's clock, where the kernel does not let it be read without a call.
    call("clock_gettime", libc::SYS_clock_gettime, With::Anything),
    // The watchdog's signal was handled.
    call("rt_sigreturn", libc::SYS_rt_sigreturn, With::Anything),
    // The end.
    call("exit_group", libc::SYS_exit_group, With::Anything),
];

/// The names of the system calls that a confined process may make.
pub fn allowed_calls() -> impl Iterator<Item = &'static str> {
    CALLS.iter().map(|call| call.name)
}

/// The filter that lets a process with these files make these calls, but for the one that it is to do without.
pub fn filter(kept: &Kept, without: Option<&str>) -> Result<BpfProgram, Error> {
    let writable = kept.file_limit.is_some();
    let allowed = CALLS
        .iter()
        .filter(|call| without != Some(call.name) && (writable || call.with != With::AnythingIfWritable));
    let rules = allowed.map(|call| Ok((call.number, call.with.rules(kept)?)));
    let rules = rules.collect::<Result<BTreeMap<_, _>, seccompiler::BackendError>>()?;
    let filter =
        SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, TargetArch::x86_64)?;
    Ok(filter.try_into()?)
}

impl With {
    /// One rule for each set of arguments; none for any arguments.
    fn rules(self, kept: &Kept) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
        match self {
            Self::Anything | Self::AnythingIfWritable => Ok(Vec::new()),
            Self::Processor => {
                let processor = descriptor(kept.processor);
                requests().map(|request| rule(&[(0, processor), (1, request)])).into_iter().collect()
            }
            Self::Reports => {
                let ends = [kept.pipe, libc::STDERR_FILENO];
                ends.map(|end| rule(&[(0, descriptor(end))])).into_iter().collect()
            }
            Self::PlainMemory => {
                let data = number(libc::PROT_READ | libc::PROT_WRITE);
                let plain = number(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
                Ok(vec![rule(&[(2, data), (3, plain)])?])
            }
        }
    }
}

/// The requests to a processor: run it, and read its registers after a fault (Linux, `include/uapi/linux/kvm.h`).
fn requests() -> [u64; 3] {
    let size = |len: usize| u32::try_from(len).unwrap_or(0);
    [
        ioctl_expr(_IOC_NONE, KVMIO, 0x80, 0),
        ioctl_expr(_IOC_READ, KVMIO, 0x81, size(size_of::<kvm_regs>())),
        ioctl_expr(_IOC_READ, KVMIO, 0x83, size(size_of::<kvm_sregs>())),
    ]
}

fn number(bits: i32) -> u64 {
    u64::from(bits.cast_unsigned())
}

fn descriptor(fd: RawFd) -> u64 {
    number(fd)
}

/// Arguments by index must have these values, of which the kernel looks at 32 bits.
fn rule(arguments: &[(u8, u64)]) -> Result<SeccompRule, seccompiler::BackendError> {
    let equals = |&(index, value): &(u8, u64)| {
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
    };
    SeccompRule::new(arguments.iter().map(equals).collect::<Result<_, _>>()?)
}
