//! The process of a guest.

use super::frame::Frame;
use super::report;
use crate::confine::{Confinement, Kept};
use crate::error::VmmError;
use crate::image::Seen;
use crate::kvm::{Kvm, Stats};
use crate::machine::{self, Job, Listener};
use std::io::{self, PipeWriter, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Exit code of a process whose own code panicked.
const PANICKED: i32 = 101;
/// Exit code of a process whose pipe nobody reads any more.
const ALONE: i32 = 102;

/// Does `job` and ends the process. Nothing is dropped: what this is a copy of will do that.
pub fn run(kvm: &Kvm, confinement: Confinement, job: Job<'_>, pipe: PipeWriter) -> ! {
    // Also when it unwinds: the frames below are the parent's, and its temporary files not ours to remove.
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut teller = Teller::new(kvm, confinement, &job, pipe);
        close_streams(&teller.descriptors);
        let Job { operation, config, files, limits, .. } = job;
        let end = die_with_parent().and_then(|()| {
            machine::run(kvm, Job { operation, config, files, listener: &mut teller, limits })
        });
        // Only one that failed before its guest ran comes here.
        teller.ended(&end);
    }));
    exit(if ran.is_ok() { 0 } else { PANICKED })
}

fn exit(code: i32) -> ! {
    // SAFETY: no memory is touched, and nothing runs at exit.
    unsafe { libc::_exit(code) }
}

/// Closes what this process neither reads nor writes, so that a disk in as many files as may be open leaves room for its
/// virtual machine. Standard error stays until the guest runs: a panic of our own is told there.
fn close_streams(kept: &[RawFd]) {
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
        if !kept.contains(&stream) {
            // SAFETY: nothing here uses the stream again: the process ends without giving anything back.
            unsafe { libc::close(stream) };
        }
    }
}

/// A job that nobody waits for ends, so that the lock on its image does.
fn die_with_parent() -> Result<(), VmmError> {
    // SAFETY: numbers only.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(VmmError::Host { what: "asking for a signal", source: io::Error::last_os_error() }),
    }
}

/// Sends what a guest says through the pipe.
struct Teller {
    pipe: PipeWriter,
    confinement: Confinement,
    /// What the process keeps: the image's files, for now.
    descriptors: Vec<RawFd>,
    file_limit: Option<u64>,
    seconds: u64,
}

impl Teller {
    fn new(kvm: &Kvm, confinement: Confinement, job: &Job<'_>, pipe: PipeWriter) -> Self {
        let mut descriptors: Vec<_> = job.files.descriptors().chain([pipe.as_raw_fd()]).collect();
        if kvm.observer.is_some() {
            // It may show how far the job is.
            descriptors.push(libc::STDERR_FILENO);
        }
        let (file_limit, seconds) = (job.files.furthest_limit(), job.limits.total.as_secs());
        Self { pipe, confinement, descriptors, file_limit, seconds }
    }

    fn tell(&mut self, frame: &Frame) {
        if self.pipe.write_all(&frame.to_bytes()).is_err() {
            exit(ALONE);
        }
    }
}

impl Listener for Teller {
    fn ready(&mut self, processor: RawFd) -> Result<(), VmmError> {
        self.descriptors.push(processor);
        let kept = Kept {
            descriptors: std::mem::take(&mut self.descriptors),
            processor,
            pipe: self.pipe.as_raw_fd(),
            file_limit: self.file_limit,
            seconds: self.seconds,
        };
        // Files may be closed that somebody is going to close again.
        let entered = self.confinement.enter(kept);
        entered.or_else(|error| {
            self.ended(&Err(error));
            Ok(())
        })
    }

    fn messages(&mut self, bytes: &[u8]) -> Result<(), VmmError> {
        self.tell(&Frame::Messages(bytes.to_vec()));
        Ok(())
    }

    fn log(&mut self, line: &str) -> Result<(), VmmError> {
        self.tell(&Frame::Log(line.as_bytes().to_vec()));
        Ok(())
    }

    /// The end of the process, too.
    fn ended(&mut self, end: &Result<(Stats, Seen), VmmError>) {
        self.tell(&match end {
            Ok(end) => Frame::Ended(report::end_to_bytes(end)),
            Err(error) => Frame::Failed(report::error_to_bytes(error)),
        });
        exit(0)
    }
}
