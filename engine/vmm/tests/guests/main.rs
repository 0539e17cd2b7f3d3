//! Real guests: one that misbehaves in every way we could think of, and the operations themselves.
//!
//! Without a usable `/dev/kvm` the trials show as ignored, with the reason.

#![expect(clippy::unwrap_used, reason = "all of it is tests")]

mod faults;
mod misdeeds;
mod operations;

use instar_vmm::Kvm;
use libtest_mimic::{Arguments, Trial};

/// What a trial does with a machine of its own.
type Body = fn(Kvm);

fn main() -> std::process::ExitCode {
    let missing = Kvm::open().err().map(|e| e.to_string());
    let bodies = misdeeds::TRIALS.iter().chain(operations::TRIALS).chain(faults::TRIALS);
    let trials = bodies.map(|(name, body)| trial(name, *body, missing.as_deref())).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, body: Body, missing: Option<&str>) -> Trial {
    let name = match missing {
        None => name.to_owned(),
        Some(reason) => format!("{name} ({reason})"),
    };
    let run = move || {
        body(Kvm::open()?);
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(missing.is_some())
}
