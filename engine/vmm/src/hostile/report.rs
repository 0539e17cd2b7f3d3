//! Forged results.

use super::script::{Bytes, Script, kind};
use super::{Files, LEN, with_files};
use crate::image::Seen;
use crate::kvm::Finished;
use crate::limit;
use crate::operations;
use crate::others::{LayerFiles, Others};
use instar_abi::message::{GuestMessage, GuestMessage_::Payload};
use instar_abi::micropb::{MessageEncode as _, PbEncoder};
use instar_ops::{
    CheckFinding, CheckReport, CheckRequest, CreateRequest, Encryption, Format, InfoRequest, OpError,
    Preallocation, Refusal, Repair, ResizeAction, ResizeOutcome, ResizeRequest, SizeRequest, UnlockRequest,
    wire,
};
use std::cell::Cell;
use std::fs::File;

/// Bytes before the steps: which operation, flags, and a size.
const HEAD: usize = 6;
/// Most bytes of a message that is a seed.
const MOST_MESSAGE: usize = 512;
/// As a length of a file.
const LEN_BEFORE: u64 = LEN as u64;

/// Does a job with a guest that does and says what `data` spells out: the operation (a byte), flags (a byte), a size (four
/// bytes), then steps. A result that is taken must agree with what became of the file.
pub fn report(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (Some(operation), Some(flags), Some(size)) = (bytes.number(1), bytes.number(1), bytes.number(4))
    else {
        return;
    };
    let script = Script { steps: bytes.0, seen: Cell::new(Seen::default()) };
    with_files(|files| match operation % 5 {
        0 => resize(&script, files, (flags, size)),
        1 => check(&script, files, flags),
        2 => {
            let request = InfoRequest { format: None };
            drop(operations::info(&script, &files.image, &[&files.behind], &request));
            unchanged(&files.image);
        }
        3 if flags & 1 != 0 => reveal(&script, files, size),
        3 => {
            let request = UnlockRequest { format: None, expected: None };
            drop(operations::unlock(&script, &files.image, &request, Some(b"secret")));
            unchanged(&files.image);
        }
        _ => create(&script, files, size),
    });
}

/// Nothing but the file for the plain bytes is written to, and that not behind them.
fn reveal(script: &Script<'_>, files: &Files, size: u64) {
    let layers = [LayerFiles { file: (&files.behind).into(), data_file: None, format: Format::Luks }];
    let bytes = size / 2..size;
    drop(crate::reveal::reveal(script, &layers, (&bytes, &files.image), b"secret"));
    bounded(&files.image, limit::read(size));
}

/// What only reads has changed nothing, whatever came of it.
fn unchanged(image: &File) {
    assert!(Files::is_as_it_was(image), "a job that only reads has changed the image");
}

fn resize(script: &Script<'_>, files: &Files, (flags, size): (u64, u64)) {
    let size = match flags & 3 {
        0 | 1 => SizeRequest::Absolute(size),
        2 => SizeRequest::Grow(size),
        _ => SizeRequest::Shrink(size),
    };
    let request = ResizeRequest {
        format: (flags & 4 != 0).then_some(Format::Raw),
        size,
        shrink: flags & 8 != 0,
        preallocation: if flags & 16 != 0 { Preallocation::Falloc } else { Preallocation::Off },
        identity: instar_ops::Identity::default(),
    };
    let layers = vec![LayerFiles { file: (&files.behind).into(), data_file: None, format: Format::Raw }];
    let others = Others { layers, ..Others::default() };
    let mut findings = 0;
    let taken = operations::resize(script, &files.image, &others, &request, &mut |_| findings += 1);
    bounded(&files.image, limit::resize(LEN_BEFORE, size, request.format));
    match taken {
        Ok(Finished { result: Ok(outcome), .. }) => {
            holds(&outcome, LEN_BEFORE, &files.image, script);
            assert!(request.shrink || outcome.action != ResizeAction::Shrink, "{outcome:?}");
        }
        Ok(Finished { result: Err(error), .. }) => refused(&error, findings, &files.image, script),
        Err(_) => {}
    }
}

fn check(script: &Script<'_>, files: &Files, flags: u64) {
    let repair = match flags & 3 {
        0 | 1 => Repair::Nothing,
        2 => Repair::Leaks,
        _ => Repair::All,
    };
    let request = CheckRequest { repair, ..CheckRequest::default() };
    let taken = operations::check(script, &files.image, &[&files.behind], &request, &mut |_| ());
    bounded(&files.image, limit::repair(LEN_BEFORE));
    if repair == Repair::Nothing {
        unchanged(&files.image);
    }
    if let Ok(Finished { result: Ok(CheckReport { leaks_fixed, corruptions_fixed, .. }), .. }) = taken {
        assert!(repair != Repair::Nothing || leaks_fixed == 0 && corruptions_fixed == 0);
    }
}

fn create(script: &Script<'_>, files: &Files, size: u64) {
    files.image.set_len(0).expect("a file in memory");
    let request = CreateRequest::new(Format::Qcow2, size);
    let taken = operations::create(script, &files.image, &[], &request);
    bounded(&files.image, limit::create(0, size));
    if let Ok(Finished { result: Ok(outcome), .. }) = taken {
        holds(&outcome, 0, &files.image, script);
        assert!(outcome.old_virtual_size == 0 && outcome.new_virtual_size >= size, "{outcome:?}");
    }
}

