//! A guest that misbehaves ends in the error that says how, in time, and the host goes on.

use crate::Body;
use instar_guest::Misdeed;
use instar_ops::disk::{Direction, IoError};
use instar_ops::{Format, OpError, Preallocation, ResizeOutcome, ResizeRequest, SizeRequest};
use instar_vmm::{ErrorKind, Fault, FaultCause, Finished, Kvm, LayerFiles, Limits, Others, VmmError};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The operation that does what it is asked not to.
static MISBEHAVE: &[u8] = include_bytes!(concat!(env!("INSTAR_GUEST_DIR"), "/instar-misbehave"));

/// Bytes of the image, more than any misdeed's number: every one of them is a shrink.
const LEN: u64 = 4096;

pub const TRIALS: &[(&str, Body)] = &[
    ("a_panic_brings_its_text", panic),
    ("an_invalid_opcode_is_named", invalid_opcode),
    ("a_null_pointer_is_named", null_pointer),
    ("a_stack_overflow_is_named", stack_overflow),
    ("text_cannot_be_written", write_to_text),
    ("data_cannot_be_executed", execute_data),
    ("privileged_instructions_fault", privileged),
    ("memory_ends_where_it_ends", stray_write),
    ("registers_that_do_not_exist_are_fatal", stray_register),
    ("a_hang_is_ended_in_time", hang),
    ("chatter_is_ended_in_time", chatter),
    ("a_flood_of_findings_is_ended_in_time", flood),
    ("a_malformed_result_is_refused", malformed),
    ("a_missing_result_is_noticed", missing),
    ("results_that_contradict_what_was_seen_are_refused", unbelievable),
    ("the_device_does_not_reach_page_tables", page_tables),
    ("the_queue_stays_in_device_memory", queue),
    ("a_write_beyond_the_limit_does_not_happen", beyond_capacity),
    ("a_failed_write_that_was_ignored_is_an_error", ignored_failure),
    ("a_failed_write_brings_its_errno", reported_failure),
    ("what_is_behind_the_image_is_not_written", write_behind),
    ("a_file_that_is_not_there_cannot_be_read", read_missing),
    ("a_request_ends_with_its_window", cross_windows),
    ("a_data_file_is_as_long_as_the_disk", wrong_data_file),
    ("what_behaves_is_believed", behave),
    ("a_machine_after_a_crash_is_as_good_as_new", after_a_crash),
];

fn image() -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&[7; 4096], 0).unwrap();
    file
}

/// What comes of `misdeed` on `image`, asked for as the resize that it is.
pub fn commit_on(kvm: Kvm, misdeed: Misdeed, image: &File) -> Result<Finished<ResizeOutcome>, VmmError> {
    commit_with(kvm, misdeed, image, &Others::default())
}

fn commit_with(
    kvm: Kvm,
    misdeed: Misdeed,
    image: &File,
    others: &Others<'_>,
) -> Result<Finished<ResizeOutcome>, VmmError> {
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Absolute(misdeed.number()),
        shrink: true,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    kvm.with_operation(MISBEHAVE).resize_with(image, others, &request, &mut |_| {})
}

fn commit(kvm: Kvm, misdeed: Misdeed) -> VmmError {
    commit_on(kvm, misdeed, &image()).expect_err("a misdeed")
}

fn fault(kvm: Kvm, misdeed: Misdeed) -> Fault {
    match commit(kvm, misdeed) {
        VmmError::Fault(fault) => fault,
        other => panic!("{misdeed:?} gave {other:?}"),
    }
}

/// The fault is exception `vector` with `code`.
fn exception(kvm: Kvm, misdeed: Misdeed, vector: u8, code: u64) -> Fault {
    let fault = fault(kvm, misdeed);
    let expected = FaultCause::Exception { vector, code, stack_overflow: false };
    assert_eq!(fault.cause, expected, "{fault}");
    assert!((0x2_0000..0x8_0000).contains(&fault.rip), "{fault}");
    fault
}

fn panic(kvm: Kvm) {
    let error = commit(kvm, Misdeed::Panic);
    let text = error.to_string();
    assert!(text.contains("misbehaving with number 1"), "{text}");
    assert!(text.contains("misbehave.rs"), "{text}");
    assert_eq!(error.kind(), ErrorKind::Panic);
}

fn invalid_opcode(kvm: Kvm) {
    let fault = exception(kvm, Misdeed::InvalidOpcode, 6, 0);
    assert!(fault.to_string().starts_with("invalid opcode (vector 6"), "{fault}");
}

