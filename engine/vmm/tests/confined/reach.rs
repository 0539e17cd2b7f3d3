//! What a process that was taken over reaches: its own files, as far as they may become, and no more.

use crate::Body;
use crate::calls::look;
use crate::misdeeds::commit_on;
use instar_guest::Misdeed;
use instar_ops::InfoRequest;
use instar_vmm::{ErrorKind, Kvm, VmmError};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicI32, Ordering};

pub const TRIALS: &[(&str, Body)] = &[
    ("another_open_file_is_not_there", other_file),
    ("a_file_that_is_only_read_cannot_be_written", read_only_file),
    ("a_file_becomes_no_longer_than_its_limit", file_limit),
    ("memory_ends", memory),
    ("a_process_that_ends_otherwise_is_an_error", other_ends),
    ("an_image_outlives_a_panic_of_the_host", panics),
];

/// The file that a probe is about.
static FILE: AtomicI32 = AtomicI32::new(-1);
/// The exit code of a probe that could do what it should not.
const COULD: i32 = 42;

fn about(file: &File) {
    FILE.store(file.as_raw_fd(), Ordering::Relaxed);
}

fn must_not(worked: bool) {
    if worked {
        // SAFETY: the process ends.
        unsafe { libc::_exit(COULD) };
    }
}

fn can_read() -> bool {
    let mut byte = 0_u8;
    // SAFETY: the buffer is a byte long.
    unsafe { libc::pread(FILE.load(Ordering::Relaxed), (&raw mut byte).cast(), 1, 0) == 1 }
}

fn can_write_at(offset: i64) -> bool {
    // SAFETY: as above.
    unsafe { libc::pwrite(FILE.load(Ordering::Relaxed), c"x".as_ptr().cast(), 1, offset) == 1 }
}

fn other_file(kvm: Kvm) {
    let secret = File::open("/proc/self/exe").unwrap();
    about(&secret);
    assert!(can_read(), "this process can");
    look(kvm.with_probe(|| must_not(can_read()))).unwrap();
}

/// A layer behind the image, open for writing to us.
fn read_only_file(kvm: Kvm) {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(4096).unwrap();
    let file = File::open(image.path()).unwrap();
    about(image.as_file());
    assert!(can_write_at(0), "this process can, through the other descriptor");
    let finished = kvm.with_probe(|| must_not(can_read())).info(&file, &InfoRequest { format: None });
    assert!(finished.unwrap().result.is_ok());
}

fn file_limit(kvm: Kvm) {
    let image = tempfile::tempfile().unwrap();
    image.write_all_at(&[7; 4096], 0).unwrap();
    about(&image);
    let finished = commit_on(kvm.with_probe(|| must_not(can_write_at(1 << 40))), Misdeed::Behave, &image);
    assert!(finished.unwrap().result.is_ok());
    assert_eq!(image.metadata().unwrap().len(), 4096);
    let probe = || must_not(can_write_at(1 << 20));
    let error = commit_on(Kvm::open().unwrap().with_probe(probe), Misdeed::Behave, &image).unwrap_err();
    assert!(error.to_string().ends_with("it ended with code 42"), "below the limit it could: {error}");
}

fn memory(kvm: Kvm) {
    look(kvm.with_probe(|| must_not(Vec::<u8>::new().try_reserve_exact(256 << 20).is_ok()))).unwrap();
}

fn other_ends(kvm: Kvm) {
    // SAFETY: the process ends.
    let error = look(kvm.with_probe(|| unsafe { libc::_exit(7) })).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Host && error.to_string().ends_with("it ended with code 7"),
        "{error}"
    );
    let crash = || {
        // SAFETY: none: the process ends.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(8).write_volatile(1) };
    };
    let error = look(Kvm::open().unwrap().with_probe(crash)).unwrap_err();
    // By that signal, or by what its handler tries.
    assert!(matches!(error, VmmError::Killed { .. }), "{error}");
}

/// A panic in the copy must not unwind into what it is a copy of.
fn panics(kvm: Kvm) {
    let dropped = tempfile::NamedTempFile::new().unwrap();
    let error = commit_on(kvm.with_probe(|| panic!("a bug of the host")), Misdeed::Behave, dropped.as_file())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Host);
    assert!(dropped.path().exists(), "{error}");
}
