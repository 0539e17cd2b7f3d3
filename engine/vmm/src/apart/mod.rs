//! A job in a process of its own, which is confined before its guest runs.
//!
//! The process is a copy of this one. It sends what its guest says through a pipe, then how the job ended, and is gone.
//! What it sends is believed as little as what a guest sends: it may be a guest that has taken it over.

mod child;
mod frame;
mod report;

use crate::confine::Confinement;
use crate::error::VmmError;
use crate::image::Seen;
use crate::kvm::{Kvm, Stats};
use crate::machine::{Job, Listener};
use frame::Frame;
use std::io;
use std::time::Instant;

/// What there is to say of a process that says nothing.
const WHAT: &str = "running the guest's process";

/// How a job ended.
type End = Result<(Stats, Seen), VmmError>;

fn failed(source: io::Error) -> VmmError {
    VmmError::Host { what: WHAT, source }
}

/// Runs `job` to its end, in a process of its own.
///
/// # Errors
/// As [`crate::machine::run`]; [`VmmError::Killed`] of a process that tried what it may not do.
pub fn run(kvm: &Kvm, confinement: Confinement, job: Job<'_>) -> Result<(Stats, Seen), VmmError> {
    let begun = Instant::now();
    let (mut from, to) = io::pipe().map_err(failed)?;
    // SAFETY: the copy has this thread only. It takes no lock that another one may have held but the allocator's, which
    // the C library sees to, and it ends in `child::run`, so that nothing is dropped twice.
    let mut process = match unsafe { libc::fork() } {
        -1 => return Err(failed(io::Error::last_os_error())),
        0 => child::run(kvm, confinement, job, to),
        pid => Process { pid, over: false },
    };
    drop(to);
    let end = listen(&mut from, job.listener)?;
    let ended = process.wait()?;
    match end {
        Some(Err(error)) => Err(error),
        end => {
            ended?;
            let (stats, seen) = end.ok_or(VmmError::MissingResult)??;
            Ok((Stats { total_time: begun.elapsed(), ..stats }, seen))
        }
    }
}

/// Hears what the process has to say until it says no more.
fn listen(from: &mut impl io::Read, listener: &mut dyn Listener) -> Result<Option<End>, VmmError> {
    let mut end = None;
    while let Some(frame) = Frame::read(from).map_err(failed)? {
        if end.is_some() {
            return Err(VmmError::MalformedResult("it comes after the end"));
        }
        match frame {
            Frame::Messages(bytes) => listener.messages(&bytes)?,
            Frame::Log(bytes) => listener.log(&String::from_utf8_lossy(&bytes))?,
            Frame::Ended(bytes) => end = Some(Ok(report::end(&bytes)?)),
            Frame::Failed(bytes) => end = Some(Err(report::error(&bytes)?)),
        }
    }
    Ok(end)
}

/// A process that is killed unless it was waited for.
struct Process {
    pid: libc::pid_t,
    over: bool,
}

impl Process {
    /// Waits for its end: what is wrong with it, if anything.
    fn wait(&mut self) -> Result<Result<(), VmmError>, VmmError> {
        let mut status = 0;
        loop {
            // SAFETY: the status is valid during the call.
            if unsafe { libc::waitpid(self.pid, &raw mut status, 0) } == self.pid {
                break;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(failed(error));
            }
        }
        self.over = true;
        Ok(match (libc::WIFSIGNALED(status), libc::WEXITSTATUS(status)) {
            (true, _) => Err(VmmError::Killed { signal: libc::WTERMSIG(status) }),
            (false, 0) => Ok(()),
            (false, code) => Err(failed(io::Error::other(format!("it ended with code {code}")))),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.over {
            // SAFETY: it was not waited for, so the number is still its own.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            // The error that brought us here is the one to tell.
            drop(self.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes whatever comes.
    struct Deaf;

    impl Listener for Deaf {
        fn messages(&mut self, _: &[u8]) -> Result<(), VmmError> {
            Ok(())
        }

        fn log(&mut self, _: &str) -> Result<(), VmmError> {
            Ok(())
        }
    }

    #[test]
    fn a_forged_end_is_the_last_thing_that_is_heard() {
        let end = Frame::Ended(report::end_to_bytes(&Default::default())).to_bytes();
        let heard = |bytes: &[u8]| listen(&mut &*bytes, &mut Deaf);
        assert!(matches!(heard(&end), Ok(Some(Ok(_)))));
        assert!(matches!(heard(&[]), Ok(None)));
        let twice = [end.clone(), end.clone()].concat();
        assert!(matches!(heard(&twice), Err(VmmError::MalformedResult(_))));
        for forged in [Frame::Ended(vec![1]), Frame::Failed(vec![0xff; 8]), Frame::Failed(Vec::new())] {
            assert!(matches!(heard(&forged.to_bytes()), Err(VmmError::MalformedResult(_))), "{forged:?}");
        }
        assert!(matches!(heard(&end[..9]), Err(VmmError::Host { .. })));
    }
}
