//! The file's end as asked for, and every call that fails.

use super::*;
use std::cell::{Cell, RefCell};
use std::os::unix::fs::MetadataExt;

fn grown(mode: Preallocation) -> (u64, u64) {
    let file = tempfile::tempfile().expect("a temporary file");
    file.set_len(65536).expect("a hole");
    let outcome = ResizeOutcome {
        format: Format::Raw,
        action: ResizeAction::Grow,
        old_virtual_size: 65536,
        new_virtual_size: 262_144,
        file_size_before: 65536,
        file_size_after: 262_144,
        preallocate: (mode != Preallocation::Off).then_some((65536, 196_608)),
        data_file_size_after: None,
        extents_after: None,
    };
    finish(&Program::new(None), &file, &outcome, mode).expect("finished");
    let metadata = file.metadata().expect("stat");
    (metadata.len(), metadata.blocks() * 512)
}

#[test]
fn space_comes_as_asked() {
    assert_eq!(grown(Preallocation::Off).0, 262_144);
    for mode in [Preallocation::Falloc, Preallocation::Full] {
        let (len, space) = grown(mode);
        assert_eq!(len, 262_144, "{mode:?}");
        assert!((196_608..262_144).contains(&space), "{mode:?}: {space}");
    }
}

#[test]
fn a_raw_image_gets_its_old_length_back() {
    let file = tempfile::tempfile().expect("a temporary file");
    file.set_len(512).expect("a hole");
    let outcome = ResizeOutcome {
        format: Format::Raw,
        action: ResizeAction::Grow,
        old_virtual_size: 512,
        new_virtual_size: 1024,
        file_size_before: 512,
        file_size_after: 1024,
        preallocate: Some((512, u64::MAX)),
        data_file_size_after: None,
        extents_after: None,
    };
    let program = Program::new(None);
    let error = finish(&program, &file, &outcome, Preallocation::Falloc);
    let text = error.expect_err("no such space").to_string();
    assert_eq!(text, "Could not preallocate new data: File too large");
    assert_eq!(file.metadata().expect("stat").len(), 512);
}

/// A file of which one call fails.
struct Failing {
    len: Cell<u64>,
    calls: RefCell<Vec<&'static str>>,
    /// The number of the call, counted from 0.
    fails: usize,
    errno: i32,
    /// Whether half of it is done first.
    short: bool,
}

impl Failing {
    /// Notes a call that would leave the file with `len` bytes, and half of it with `half`.
    fn call(&self, name: &'static str, len: u64, half: u64) -> io::Result<()> {
        self.calls.borrow_mut().push(name);
        if self.calls.borrow().len() != self.fails + 1 {
            self.len.set(len);
            return Ok(());
        }
        if self.short {
            self.len.set(half);
        }
        Err(io::Error::from_raw_os_error(self.errno))
    }
}

impl Tail for Failing {
    fn len(&self) -> io::Result<u64> {
        self.call("len", self.len.get(), self.len.get()).map(|()| self.len.get())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call("set_len", len, self.len.get())
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.call("allocate", self.len.get().max(offset + len), self.len.get().max(offset + len / 2))
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.call("reserve", self.len.get().max(offset + len), self.len.get().max(offset + len / 2))
    }

    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        self.call("write_zeros", self.len.get().max(offset + len), self.len.get().max(offset + len / 2))
    }

    fn sync(&self) -> io::Result<()> {
        self.call("sync", self.len.get(), self.len.get())
    }
}

/// What to do to an image file of `before` bytes that is to have `after`.
fn outcome(format: Format, before: u64, after: u64) -> ResizeOutcome {
    ResizeOutcome {
        format,
        action: if after > before { ResizeAction::Grow } else { ResizeAction::Shrink },
        old_virtual_size: before,
        new_virtual_size: after,
        file_size_before: before,
        file_size_after: after,
        preallocate: (after > before).then_some((before, after.saturating_sub(before))),
        data_file_size_after: None,
        extents_after: None,
    }
}

/// Every call of a file fails in turn, in every way; `each` gets the file, the call that failed and the answer.
fn each_failure(
    outcome: &ResizeOutcome,
    mode: Preallocation,
    each: impl Fn(&Failing, &str, Result<(), CliError>),
) {
    for (fails, (errno, short)) in (0..5)
        .flat_map(|n| [(libc::EIO, false), (libc::ENOSPC, false), (libc::ENOSPC, true)].map(|how| (n, how)))
    {
        let len = Cell::new(outcome.file_size_before);
        let file = Failing { len, calls: RefCell::default(), fails, errno, short };
        let answer = finish(&Program::new(None), &file, outcome, mode);
        let failed = file.calls.borrow().get(fails).copied();
        match failed {
            Some(failed) => {
                if let Err(error) = &answer {
                    let (text, why) = (error.to_string(), errno_text(&io::Error::from_raw_os_error(errno)));
                    assert!(text.ends_with(&why) && !text.contains('\n'), "{failed}: {text:?}");
                }
                each(&file, failed, answer);
            }
            None => assert!(answer.is_ok(), "nothing failed"),
        }
    }
}

