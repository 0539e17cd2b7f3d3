//! Running many cases in one lab.

use crate::interrupt;
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use oracle_baseline::{BaselineError, Case, Lab, Label, Outcome};
use rayon::prelude::*;
use std::path::PathBuf;

/// Memory that looks like a disk: what is allocated there depends on no file system's moods.
const MEMORY: &str = "/dev/shm";

/// Where images are worked on.
pub fn scratch() -> PathBuf {
    let memory = PathBuf::from(MEMORY);
    let usable = tempfile::Builder::new().prefix("baseline-").tempdir_in(&memory).is_ok();
    if usable { memory } else { std::env::temp_dir() }
}

/// Carries every case out, `jobs` at a time, and returns the outcomes in order. `done` hears of each as it is finished.
///
/// # Errors
/// A case could not be carried out, `done` failed, or there was an interrupt.
pub fn sweep<'a, C: AsRef<[(&'a Case, Vec<Label>)]>>(
    lab: &Lab,
    cases: C,
    jobs: usize,
    title: &str,
    done: impl Fn(&Case, &Outcome) -> Result<()> + Sync,
) -> Result<Vec<Outcome>> {
    let cases = cases.as_ref();
    let bar = ProgressBar::new(cases.len() as u64);
    bar.set_style(ProgressStyle::with_template("{msg:20} {bar:40} {pos}/{len} cases, {eta} left")?);
    bar.set_message(title.to_string());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build()?;
    let one = |(case, labels): &(&Case, Vec<Label>)| -> Result<Outcome> {
        if interrupt::happened() {
            bail!("interrupted");
        }
        let outcome = lab.run(case, labels);
        if interrupt::happened() {
            bail!("interrupted");
        }
        let outcome = outcome.map_err(|e: BaselineError| anyhow::anyhow!("{}: {e}", case.name()))?;
        done(case, &outcome)?;
        bar.inc(1);
        Ok(outcome)
    };
    let outcomes = pool.install(|| cases.par_iter().with_max_len(1).map(one).collect());
    bar.finish_and_clear();
    outcomes
}
