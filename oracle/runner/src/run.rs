//! The subcommands `compare` and `replay`.

use crate::args::{Common, CompareArgs, OutputForm, ReplayArgs};
use crate::baseline::recorded::{self, Plan, Recorded};
use crate::campaign::{Job, Judged, run_case};
use crate::equipment::Equipment;
use crate::tally::{Adder, Tally};
use crate::{COULD_NOT_RUN, DIVERGED, json, keep, report};
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use oracle_case::Case;
use oracle_judge::{Known, known};
use rayon::prelude::*;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Free bytes that a directory in memory must have to be used.
const MEMORY_WANTED: u64 = 2 << 30;

/// A campaign as it went.
pub struct Outcome {
    /// What was compared.
    pub equipment: Equipment,
    /// The cases, in order.
    pub jobs: Vec<Job>,
    /// The sum.
    pub tally: Tally,
    /// The list of known divergences.
    pub known: Vec<Known>,
    /// How long the cases took.
    pub elapsed: Duration,
    /// What came of comparing with baselines.
    pub recorded: Recorded,
}

/// Runs seeded cases, or those of `--case`, and the case of every known divergence.
///
/// # Errors
/// The run could not be made.
pub fn compare(args: &CompareArgs) -> Result<ExitCode> {
    let known = known()?;
    let mut jobs: Vec<Job> = known.iter().map(known_job).collect();
    if args.case.is_empty() {
        jobs.extend(seeded(args));
    } else {
        for path in &args.case {
            jobs.push(job_of_file(path)?);
        }
    }
    let formats: Vec<&str> = args.format.iter().map(|format| format.name()).collect();
    run(&args.common, known, jobs, Some(&formats))
}

/// Runs one case from a file.
///
/// # Errors
/// The run could not be made.
pub fn replay(args: &ReplayArgs) -> Result<ExitCode> {
    run(&args.common, known()?, vec![job_of_file(&args.case)?], None)
}

fn known_job(known: &Known) -> Job {
    Job {
        label: format!("known divergence {}", known.id),
        shows: Some(known.id.clone()),
        case: known.case.clone(),
    }
}

fn seeded(args: &CompareArgs) -> impl Iterator<Item = Job> {
    let wanted = |case: &Case| {
        let name = case.fixture.format.name();
        args.format.is_empty() || args.format.iter().any(|f| f.name() == name)
    };
    Case::sequence(args.seed, wanted).take(args.cases).map(|(seed, case)| Job {
        label: format!("seed {seed}"),
        shows: None,
        case,
    })
}

fn job_of_file(path: &Path) -> Result<Job> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let case = Case::from_json(&text).with_context(|| path.display().to_string())?;
    Ok(Job { label: path.display().to_string(), shows: None, case })
}

fn run(args: &Common, known: Vec<Known>, mut jobs: Vec<Job>, formats: Option<&[&str]>) -> Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst)).context("signal handler")?;
    let dir = workplace().context("temporary directory")?;
    let plan = Plan::of(args)?;
    let live = Common { qemu: plan.live.clone(), ..args.clone() };
    let mut equipment = Equipment::find(&live, dir.path())?;
    equipment.notes.extend(plan.notes());
    if plan.live.is_empty() {
        jobs.clear();
    }
    let complete = formats.is_some() && !plan.live.is_empty();
    if args.output == OutputForm::Human {
        report::equipment(&equipment, jobs.len());
    }
    let start = Instant::now();
    let results = run_all(args.jobs, &equipment, &jobs, dir.path(), &interrupted)?;
    let elapsed = start.elapsed();
    if interrupted.load(Ordering::SeqCst) {
        bail!("interrupted after {} of {} cases", results.iter().flatten().count(), jobs.len());
    }
    let mut adder = Adder::new(&equipment, &known);
    for (i, (job, result)) in jobs.iter().zip(results.iter().flatten()).enumerate() {
        adder.add(i, job, result);
    }
    let mut tally = adder.finish(complete);
    let recorded = match formats {
        Some(formats) => recorded::compare(&plan, args, formats, &equipment)?,
        None => Recorded::default(),
    };
    tally.cases += recorded.cases;
    tally.oracles.extend(recorded.oracles.iter().cloned());
    let outcome = Outcome { tally, equipment, jobs, known, elapsed, recorded };
    let kept = keep::keep(&outcome, &args.keep, dir.path())?;
    match args.output {
        OutputForm::Human => report::outcome(&outcome, &kept),
        OutputForm::Json => json::outcome(&outcome, &kept)?,
    }
    let diverged = !outcome.recorded.divergences.is_empty();
    Ok(if diverged { ExitCode::from(DIVERGED) } else { exit_code(&outcome.tally) })
}

/// Where images are while they are worked on: the directory that `TMPDIR` names, or else one in
/// memory, which halves the time because nothing waits for a disk, or else the system's own.
fn workplace() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let roomy =
        rustix::fs::statvfs(memory).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) >= MEMORY_WANTED);
    let mut builder = tempfile::Builder::new();
    builder.prefix("oracle-");
    match std::env::var_os("TMPDIR") {
        None if roomy => builder.tempdir_in(memory).or_else(|_| builder.tempdir()),
        _ => builder.tempdir(),
    }
}

fn exit_code(tally: &Tally) -> ExitCode {
    if !tally.groups.is_empty() || !tally.stale.is_empty() {
        ExitCode::from(DIVERGED)
    } else if !tally.failures.is_empty() || tally.cases == 0 {
        ExitCode::from(COULD_NOT_RUN)
    } else {
        ExitCode::SUCCESS
    }
}

type CaseResult = Result<Vec<Judged>, String>;

/// What came of every case, in order; `None` for those that an interrupt kept from being finished.
fn run_all(
    threads: usize,
    equipment: &Equipment,
    jobs: &[Job],
    dir: &Path,
    interrupted: &AtomicBool,
) -> Result<Vec<Option<CaseResult>>> {
    let bar = ProgressBar::new(jobs.len() as u64);
    let style = "{bar:40} {pos}/{len} cases, {per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(style)?);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let one = |(i, job): (usize, &Job)| {
        if interrupted.load(Ordering::SeqCst) {
            return None;
        }
        let place = dir.join(format!("case{i}"));
        let result = in_directory(&place, || run_case(equipment, &job.case, &place));
        bar.inc(1);
        // A signal to the oracle ends its children too: what they then said means nothing.
        let valid = !interrupted.load(Ordering::SeqCst);
        valid.then(|| result.map_err(|e| format!("{e:#}")))
    };
    // One case at a time to whoever is free: cases differ in length by a factor of a hundred.
    let results = pool.install(|| jobs.par_iter().enumerate().with_max_len(1).map(one).collect());
    bar.finish_and_clear();
    Ok(results)
}

/// Runs `work` with `dir` there and empty, and removes it afterwards.
pub fn in_directory<T>(dir: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let result = work();
    // What cannot be removed now is removed with the whole temporary directory.
    let _ = std::fs::remove_dir_all(dir);
    result
}