fn null_pointer(kvm: Kvm) {
    // Error code: user mode (Intel SDM volume 3, section 4.7).
    assert_eq!(exception(kvm, Misdeed::NullPointer, 14, 4).address, Some(8));
}

fn stack_overflow(kvm: Kvm) {
    let fault = fault(kvm, Misdeed::StackOverflow);
    assert!(matches!(fault.cause, FaultCause::Exception { vector: 14, stack_overflow: true, .. }), "{fault}");
    assert!(fault.to_string().starts_with("stack overflow"), "{fault}");
}

fn write_to_text(kvm: Kvm) {
    // Error code: user mode, write, page present.
    assert_eq!(exception(kvm, Misdeed::WriteToText, 14, 7).address, Some(0x2_0000));
}

fn execute_data(kvm: Kvm) {
    let fault = fault(kvm, Misdeed::ExecuteData);
    // Error code: instruction fetch, user mode, page present.
    let expected = FaultCause::Exception { vector: 14, code: 0x15, stack_overflow: false };
    assert_eq!((fault.cause, fault.rip), (expected, 0x20_0000));
}

fn privileged(kvm: Kvm) {
    exception(kvm, Misdeed::Privileged, 13, 0);
}

fn stray_write(kvm: Kvm) {
    // Error code: user mode, write.
    exception(kvm, Misdeed::StrayWrite, 14, 6);
}

fn stray_register(kvm: Kvm) {
    let fault = fault(kvm, Misdeed::StrayRegister);
    assert_eq!((fault.cause, fault.address), (FaultCause::StrayAccess { write: true }, Some(0x1000_0800)));
}

