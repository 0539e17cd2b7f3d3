//! Resize, create, inspect and check virtual disk images inside a KVM guest: the `instar` command.
//!
//! The command line, the output, the streams and the exit codes are those of `qemu-img`; see
//! docs/resize.md. [`run`] is the whole program, so that another program can be `instar` when called
//! by that name.

mod args;
mod argv;
mod behind;
mod bitmap;
mod check;
mod create;
mod engine;
mod error;
mod extents;
mod finish;
mod gate;
mod generate;
mod host;
mod identity;
mod image;
mod image_opts;
mod info;
mod json;
mod keyval;
mod lock;
mod message;
mod name;
mod open_files;
mod options;
mod others;
mod part;
mod parts;
mod progress;
mod resize;
mod secret;
mod shadow;
mod show;
mod size;
mod source;
mod space;
mod stored;
mod usage;
mod version;

use args::Command;
use error::CliError;
use message::{Program, to_stdout};
pub use size::{SizeError, parse_request};
use std::ffi::OsString;
use std::process::ExitCode;
use usage::{Request, Told};

/// Runs the command that `args` spell out, the program's own name first, and says with which code
/// to exit: 0 for success, 1 for failure, and what `qemu-img check` uses beyond that.
pub fn run<I: IntoIterator<Item = OsString>>(args: I) -> ExitCode {
    ignore_file_size_signal();
    let mut args = args.into_iter().peekable();
    let program = Program::new(args.peek());
    let result = match usage::understand(args) {
        Request::Run(command, decrement) => dispatch(&program, *command, decrement),
        Request::Version => to_stdout(&version::line(program.name())).map(|()| ExitCode::SUCCESS),
        Request::Text(text) => to_stdout(&text).map(|()| ExitCode::SUCCESS),
        Request::Error { command, text, told } => {
            match told {
                Told::ByCommand => program.option_error(command.as_deref(), &text),
                Told::WithHelp => program.usage_error(command.as_deref(), &text),
                Told::Alone => program.error(&CliError::Refused(text)),
            }
            return ExitCode::FAILURE;
        }
    };
    result.unwrap_or_else(|error| {
        program.error(&error);
        match error {
            CliError::ChecksUnsupported => ExitCode::from(check::UNSUPPORTED),
            _ => ExitCode::FAILURE,
        }
    })
}

fn dispatch(program: &Program, command: Command, decrement: Option<OsString>) -> Result<ExitCode, CliError> {
    let name = match &command {
        Command::Resize(_) => "resize",
        Command::Info(_) => "info",
        Command::Check(_) => "check",
        Command::Create(_) => "create",
        Command::Completions(_) => "completions",
        Command::Man(_) => "man",
    };
    let done = |()| ExitCode::SUCCESS;
    let result = match command {
        Command::Resize(args) => resize::run(program, &args, decrement).map(done),
        Command::Info(args) => info::run(program, &args).map(done),
        Command::Check(args) => check::run(program, &args),
        Command::Create(args) => create::run(program, &args).map(done),
        Command::Completions(args) => generate::completions(program, &args).map(done),
        Command::Man(args) => generate::man(&args).map(done),
    };
    if let Err(CliError::Usage { text }) = &result {
        program.usage_error(Some(name), text);
        return Ok(ExitCode::FAILURE);
    }
    result
}

/// A file that may not grow (`ulimit -f`) shall be an error like a full disk, not the end of the
/// process in the middle of a job.
fn ignore_file_size_signal() {
    // SAFETY: ignoring a signal installs no handler and touches no memory of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
