//! Side by side with the installed `qemu-img`: the same words, the same streams, the same codes.
//!
//! The installed binary must have the command line of 10.1 or later (Debian's 10.0 has it). Where
//! there is none, or no /dev/kvm, the trials concerned are ignored and their kind says why.
//!
//! Both engines run the same code: where both can be had, the one in this process gets some of its trials, and all of
//! them with `INSTAR_TRIALS=all` in the environment.

mod alone;
mod backing;
mod create;
mod encrypted;
mod fixture;
mod hostile;
mod inspect;
mod locks;
mod pair;
mod qed;
mod repair;
mod resize;
mod scale;
mod sealed;
mod snapshots;
mod space;
mod stored;
mod texts;
mod usage;
mod vhdx;
mod vmdk;
mod vpc;
mod windows;

use fixture::Fixtures;
use libtest_mimic::{Arguments, Failed, Trial};
use pair::Engine;
use std::process::ExitCode;

/// Of so many trials, the engine in this process has one where the other engine has them all.
const SPARED: usize = 4;
/// The kind of those that it does not have.
const BY_GUEST: &str = "the guest has it; INSTAR_TRIALS=all runs it";

/// What a trial answers.
type Verdict = Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = alone::trials();
    let reason = pair::missing_qemu_img();
    let all = std::env::var_os("INSTAR_TRIALS").is_some_and(|which| which == "all");
    for engine in [Engine::InProcess, Engine::Kvm] {
        let missing = reason.or_else(|| engine.missing());
        let mut group = usage::trials(engine);
        group.extend(resize::trials(engine));
        group.extend(inspect::trials(engine));
        group.extend(repair::trials(engine));
        group.extend(locks::trials(engine));
        group.extend(backing::trials(engine));
        group.extend(create::trials(engine));
        group.extend(hostile::trials(engine));
        group.extend(qed::trials(engine));
        group.extend(scale::trials(engine));
        group.extend(snapshots::trials(engine));
        group.extend(windows::trials(engine));
        group.extend(space::trials(engine));
        group.extend(stored::trials(engine));
        group.extend(texts::trials(engine));
        group.extend(vhdx::trials(engine));
        group.extend(vmdk::trials(engine));
        group.extend(vpc::trials(engine));
        group = group.into_iter().map(|t| unless(missing, t)).collect();
        group.extend(encrypted::trials(engine, missing));
        group.extend(sealed::trials(engine, missing));
        if engine == Engine::InProcess && Engine::Kvm.missing().is_none() && !all {
            group = group.into_iter().enumerate().map(sparing).collect();
        }
        trials.extend(group);
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Ignores a trial, with the reason as its kind.
fn unless(missing: Option<&'static str>, trial: Trial) -> Trial {
    match missing {
        Some(reason) => trial.with_ignored_flag(true).with_kind(reason),
        None => trial,
    }
}

/// Ignores the trials whose turn it is not.
fn sparing((number, trial): (usize, Trial)) -> Trial {
    if trial.has_ignored_flag() || number.is_multiple_of(SPARED) {
        return trial;
    }
    trial.with_ignored_flag(true).with_kind(BY_GUEST)
}

/// Makes a trial that works in a directory of its own, filled with the fixtures.
fn trial(name: String, body: impl FnOnce(&Fixtures) -> Verdict + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let fixtures = Fixtures::new()?;
        body(&fixtures)
    })
}
