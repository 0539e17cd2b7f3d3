//! Jobs in processes of their own: what such a process can do, what it cannot, and that nothing else is different.
//!
//! Without a usable `/dev/kvm` the trials show as ignored, with the reason. One runs after the other, as processes with
//! more threads than one are not to be copied.

#![expect(clippy::unwrap_used, reason = "all of it is tests")]

mod calls;
#[path = "../guests/misdeeds.rs"]
mod misdeeds;
#[path = "../guests/operations.rs"]
mod operations;
mod reach;

use instar_vmm::Kvm;
use libtest_mimic::{Arguments, Trial};

/// What a trial does with a machine of its own.
type Body = fn(Kvm);

/// Of the trials with guests, the one that has threads.
const THREADED: &str = "machines_run_side_by_side";

fn main() -> std::process::ExitCode {
    let missing = Kvm::open().err().map(|e| e.to_string());
    let guests = misdeeds::TRIALS.iter().chain(operations::TRIALS).filter(|(name, _)| *name != THREADED);
    let trials = guests.chain(calls::TRIALS).chain(reach::TRIALS);
    let trials = trials.map(|(name, body)| trial(name, *body, missing.as_deref())).collect();
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, body: Body, missing: Option<&str>) -> Trial {
    let name = match missing {
        None => name.to_owned(),
        Some(reason) => format!("{name} ({reason})"),
    };
    let run = move || {
        body(Kvm::open()?.confined());
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(missing.is_some())
}
