//! System calls: each of the list is needed, and any other one is the end.

use crate::Body;
use crate::misdeeds::commit_on;
use instar_guest::Misdeed;
use instar_ops::{CreateRequest, Format, InfoRequest, Preallocation, ResizeRequest, SizeRequest};
use instar_vmm::{Kvm, Limits, VmmError, allowed_calls};
use std::fs::File;
use std::ptr;
use std::time::Duration;

pub const TRIALS: &[(&str, Body)] = &[
    ("each_allowed_call_is_needed", each_is_needed),
    ("any_other_call_is_the_end", others_kill),
    ("a_job_that_only_reads_cannot_write", reading_does_not_write),
];

/// A job; whether it came to its end.
type Job = fn(Kvm) -> Result<(), VmmError>;

/// Which job makes which call.
const NEEDED_BY: [(&str, Job); 12] = [
    ("ioctl", look),
    ("pread64", look),
    ("pwrite64", change),
    ("fallocate", change),
    ("fdatasync", change),
    ("write", look),
    ("mmap", allocate),
    ("munmap", allocate),
    ("brk", grow_heap),
    ("clock_gettime", tell_time),
    ("rt_sigreturn", hang),
    ("exit_group", look),
];

fn image() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 20).unwrap();
    file
}

/// Reads.
pub fn look(kvm: Kvm) -> Result<(), VmmError> {
    kvm.info(&image(), &InfoRequest { format: None })?.result.map(drop).map_err(|e| panic!("{e}"))
}

/// Lays out an image and makes it so much larger that a long table is zeroed.
fn change(kvm: Kvm) -> Result<(), VmmError> {
    let file = tempfile::tempfile().unwrap();
    let created = kvm.create(&file, &CreateRequest::new(Format::Qcow2, 1 << 20))?.result.unwrap();
    file.set_len(created.file_size_after).unwrap();
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Absolute(1 << 50),
        shrink: false,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    kvm.resize(&file, &request)?.result.map(drop).map_err(|e| panic!("{e}"))
}

/// Allocates, and gives back, a large buffer.
fn allocate(kvm: Kvm) -> Result<(), VmmError> {
    // So large that no history makes the allocator take it from its heap.
    look(kvm.with_probe(|| drop(std::hint::black_box(vec![1_u8; 40 << 20]))))
}

/// Asks for its heap, as the allocator does when that is full.
fn grow_heap(kvm: Kvm) -> Result<(), VmmError> {
    look(kvm.with_probe(|| call(libc::SYS_brk, [0; 3])))
}

/// Asks for the time as where it cannot be read without a call.
fn tell_time(kvm: Kvm) -> Result<(), VmmError> {
    look(kvm.with_probe(|| {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure is valid during the call.
        unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut now) };
    }))
}

/// Is interrupted by the watchdog.
fn hang(kvm: Kvm) -> Result<(), VmmError> {
    let limits = Limits { silence: Duration::from_millis(20), ..Limits::default() };
    match commit_on(kvm.with_limits(limits), Misdeed::Hang, &image()) {
        Err(VmmError::TimedOut { .. }) => Ok(()),
        other => other.map(drop),
    }
}

fn each_is_needed(_: Kvm) {
    let kvm = || Kvm::open().unwrap().confined();
    assert!(allowed_calls().eq(NEEDED_BY.iter().map(|(name, _)| *name)));
    for (name, job) in NEEDED_BY {
        assert!(job(kvm()).is_ok(), "with {name}: {:?}", job(kvm()));
        assert_killed(job(kvm().without_call(name)), name);
    }
}

fn assert_killed(end: Result<(), VmmError>, why: &str) {
    assert!(matches!(end, Err(VmmError::Killed { signal: libc::SIGSYS })), "{why}: {end:?}");
}

/// What somebody may try who has taken the process over.
const FORBIDDEN: [(&str, fn()); 12] = [
    ("opens a file", || call(libc::SYS_openat, [libc::AT_FDCWD.into(), c"/etc/passwd".as_ptr() as i64, 0])),
    ("removes a file", || call(libc::SYS_unlink, [c"/nonexistent".as_ptr() as i64, 0, 0])),
    ("connects to somebody", || call(libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0])),
    ("starts a program", || call(libc::SYS_execve, [c"/bin/true".as_ptr() as i64, 0, 0])),
    ("makes another process", || call(libc::SYS_fork, [0; 3])),
    ("sends a signal", || call(libc::SYS_kill, [1, 0, 0])),
    ("looks into a process", || call(libc::SYS_ptrace, [0; 3])),
    ("passes its filter by", || call(libc::SYS_io_uring_setup, [1, 0, 0])),
    ("makes data into code", || call(libc::SYS_mprotect, [0x1000, 4096, libc::PROT_EXEC.into()])),
    ("writes to standard output", || call(libc::SYS_write, [1, c"x".as_ptr() as i64, 1])),
    ("asks another device", || call(libc::SYS_ioctl, [0, 0x5401, 0])),
    ("maps memory for code", || {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, which nobody uses.
        unsafe { libc::mmap(ptr::null_mut(), 4096, prot, flags, -1, 0) };
    }),
];

fn call(number: libc::c_long, [a, b, c]: [i64; 3]) {
    // SAFETY: none of them changes memory that anybody uses.
    unsafe { libc::syscall(number, a, b, c) };
}

fn others_kill(_: Kvm) {
    for (what, probe) in FORBIDDEN {
        assert_killed(look(Kvm::open().unwrap().with_probe(probe)), what);
    }
}

fn reading_does_not_write(kvm: Kvm) {
    assert_killed(look(kvm.with_probe(|| call(libc::SYS_pwrite64, [-1, 0, 0]))), "writes to a file");
}
