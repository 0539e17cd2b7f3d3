//! Running many cases: a batch at a time, so that what a batch leaves in memory is added up and dropped.

use crate::baseline::recorded::Recorded;
use crate::campaign::{Job, Judged, look_at_case};
use crate::equipment::Equipment;
use crate::excuse::classes;
use crate::grid::Grid;
use crate::interrupt;
use crate::pace::Stopwatch;
use crate::run::{Outcome, in_directory};
use crate::tally::Adder;
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use oracle_judge::Known;
use rayon::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How many cases are run before what came of them is added up.
const BATCH: usize = 256;

/// What is to be run.
pub struct Plan {
    /// The cases; without an end if `until` is given.
    pub jobs: Box<dyn Iterator<Item = Job>>,
    /// How many there are, if that is known.
    pub expected: Option<usize>,
    /// When to start no more, once the known divergences have been run.
    pub until: Option<Instant>,
    /// Whether the cases of all known divergences are among them.
    pub complete: bool,
    /// Whether to start no more once something diverged that is not known.
    pub fail_fast: bool,
    /// Whether to collect what both sides say where they differ.
    pub explain: bool,
    /// How many cases to run at a time.
    pub threads: usize,
}

type CaseResult = Result<Vec<Judged>, String>;

/// Runs all of it in directories below `dir`.
///
/// # Errors
/// It was interrupted.
pub fn run(mut plan: Plan, equipment: Equipment, known: Vec<Known>, dir: &Path) -> Result<Outcome> {
    interrupt::watch()?;
    let bar = progress(plan.expected)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(plan.threads).build()?;
    let stopwatch = Stopwatch::start(plan.threads);
    let (mut adder, mut grid) = (Adder::new(&equipment, &known), Grid::new(&equipment));
    let mut done: Vec<Job> = Vec::new();
    let enough = AtomicBool::new(false);
    loop {
        let over = |until: Instant| !done.is_empty() && Instant::now() >= until;
        if plan.until.is_some_and(over) {
            break;
        }
        // The first batch has the known divergences: it is run whole.
        let until = plan.until.filter(|_| !done.is_empty());
        let batch: Vec<Job> = plan.jobs.by_ref().take(BATCH).collect();
        if batch.is_empty() || enough.load(Ordering::SeqCst) {
            break;
        }
        let one = |(i, job): (usize, &Job)| {
            let stop = interrupt::happened() || enough.load(Ordering::SeqCst);
            if stop || until.is_some_and(|until| Instant::now() >= until) {
                return None;
            }
            let place = dir.join(format!("case{i}"));
            let result = in_directory(&place, || look_at_case(&equipment, &job.case, &place, plan.explain));
            bar.inc(1);
            let fresh = |judged: &Vec<Judged>| !classes(&equipment, &known, &job.case, judged).is_empty();
            if plan.fail_fast && result.as_ref().map_or(true, fresh) {
                enough.store(true, Ordering::SeqCst);
            }
            (!interrupt::happened()).then(|| result.map_err(|e| format!("{e:#}")))
        };
        // One case at a time to whoever is free: cases differ in length by a factor of a hundred.
        let results: Vec<Option<CaseResult>> =
            pool.install(|| batch.par_iter().enumerate().with_max_len(1).map(one).collect());
        for (job, result) in batch.into_iter().zip(results) {
            let Some(result) = result else { continue };
            adder.add(done.len(), &job, &result);
            grid.add(&adder, &job, &result);
            done.push(job);
        }
        if interrupt::happened() {
            bail!("interrupted after {} cases", done.len());
        }
    }
    bar.finish_and_clear();
    let tally = adder.finish(plan.complete && !enough.load(Ordering::SeqCst));
    let live = stopwatch.stop(tally.cases);
    Ok(Outcome { tally, grid, recorded: Recorded::default(), equipment, jobs: done, known, live })
}

fn progress(expected: Option<usize>) -> Result<ProgressBar> {
    let Some(expected) = expected else {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {pos} cases, {per_sec}, {elapsed}")?);
        return Ok(bar);
    };
    let bar = ProgressBar::new(expected as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} cases, {per_sec}, {eta} left")?);
    Ok(bar)
}