/// No file is longer than its limit, whatever its guest did.
fn bounded(image: &File, limit: u64) {
    assert!(len(image) <= limit.max(LEN_BEFORE), "the file has {} bytes", len(image));
}

fn len(image: &File) -> u64 {
    image.metadata().expect("a file in memory").len()
}

/// An outcome that is taken cuts off nothing that was there or was written, unless it shrinks, and no device failed.
fn holds(outcome: &ResizeOutcome, before: u64, image: &File, script: &Script<'_>) {
    assert_eq!(script.seen.get().failure, None, "a device failed, and nobody says so");
    assert_eq!(outcome.file_size_before, before);
    let kept = outcome.file_size_after.saturating_add(511) >= len(image) && outcome.file_size_after >= before;
    assert!(kept || outcome.action == ResizeAction::Shrink, "{outcome:?} of a file of {} bytes", len(image));
    let rest = outcome.preallocate.is_none_or(|(from, len)| from + len <= outcome.file_size_after);
    assert!(rest && i64::try_from(outcome.file_size_after).is_ok(), "{outcome:?}");
}

/// A refusal that is taken comes of a job that wrote nothing, or of a device that failed.
fn refused(error: &OpError, findings: u64, image: &File, script: &Script<'_>) {
    let failed = script.seen.get().failure.is_some();
    assert!(failed || findings > 0 || Files::is_as_it_was(image), "{error:?} after a change");
}

/// Reports that are good, and some of those that have fooled somebody.
#[must_use]
pub fn reports() -> Vec<Vec<u8>> {
    let honest = ResizeOutcome {
        format: Format::Raw,
        action: ResizeAction::Grow,
        old_virtual_size: LEN_BEFORE,
        new_virtual_size: 8192,
        file_size_before: LEN_BEFORE,
        file_size_after: 8192,
        preallocate: None,
        data_file_size_after: None,
        extents_after: None,
    };
    let finding = CheckFinding::Leak { cluster: 1, refcount: 2, references: 1, fixed: false };
    let finding = step(Payload::CheckFinding(wire::finding_to_wire(finding)));
    let outcome = |outcome: ResizeOutcome| step(Payload::ResizeResult(wire::resize_to_wire(&Ok(outcome))));
    let refusal =
        || step(Payload::ResizeResult(wire::resize_to_wire(&Err(OpError::Refused(Refusal::NoChecks)))));
    let write = |sector: u64| [&[kind::WRITE][..], &sector.to_le_bytes(), &[2]].concat();
    let shorter =
        ResizeOutcome { file_size_after: 4096, new_virtual_size: 4096, action: ResizeAction::NoOp, ..honest };
    let qcow2 = ResizeOutcome { format: Format::Qcow2, old_virtual_size: 1024, ..honest };
    let created = ResizeOutcome { old_virtual_size: 0, file_size_before: 0, format: Format::Qcow2, ..honest };
    let created = step(Payload::CreateResult(wire::resize_to_wire(&Ok(created))));
    let revealed = step(Payload::UnlockResult(wire::unlock_to_wire(&Ok(Encryption::Luks))));
    let zero = [&[kind::ZERO][..], &8_u64.to_le_bytes(), &[8, 0, 0, 0, 0], &[kind::FLUSH]].concat();
    vec![
        seed(0, 0, 8192, &[write(8), outcome(honest)]),
        seed(0, 4, 8192, &[zero, outcome(honest)]),
        seed(0, 0, 8192, &[write(14), outcome(qcow2)]),
        seed(0, 8, 4096, &[write(8), outcome(shorter)]),
        seed(0, 0, 8192, &[refusal()]),
        seed(0, 0, 8192, &[write(1), refusal()]),
        seed(0, 0, 8192, &[write(1 << 54), finding.clone(), refusal()]),
        seed(1, 1, 0, &[finding.clone(), write(0), finding.clone()]),
        seed(1, 0, 0, std::slice::from_ref(&finding)),
        seed(2, 0, 0, &[vec![kind::READ, 0, 0, 0, 0, 0, 0, 0, 0, 1]]),
        seed(3, 0, 0, &[finding]),
        seed(3, 1, 8192, &[write(1 << 54), write(8), revealed]),
        seed(4, 0, 8192, &[write(0), created]),
    ]
}

fn seed(operation: u8, flags: u8, size: u32, steps: &[Vec<u8>]) -> Vec<u8> {
    let mut seed = Vec::with_capacity(HEAD);
    seed.extend([operation, flags]);
    seed.extend(size.to_le_bytes());
    seed.extend(steps.concat());
    seed
}

/// A step that sends one message.
fn step(payload: Payload) -> Vec<u8> {
    let mut room = [0; MOST_MESSAGE];
    let mut left = &mut room[..];
    let message = GuestMessage { payload: Some(payload) };
    message.encode_len_delimited(&mut PbEncoder::new(&mut left)).expect("a short message");
    let used = MOST_MESSAGE - left.len();
    let len = u16::try_from(used).unwrap_or(0);
    [&[kind::MESSAGES][..], &len.to_le_bytes(), &room[..used]].concat()
}
