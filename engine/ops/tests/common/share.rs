//! What a run does of many trials of a kind.

use libtest_mimic::Trial;

/// One of so many runs; all of them with [`ALL`] in the environment.
const SPARED: usize = 2;
/// `INSTAR_TRIALS=all`
const ALL: (&str, &str) = ("INSTAR_TRIALS", "all");
/// The kind of those that do not run.
const LEFT_OUT: &str = "INSTAR_TRIALS=all runs it";

/// Ignores the trials whose turn it is not.
pub fn share(trials: impl Iterator<Item = Trial>) -> Vec<Trial> {
    let all = std::env::var(ALL.0).is_ok_and(|which| which == ALL.1);
    let spare = |(number, trial): (usize, Trial)| match all || trial.has_ignored_flag() {
        false if !number.is_multiple_of(SPARED) => trial.with_ignored_flag(true).with_kind(LEFT_OUT),
        _ => trial,
    };
    trials.enumerate().map(spare).collect()
}
