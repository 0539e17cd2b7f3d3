//! A device that fails: each change and flush of a resize in turn ends the job with its error, and leaves an image that a
//! check finds leaks in at most and that can be resized.

use crate::Body;
use instar_ops::disk::IoError;
use instar_ops::{
    CheckRequest, CreateRequest, Format, InfoRequest, OpError, Preallocation, Qcow2Options, ResizeRequest,
    SizeRequest,
};
use instar_vmm::Kvm;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub const TRIALS: &[(&str, Body)] =
    &[("a_grow_with_a_failing_device", grow), ("a_shrink_with_a_failing_device", shrink)];

const SMALL: u64 = 1 << 20;
/// Of clusters of 512 bytes, a larger L1 table and more refcount blocks.
const LARGE: u64 = 4 << 30;

fn grow(kvm: Kvm) {
    assert!(each_call_fails(&kvm, &image(&kvm), SMALL, LARGE) > 8);
}

fn shrink(kvm: Kvm) {
    let image = image(&kvm);
    resize(&kvm, &image, LARGE).unwrap();
    // Nothing is allocated, so nothing is let go: the header, and its flush.
    assert_eq!(each_call_fails(&kvm, &image, LARGE, SMALL), 2);
}

fn image(kvm: &Kvm) -> File {
    let file = tempfile::tempfile().unwrap();
    let qcow2 = Qcow2Options { cluster_bits: 9, ..Qcow2Options::default() };
    let request = CreateRequest { qcow2, ..CreateRequest::new(Format::Qcow2, SMALL) };
    let outcome = kvm.create(&file, &request).unwrap().result.unwrap();
    file.set_len(outcome.file_size_after).unwrap();
    file
}

/// Resizes, and gives the file its length.
fn resize(kvm: &Kvm, file: &File, size: u64) -> Result<(), OpError> {
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Absolute(size),
        shrink: true,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    let outcome = kvm.resize(file, &request).unwrap().result?;
    file.set_len(outcome.file_size_after).unwrap();
    Ok(())
}

/// How many calls there were to fail.
fn each_call_fails(kvm: &Kvm, start: &File, old: u64, new: u64) -> usize {
    let mut call = 0;
    loop {
        let errno = if call % 2 == 0 { libc::EIO } else { libc::ENOSPC };
        let (mut start, mut copy) = (start, tempfile::tempfile().unwrap());
        start.seek(SeekFrom::Start(0)).unwrap();
        std::io::copy(&mut start, &mut copy).unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let failing = Kvm::open()
            .unwrap()
            .with_observer(move |_| (counter.fetch_add(1, Ordering::Relaxed) == call).then_some(errno));
        let answer = resize(&failing, &copy, new);
        if calls.load(Ordering::Relaxed) <= call {
            assert_eq!(answer, Ok(()));
            return call;
        }
        let seen = answer.unwrap_err();
        assert!(
            matches!(seen, OpError::Io(IoError { errno: e, .. }) if e == errno.cast_unsigned()),
            "{seen:?}"
        );
        is_good(kvm, &copy, &[old, new]);
        resize(kvm, &copy, new).unwrap();
        is_good(kvm, &copy, &[new]);
        call += 1;
    }
}

fn is_good(kvm: &Kvm, file: &File, sizes: &[u64]) {
    let info = kvm.info(file, &InfoRequest { format: None }).unwrap().result.unwrap();
    assert!(sizes.contains(&info.0.virtual_size), "{} bytes", info.0.virtual_size);
    let report = kvm.check(file, &CheckRequest::default(), &mut |_| ()).unwrap().result.unwrap();
    assert_eq!((report.corruptions, report.check_errors), (0, 0));
}