#[test]
fn a_raw_grow_that_fails_at_any_call_is_taken_back() {
    for mode in [Preallocation::Off, Preallocation::Falloc, Preallocation::Full] {
        each_failure(&outcome(Format::Raw, 512, 8192), mode, |file, failed, answer| {
            assert!(answer.is_err(), "{mode:?}, {failed}");
            assert_eq!(file.len.get(), 512, "{mode:?}, {failed}");
            assert_eq!(file.calls.borrow().last(), Some(&"set_len"), "{mode:?}, {failed}");
        });
    }
}

#[test]
fn after_a_failure_nothing_more_is_done_to_an_image_with_metadata() {
    each_failure(&outcome(Format::Qcow2, 512, 8192), Preallocation::Off, |file, failed, answer| {
        assert!(answer.is_err(), "{failed}");
        assert_eq!(file.calls.borrow().last(), Some(&failed));
    });
}

#[test]
fn a_shrink_that_cannot_cut_the_file_is_an_error_only_without_metadata() {
    for format in [Format::Raw, Format::Qcow2] {
        each_failure(&outcome(format, 8192, 512), Preallocation::Off, |file, failed, answer| {
            let spared = format == Format::Qcow2 && failed == "set_len";
            assert_eq!(answer.is_ok(), spared, "{format:?}, {failed}");
            assert_eq!(file.len.get(), if failed == "sync" { 512 } else { 8192 }, "{format:?}, {failed}");
            let last = if spared { "sync" } else { failed };
            assert_eq!(file.calls.borrow().last(), Some(&last), "{format:?}, {failed}");
        });
    }
}

/// A filesystem that cannot reserve gets its zeros written all the same.
#[test]
fn zeros_are_written_where_nothing_can_be_reserved() {
    let outcome = outcome(Format::Raw, 512, 4096);
    for errno in [libc::EOPNOTSUPP, libc::ENOSYS, libc::ENOSPC] {
        let file = Failing { len: Cell::new(512), calls: RefCell::default(), fails: 2, errno, short: false };
        let answer = finish(&Program::new(None), &file, &outcome, Preallocation::Full);
        let (calls, full) = (file.calls.borrow(), errno == libc::ENOSPC);
        assert_eq!(calls.get(2), Some(&"reserve"));
        assert_eq!((answer.is_err(), calls.contains(&"write_zeros")), (full, !full), "{calls:?}");
        assert_eq!(file.len.get(), if full { 512 } else { 4096 });
    }
}

/// The data file gets its length last, and loses nothing if that fails.
#[test]
fn a_data_file_gets_the_length_of_the_disk() {
    for (before, after) in [(512, 4096), (4096, 512), (512, 512)] {
        let outcome = ResizeOutcome {
            data_file_size_after: Some(after),
            extents_after: None,
            preallocate: None,
            ..outcome(Format::Qcow2, before, after)
        };
        let file = |fails| Failing {
            len: Cell::new(before),
            calls: RefCell::default(),
            fails,
            errno: libc::EIO,
            short: false,
        };
        let (good, bad) = (file(usize::MAX - 1), file(1));
        assert!(finish_data_file(&Program::new(None), &good, &outcome).is_ok());
        assert_eq!((good.len.get(), good.calls.borrow().last()), (after, Some(&"sync")));
        let answer = finish_data_file(&Program::new(None), &bad, &outcome);
        assert_eq!((bad.len.get(), answer.is_err()), (before, after >= before), "{before} to {after}");
    }
}

#[test]
fn a_data_file_becomes_as_long_as_a_disk_that_keeps_its_size() {
    let same = ResizeOutcome {
        action: ResizeAction::NoOp,
        data_file_size_after: Some(512),
        extents_after: None,
        ..outcome(Format::Qcow2, 512, 512)
    };
    for (len, expected) in [(1024, 512), (100, 512)] {
        let (len, calls) = (Cell::new(len), RefCell::default());
        let file = Failing { len, calls, fails: usize::MAX - 1, errno: libc::EIO, short: false };
        assert!(finish_data_file(&Program::new(None), &file, &same).is_ok());
        assert_eq!(file.len.get(), expected);
    }
}
