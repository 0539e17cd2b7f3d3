//! The oracle: a differential test harness for programs that resize disk images.
//!
//! `compare` runs seeded cases, `replay` one case from a file, `minimize` makes one
//! smaller, `fuzz` runs cases until a time is up, `archive` keeps versions of qemu-img,
//! `crash` judges what a crash may leave, `hostile` compares on spoiled images.
//! See docs/oracle.md.

mod archive;
mod args;
mod baseline;
mod bisect;
mod campaign;
mod cause;
mod corpus;
mod crash;
mod equipment;
mod evidence;
mod excuse;
mod fuzz;
mod grid;
mod hostile;
mod interrupt;
mod json;
mod keep;
mod minimize;
mod pace;
mod pair;
mod report;
mod reports;
mod run;
mod session;
mod shrink;
mod since;
mod tally;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// The exit code of a run in which something diverged.
const DIVERGED: u8 = 1;
/// The exit code of a run that could not be made.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == equipment::AS_INSTAR) {
        return instar::run(std::iter::once("instar".into()).chain(words));
    }
    let result = match Cli::parse().command {
        Command::Compare(args) => run::compare(&args),
        Command::Replay(args) => run::replay(&args),
        Command::Minimize(args) => minimize::minimize(&args),
        Command::Fuzz(args) => fuzz::fuzz(&args),
        Command::Archive(args) => archive::run(&args),
        Command::Baseline(args) => baseline::run(&args),
        Command::Bisect(args) => bisect::bisect(&args),
        Command::Crash(args) => crash::run(&args),
        Command::Hostile(args) => hostile::run(&args),
        Command::Corpus(args) => corpus::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(e) => {
            eprintln!("oracle: {e:#}");
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}