/// Runs `misdeed` with short limits; it is to hit the one named `why`.
fn times_out(kvm: Kvm, misdeed: Misdeed, limits: Limits, expected: &str) {
    let started = Instant::now();
    match commit(kvm.with_limits(limits), misdeed) {
        VmmError::TimedOut { why, .. } => assert_eq!(why, expected),
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

fn hang(kvm: Kvm) {
    let limits = Limits { silence: Duration::from_millis(100), ..Limits::default() };
    times_out(kvm, Misdeed::Hang, limits, "no sign of life");
}

fn chatter(kvm: Kvm) {
    let limits = Limits { total: Duration::from_millis(200), ..Limits::default() };
    times_out(kvm, Misdeed::Chatter, limits, "it ran");
}

fn flood(kvm: Kvm) {
    let limits = Limits { total: Duration::from_millis(200), ..Limits::default() };
    times_out(kvm, Misdeed::Flood, limits, "it ran");
}

/// Each misdeed ends in an error whose text ends so.
fn refused(misdeeds: &[(Misdeed, &str)], kind: fn(&VmmError) -> bool) {
    for (misdeed, why) in misdeeds {
        let error = commit(Kvm::open().unwrap(), *misdeed);
        assert!(kind(&error) && error.to_string().ends_with(why), "{misdeed:?} gave {error:?}");
    }
}

fn malformed(_: Kvm) {
    let misdeeds = [
        (Misdeed::MalformedResult, "it cannot be decoded"),
        (Misdeed::EmptyResult, "it says nothing"),
        (Misdeed::ForeignResult, "it is none of this operation's"),
        (Misdeed::TwoResults, "it comes after the result"),
        (Misdeed::ForeignItem, "it is none of this operation's"),
        (Misdeed::LongMessage, "it is longer than its place in memory"),
    ];
    refused(&misdeeds, |error| matches!(error, VmmError::MalformedResult(_)));
}

fn missing(kvm: Kvm) {
    assert!(matches!(commit(kvm, Misdeed::NoResult), VmmError::MissingResult));
}

fn unbelievable(_: Kvm) {
    let misdeeds = [
        (Misdeed::WrongFileSize, "the file did not have that length"),
        (Misdeed::WrongSize, "its new size is not the one that was asked for"),
        (Misdeed::RefuseAfterWrite, "it refuses after it has written"),
        (Misdeed::ForgetWrite, "it would cut off what it has written or was there"),
        (Misdeed::InventFailure, "it reports a failure of the device, which did not fail"),
    ];
    refused(&misdeeds, |error| matches!(error, VmmError::Unbelievable(_)));
}

fn page_tables(kvm: Kvm) {
    let fault = fault(kvm, Misdeed::DeviceToPageTables);
    assert_eq!(fault.cause, FaultCause::Misuse("a request outside device memory"));
}

fn queue(kvm: Kvm) {
    let fault = fault(kvm, Misdeed::QueueInCode);
    assert_eq!(fault.cause, FaultCause::Misuse("the queue is changed while it is in use"));
}

fn beyond_capacity(kvm: Kvm) {
    let image = image();
    match commit_on(kvm, Misdeed::WriteBeyondCapacity, &image).unwrap_err() {
        VmmError::Io(error) => assert_eq!(error.errno, libc::EFBIG.unsigned_abs()),
        other => panic!("{other:?}"),
    }
    assert_eq!(image.metadata().unwrap().len(), LEN);
}

/// An image with a layer behind it, which is even open for writing.
fn with_layer(kvm: Kvm, misdeed: Misdeed) -> (Result<Finished<ResizeOutcome>, VmmError>, File) {
    let layer = image();
    let layers = vec![LayerFiles { file: (&layer).into(), data_file: None, format: Format::Raw }];
    let result = commit_with(kvm, misdeed, &image(), &Others { layers, ..Others::default() });
    (result, layer)
}

fn errno_of(result: Result<Finished<ResizeOutcome>, VmmError>) -> i32 {
    match result.map(|finished| finished.result) {
        Ok(Err(OpError::Io(error))) | Err(VmmError::Io(error)) => error.errno.cast_signed(),
        other => panic!("{other:?}"),
    }
}

fn write_behind(kvm: Kvm) {
    let (result, layer) = with_layer(kvm, Misdeed::WriteBehind);
    assert_eq!(errno_of(result), libc::EROFS);
    let mut bytes = [0; 4096];
    layer.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!((bytes, layer.metadata().unwrap().len()), ([7; 4096], LEN));
}

fn read_missing(kvm: Kvm) {
    assert_eq!(errno_of(commit_on(kvm, Misdeed::ReadMissing, &image())), libc::ENXIO);
    let (result, _) = with_layer(Kvm::open().unwrap(), Misdeed::ReadMissing);
    assert_eq!(errno_of(result), libc::ENXIO);
}

fn cross_windows(kvm: Kvm) {
    let (result, _) = with_layer(kvm, Misdeed::CrossWindows);
    assert_eq!(errno_of(result), libc::EFBIG);
}

fn wrong_data_file(kvm: Kvm) {
    let data = image();
    let others = Others { data_file: Some(&data), ..Others::default() };
    let why = "its data file is not to be as long as the disk";
    for (misdeed, others) in [(Misdeed::WrongDataFile, &Others::default()), (Misdeed::Behave, &others)] {
        let error = commit_with(Kvm::open().unwrap(), misdeed, &image(), others).unwrap_err();
        assert!(error.to_string().ends_with(why), "{error}");
    }
    drop(kvm);
}

/// A disk that is always full.
fn full() -> File {
    OpenOptions::new().read(true).write(true).open("/dev/full").unwrap()
}

fn ignored_failure(kvm: Kvm) {
    let error = commit_on(kvm, Misdeed::IgnoreFailedWrite, &full()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("No space left on device"), "{error}");
}

fn reported_failure(kvm: Kvm) {
    let finished = commit_on(kvm, Misdeed::ReportFailedWrite, &full()).unwrap();
    let errno = libc::ENOSPC.unsigned_abs();
    let error = IoError { direction: Direction::Write, offset: 0, len: 1 << 20, errno };
    assert_eq!(finished.result, Err(OpError::Io(error)));
}

/// What the guest wrote to its log.
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn behave(kvm: Kvm) {
    let kvm = kvm.with_log(|line| LOG.lock().unwrap().push(line.to_owned()));
    let finished = commit_on(kvm, Misdeed::Behave, &image()).unwrap();
    let outcome = finished.result.unwrap();
    assert_eq!((outcome.old_virtual_size, outcome.file_size_after), (LEN, Misdeed::Behave.number()));
    assert_eq!(*LOG.lock().unwrap(), ["behaving"]);
}

fn after_a_crash(kvm: Kvm) {
    let image = image();
    commit_on(kvm, Misdeed::InvalidOpcode, &image).unwrap_err();
    let finished = commit_on(Kvm::open().unwrap(), Misdeed::Behave, &image).unwrap();
    assert!(finished.result.is_ok());
    assert_eq!(finished.stats.bytes_written, 0);
}
