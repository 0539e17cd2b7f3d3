//! Running a child process with a deadline and bounded, captured output.
//!
//! Every tool that the oracle asks goes through here, so that one which hangs or floods its pipes ends as a value, never
//! as a hanging harness.

use crate::effort;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use wait_timeout::ChildExt;

/// Bytes kept of each output stream; what comes after them is read and dropped.
pub const OUTPUT_CAP: usize = 4 << 20;

/// Memory in bytes that a process may have, code and stacks included: a tool that an image makes ask for more is told
/// that there is none.
pub const MEMORY_CAP: u64 = 4 << 30;

/// How long a stream may stay open after its process ended: a grandchild may hold it, and on a busy
/// machine its reader may be late.
const DRAIN: Duration = Duration::from_secs(8);

/// A program with the arguments that always come first: how one tool of an archive is started.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tool {
    /// The program file, or a name looked up in `PATH`.
    pub program: PathBuf,
    /// Arguments before those of a call, such as a loader's.
    pub leading_args: Vec<OsString>,
}

impl Tool {
    /// A program that needs no leading arguments.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), leading_args: Vec::new() }
    }

    /// Starts the tool with `args`, waits for its end or for `deadline`, and returns what it said.
    ///
    /// # Errors
    /// [`io::Error`] when the program cannot be started or waited for. Its own failure is an [`Output`].
    pub fn run<A>(&self, args: impl IntoIterator<Item = A>, deadline: Duration) -> io::Result<Output>
    where
        A: Into<OsString>,
    {
        run(self.command(args), deadline)
    }

    /// The command that [`Tool::run`] runs, for a caller that sets a directory or an environment first.
    pub fn command<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.leading_args).args(args.into_iter().map(Into::into));
        command
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It exited with this code.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
    /// It ran past its deadline and was killed.
    TimedOut,
}

/// What a child left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub ending: Ending,
    /// Standard output, at most [`OUTPUT_CAP`] bytes.
    pub stdout: Vec<u8>,
    /// Standard error, at most [`OUTPUT_CAP`] bytes.
    pub stderr: Vec<u8>,
    /// Whether either stream was longer than the cap.
    pub truncated: bool,
    /// Wall-clock time from start to end.
    pub elapsed: Duration,
}

impl Output {
    /// Whether the child exited with code 0.
    pub fn success(&self) -> bool {
        self.ending == Ending::Exit(0)
    }

    /// Standard output as text, invalid UTF-8 replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text, invalid UTF-8 replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Runs `command` with no input, as [`Tool::run`] does.
///
/// # Errors
/// [`io::Error`] when the program cannot be started or waited for.
pub fn run(mut command: Command, deadline: Duration) -> io::Result<Output> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    limit(&child);
    let stdout = Drain::start(child.stdout.take());
    let stderr = Drain::start(child.stderr.take());
    let ending = wait(&mut child, deadline)?;
    let elapsed = start.elapsed();
    let limit = Instant::now() + DRAIN;
    let (stdout, stdout_over) = stdout.finish(limit);
    let (stderr, stderr_over) = stderr.finish(limit);
    effort::note(start.elapsed());
    Ok(Output { ending, stdout, stderr, truncated: stdout_over || stderr_over, elapsed })
}

/// Bounds the memory of `child`, and lets it leave no core.
fn limit(child: &Child) {
    let bounds = |most| Rlimit { current: Some(most), maximum: Some(most) };
    for (resource, most) in [(Resource::As, MEMORY_CAP), (Resource::Core, 0)] {
        // One that is over already needs none.
        let _ = prlimit(Some(Pid::from_child(child)), resource, bounds(most));
    }
}

fn wait(child: &mut Child, deadline: Duration) -> io::Result<Ending> {
    if let Some(status) = child.wait_timeout(deadline)? {
        return Ok(ending_of(status));
    }
    child.kill()?;
    child.wait()?;
    Ok(Ending::TimedOut)
}

fn ending_of(status: ExitStatus) -> Ending {
    use std::os::unix::process::ExitStatusExt;
    match status.code() {
        Some(code) => Ending::Exit(code),
        None => Ending::Signal(status.signal().unwrap_or(0)),
    }
}

/// One stream being read by a thread of its own.
struct Drain {
    kept: Arc<Mutex<Kept>>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    over: bool,
}

impl Drain {
    fn start(stream: Option<impl Read + Send + 'static>) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let reader = stream.map(|stream| {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || drain(stream, &kept))
        });
        Self { kept, reader }
    }

    /// What was read, without waiting for ever for a stream that somebody else still holds open, and
    /// whether that is not all of it.
    fn finish(self, limit: Instant) -> (Vec<u8>, bool) {
        let running = |reader: &JoinHandle<()>| !reader.is_finished();
        while self.reader.as_ref().is_some_and(running) && Instant::now() < limit {
            std::thread::sleep(Duration::from_micros(200));
        }
        let open = self.reader.as_ref().is_some_and(running);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut kept.bytes), kept.over || open)
    }
}

fn drain(mut stream: impl Read, kept: &Mutex<Kept>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT_CAP.saturating_sub(kept.bytes.len());
        kept.bytes.extend_from_slice(&buffer[..count.min(room)]);
        kept.over |= count > room;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, deadline: Duration) -> Output {
        Tool::new("/bin/sh").run(["-c", script], deadline).unwrap()
    }

    #[test]
    fn streams_and_code_are_captured() {
        let output = shell("echo out; echo err >&2; exit 3", Duration::from_secs(10));
        assert_eq!(output.ending, Ending::Exit(3));
        assert_eq!((output.stdout_text(), output.stderr_text()), ("out\n".into(), "err\n".into()));
    }

    #[test]
    fn a_hanging_child_is_killed_at_its_deadline() {
        let output = shell("echo begun; exec sleep 60", Duration::from_millis(200));
        assert_eq!(output.ending, Ending::TimedOut);
        assert_eq!(output.stdout_text(), "begun\n");
        assert!(output.elapsed < Duration::from_secs(10));
    }

    #[test]
    fn a_grandchild_that_holds_the_pipe_does_not_hold_us() {
        let start = Instant::now();
        let output = shell("sleep 20 & echo done", Duration::from_secs(10));
        assert_eq!(output.ending, Ending::Exit(0));
        assert!(output.truncated && start.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn a_flood_is_cut_and_says_so() {
        let output = shell("head -c 6000000 /dev/zero", Duration::from_secs(20));
        assert!(output.success() && output.truncated);
        assert_eq!(output.stdout.len(), OUTPUT_CAP);
    }

    #[test]
    fn memory_and_cores_are_bounded() {
        let output = shell("sleep 0.1; ulimit -v; ulimit -c", Duration::from_secs(10));
        assert_eq!(output.stdout_text(), format!("{}\n0\n", MEMORY_CAP >> 10));
    }

    #[test]
    fn a_signal_is_told_from_an_exit() {
        assert_eq!(shell("kill -9 $$", Duration::from_secs(10)).ending, Ending::Signal(9));
    }
}
