//! Every lie that the host can see through, one at a time.

use super::*;
use instar_ops::disk::Direction;
use instar_ops::{Format, Refusal};

const LEN: u64 = 1000;

fn grow() -> (ResizeOutcome, ResizeRequest) {
    let outcome = ResizeOutcome {
        format: Format::Qcow2,
        action: ResizeAction::Grow,
        old_virtual_size: 512,
        new_virtual_size: 1024,
        file_size_before: LEN,
        file_size_after: 2000,
        preallocate: None,
        data_file_size_after: None,
        extents_after: None,
    };
    let request = ResizeRequest {
        format: Some(Format::Qcow2),
        size: SizeRequest::Grow(512),
        shrink: false,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    (outcome, request)
}

fn shrink() -> (ResizeOutcome, ResizeRequest) {
    let (outcome, request) = grow();
    let outcome = ResizeOutcome {
        action: ResizeAction::Shrink,
        old_virtual_size: 1024,
        new_virtual_size: 512,
        file_size_after: 500,
        ..outcome
    };
    (outcome, ResizeRequest { size: SizeRequest::Shrink(512), shrink: true, ..request })
}

fn wrote_to(written_end: u64) -> Seen {
    Seen { writes: 1, written_end, ..Seen::default() }
}

fn failure() -> IoError {
    IoError { direction: Direction::Write, offset: 512, len: 512, errno: 28 }
}

fn is_believed(outcome: &ResizeOutcome, request: &ResizeRequest, seen: &Seen) -> bool {
    resize(outcome, request, (LEN, false), seen).is_ok()
}

/// A raw file may change inside its last sector, where the disk keeps its size: `qemu-img` counts
/// that as a shrink of the whole sectors.
#[test]
fn raw_sizes_are_held_against_the_file() {
    let (_, request) = shrink();
    let request = ResizeRequest { format: None, size: SizeRequest::Absolute(990), ..request };
    let outcome = ResizeOutcome {
        format: Format::Raw,
        action: ResizeAction::Shrink,
        old_virtual_size: 1024,
        new_virtual_size: 1024,
        file_size_before: LEN,
        file_size_after: 990,
        preallocate: None,
        data_file_size_after: None,
        extents_after: None,
    };
    assert!(is_believed(&outcome, &request, &Seen::default()));
    assert!(!is_believed(&ResizeOutcome { file_size_after: 991, ..outcome }, &request, &Seen::default()));
}

#[test]
fn what_is_true_is_believed() {
    let ((grown, grow), (shrunk, shrink)) = (grow(), shrink());
    assert!(is_believed(&grown, &grow, &wrote_to(2048)));
    assert!(is_believed(&shrunk, &shrink, &wrote_to(1024)));
    let absolute = ResizeRequest { format: None, size: SizeRequest::Absolute(1024), ..grow };
    assert!(is_believed(&grown, &absolute, &Seen::default()));
    let allocated = ResizeOutcome { preallocate: Some((1000, 1000)), ..grown };
    for preallocation in [Preallocation::Falloc, Preallocation::Full] {
        assert!(is_believed(&allocated, &ResizeRequest { preallocation, ..grow }, &Seen::default()));
    }
}

#[test]
fn lies_about_a_grown_image() {
    let (outcome, request) = grow();
    let lies = [
        ResizeOutcome { format: Format::Raw, ..outcome },
        ResizeOutcome { action: ResizeAction::NoOp, ..outcome },
        ResizeOutcome { new_virtual_size: 1023, ..outcome },
        ResizeOutcome { new_virtual_size: 1536, ..outcome },
        ResizeOutcome { old_virtual_size: u64::MAX, ..outcome },
        ResizeOutcome { file_size_before: LEN - 1, ..outcome },
        ResizeOutcome { file_size_after: LEN - 1, ..outcome },
        ResizeOutcome { file_size_after: 1 << 63, ..outcome },
        ResizeOutcome { preallocate: Some((0, 1)), ..outcome },
    ];
    for lie in lies {
        assert!(!is_believed(&lie, &request, &Seen::default()), "{lie:?}");
    }
    assert!(!is_believed(&outcome, &request, &wrote_to(2512)), "what was written is cut off");
}

#[test]
fn a_data_file_is_as_long_as_the_disk() {
    let (outcome, request) = grow();
    let with = |data_file_size_after| ResizeOutcome { data_file_size_after, ..outcome };
    let wrote = |data_written_end| Seen { writes: 1, data_written_end, ..Seen::default() };
    let believed = |outcome: &ResizeOutcome, there_is_one, seen: &Seen| {
        resize(outcome, &request, (LEN, there_is_one), seen).is_ok()
    };
    assert!(believed(&with(Some(1024)), true, &wrote(1024)));
    assert!(!believed(&with(Some(1024)), false, &Seen::default()), "there is none");
    assert!(!believed(&with(None), true, &Seen::default()), "there is one");
    for len in [0, 1023, 1025, u64::MAX] {
        assert!(!believed(&with(Some(len)), true, &Seen::default()), "{len}");
    }
    assert!(!believed(&with(Some(1024)), true, &wrote(1536)), "what was written is cut off");
}

#[test]
fn allocating_beyond_the_end() {
    let (outcome, request) = grow();
    let request = ResizeRequest { preallocation: Preallocation::Full, ..request };
    for range in [(1000, 1001), (u64::MAX, 2)] {
        let lie = ResizeOutcome { preallocate: Some(range), ..outcome };
        assert!(!is_believed(&lie, &request, &Seen::default()), "{range:?}");
    }
}

#[test]
fn shrinking_without_leave() {
    let (outcome, request) = shrink();
    let request = ResizeRequest { shrink: false, ..request };
    assert!(!is_believed(&outcome, &request, &Seen::default()));
}

/// A VHD's size may be that of a geometry, and no other format's may be another than what was asked for.
#[test]
fn sizes_are_rounded_as_the_format_asks() {
    let (outcome, request) = grow();
    let rounded = |format, more| {
        let outcome = ResizeOutcome { format, new_virtual_size: 1024 + more, ..outcome };
        is_believed(&outcome, &ResizeRequest { format: None, ..request }, &Seen::default())
    };
    let cylinder = 16 * 255 * 512;
    assert!(rounded(Format::Vhd, 0) && rounded(Format::Vhd, cylinder - 1));
    assert!(!rounded(Format::Vhd, cylinder) && !rounded(Format::Vhd, u64::MAX / 2));
    for format in [Format::Qcow2, Format::Qed, Format::Vhdx] {
        assert!(rounded(format, 0) && !rounded(format, 512), "{format:?}");
    }
}

#[test]
fn a_new_image_is_what_was_asked_for() {
    let request = CreateRequest::new(Format::Raw, 1000);
    let outcome = ResizeOutcome {
        format: Format::Raw,
        action: ResizeAction::Grow,
        old_virtual_size: 0,
        new_virtual_size: 1024,
        file_size_before: 0,
        file_size_after: 1024,
        preallocate: None,
        data_file_size_after: None,
        extents_after: None,
    };
    let believed = |outcome: &ResizeOutcome| create(outcome, &request, 0, &Seen::default()).is_ok();
    assert!(believed(&outcome));
    for lie in [
        ResizeOutcome { format: Format::Qcow2, ..outcome },
        ResizeOutcome { new_virtual_size: 999, ..outcome },
        ResizeOutcome { old_virtual_size: 1, ..outcome },
        ResizeOutcome { file_size_before: 1, ..outcome },
    ] {
        assert!(!believed(&lie), "{lie:?}");
    }
}

#[test]
fn failures_of_the_device_are_not_hidden() {
    let failed = Seen { failure: Some(failure()), ..Seen::default() };
    for answer in [Ok(()), Err(OpError::Refused(Refusal::NoChecks))] {
        assert!(matches!(result(answer, &failed, false), Err(VmmError::Io(e)) if e == failure()));
    }
    let reported = IoError { errno: 0, offset: 5, ..failure() };
    let named = result::<()>(Err(OpError::Io(reported)), &failed, false);
    assert!(matches!(named, Ok(Err(OpError::Io(e))) if e == IoError { offset: 5, ..failure() }));
}

#[test]
fn failures_and_refusals_that_cannot_be() {
    let invented = result::<()>(Err(OpError::Io(failure())), &Seen::default(), false);
    assert!(matches!(invented, Err(VmmError::Unbelievable(_))));
    let refused = || Err::<(), _>(OpError::Refused(Refusal::NoChecks));
    assert!(matches!(result(refused(), &wrote_to(1), false), Err(VmmError::Unbelievable(_))));
    assert!(matches!(result(refused(), &wrote_to(1), true), Ok(Err(_))), "after a repair");
    assert!(matches!(result(refused(), &Seen::default(), false), Ok(Err(_))));
}
