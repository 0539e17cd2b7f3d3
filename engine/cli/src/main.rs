//! The `instar` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    instar::run(std::env::args_os())
}
