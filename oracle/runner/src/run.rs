//! The subcommands `compare` and `replay`.

use crate::args::{Common, CompareArgs, FormatName, OutputForm, ReplayArgs};
use crate::baseline::recorded::{self, Recorded};
use crate::campaign::Job;
use crate::cause::causes;
use crate::equipment::Equipment;
use crate::fuzz::classes;
use crate::grid::Grid;
use crate::pace::Pace;
use crate::session::{self, Plan};
use crate::since::Since;
use crate::tally::Tally;
use crate::{COULD_NOT_RUN, DIVERGED, json, keep, report, reports};
use anyhow::{Context, Result};
use oracle_case::Case;
use oracle_judge::{Known, Subject, known};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

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
    /// Case by case.
    pub grid: Grid,
    /// What came of comparing with baselines.
    pub recorded: Recorded,
    /// The list of known divergences.
    pub known: Vec<Known>,
    /// How fast the live cases went.
    pub live: Pace,
}

impl Outcome {
    /// How fast the live cases and those of baselines went, each named, as far as there were any.
    pub fn paces(&self) -> Vec<(&'static str, &Pace)> {
        let live = Some(("live", &self.live)).filter(|(_, pace)| pace.cases > 0);
        let recorded = self.recorded.pace.as_ref().map(|pace| ("baselines", pace));
        live.into_iter().chain(recorded).collect()
    }

    /// Leaves out the classes that were found before.
    pub fn forget(&mut self, old: &BTreeSet<String>) {
        self.tally.groups.retain(|group| !old.contains(&group.class.to_string()));
        self.tally.causes = causes(&self.tally.groups);
    }

    /// What was compared with what, in a few words.
    pub fn compared(&self) -> String {
        let versions = self.grid.columns.len().saturating_sub(1);
        match &self.equipment.pair {
            Some(pair) => format!("{} (here) and {} (there)", pair.left.name(), pair.right.name()),
            None => format!("instar with {versions} versions of qemu-img"),
        }
    }

    /// Wall-clock seconds of all cases.
    pub fn seconds(&self) -> f64 {
        self.paces().iter().map(|(_, pace)| pace.seconds).sum()
    }
}

/// Runs seeded cases, or those of `--case`, and the case of every known divergence.
///
/// # Errors
/// The run could not be made.
pub fn compare(args: &CompareArgs) -> Result<ExitCode> {
    let known = known()?;
    let mut jobs = known_jobs(&args.common, &known);
    if args.case.is_empty() {
        let pair = args.common.is_pair();
        jobs.extend(seeded(args.seed, &args.format, pair).take(args.cases));
    } else {
        for path in &args.case {
            jobs.push(job_of_file(path)?);
        }
    }
    let (mut common, mut old) = (args.common.clone(), BTreeSet::new());
    if let Some(findings) = &args.findings {
        old = classes(findings)?;
        common.keep = findings.clone();
    }
    let Some(dir) = &args.since else {
        return run(&common, known, jobs, &Stored::Formats(&args.format), args.fail_fast, &old);
    };
    let since = Since::new(dir, common.jobs);
    if since.is_complete() { changed(args, known, jobs, &since) } else { first(args, known, jobs, &since) }
}

/// Judges all cases, and keeps what instar answers if they agree.
fn first(args: &CompareArgs, known: Vec<Known>, jobs: Vec<Job>, since: &Since) -> Result<ExitCode> {
    {
        let dir = workplace().context("temporary directory")?;
        since.keep(&live(&args.common, dir.path())?, &jobs)?;
    }
    let code = run(&args.common, known, jobs, &Stored::None, args.fail_fast, &BTreeSet::new())?;
    if code == ExitCode::SUCCESS {
        since.complete()?;
    }
    Ok(code)
}

/// Cases that are judged, at most, before the first divergence ends the run: an instar that answers them otherwise and is
/// right is right in the others too, as a rule.
const MOST_CHANGED: usize = 24;

/// Judges the cases that instar answers otherwise.
fn changed(args: &CompareArgs, known: Vec<Known>, jobs: Vec<Job>, since: &Since) -> Result<ExitCode> {
    let (all, most) = (jobs.len(), if args.fail_fast { MOST_CHANGED } else { usize::MAX });
    let jobs = {
        let dir = workplace().context("temporary directory")?;
        since.changed(&live(&args.common, dir.path())?, jobs, most)?
    };
    println!("{} of {all} cases are answered otherwise", jobs.len());
    if jobs.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    run(&args.common, known, jobs, &Stored::None, args.fail_fast, &BTreeSet::new())
}

/// Which of the baselines' cases are compared.
enum Stored<'a> {
    None,
    /// Those of these formats, or all.
    Formats(&'a [FormatName]),
    One(oracle_baseline::Case),
}

/// Runs one case from a file; it may be one of the baselines' too.
///
/// # Errors
/// The run could not be made.
pub fn replay(args: &ReplayArgs) -> Result<ExitCode> {
    let path = &args.case;
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    match serde_json::from_str(&text) {
        Ok(case) => run(&args.common, known()?, Vec::new(), &Stored::One(case), false, &BTreeSet::new()),
        Err(_) => {
            run(&args.common, known()?, vec![job_of_file(path)?], &Stored::None, false, &BTreeSet::new())
        }
    }
}

/// The cases of the known divergences, which are between an instar and a qemu-img: a pair is not put to them.
pub fn known_jobs(args: &Common, known: &[Known]) -> Vec<Job> {
    let shown = known.iter().filter(|_| !args.is_pair());
    shown.map(known_job).collect()
}

/// The case that shows a known divergence.
fn known_job(known: &Known) -> Job {
    Job {
        label: format!("known divergence {}", known.id),
        shows: Some(known.id.clone()),
        case: known.case.clone(),
    }
}

/// Cases of these formats, or of any if none is named, from a seed on, without end. A pair, of which neither need be
/// an instar, is put to those that `qemu-img` resizes.
pub fn seeded(seed: u64, formats: &[FormatName], pair: bool) -> Box<dyn Iterator<Item = Job> + Send> {
    let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
    let job = |(seed, case)| Job { label: format!("seed {seed}"), shows: None, case };
    if names.is_empty() && !pair {
        return Box::new(Case::sequence_of_all(seed).map(job));
    }
    Box::new(Case::sequence_of(seed, &names).map(job))
}

fn job_of_file(path: &Path) -> Result<Job> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let case = Case::from_json(&text).with_context(|| path.display().to_string())?;
    Ok(Job { label: path.display().to_string(), shows: None, case })
}

/// Runs cases, and reports the classes that are not among `old`.
fn run(
    args: &Common,
    known: Vec<Known>,
    jobs: Vec<Job>,
    stored: &Stored,
    fail_fast: bool,
    old: &BTreeSet<String>,
) -> Result<ExitCode> {
    let dir = workplace().context("temporary directory")?;
    let baselines = recorded::Plan::of(args)?;
    let equipment = equipment(args, &baselines, dir.path())?;
    // Without a qemu-img only the baselines' cases can be compared.
    let jobs = if baselines.live.is_empty() { Vec::new() } else { jobs };
    if args.output == OutputForm::Human {
        let kept = if old.is_empty() {
            String::new()
        } else {
            format!("; {} kinds of divergence kept before", old.len())
        };
        report::equipment(&equipment, &format!("{} cases{kept}", jobs.len()));
    }
    let plan = Plan {
        expected: Some(jobs.len()),
        jobs: Box::new(jobs.into_iter()),
        until: None,
        complete: matches!(stored, Stored::Formats(_)) && !args.is_pair() && !baselines.live.is_empty(),
        fail_fast,
        explain: !args.report.is_empty(),
        threads: args.jobs,
    };
    let mut outcome = session::run(plan, equipment, known, dir.path())?;
    if fail_fast && !(outcome.tally.groups.is_empty() && outcome.tally.failures.is_empty()) {
        report::outcome(&outcome, &[]);
        return Ok(exit_code(&outcome));
    }
    let (formats, only) = match stored {
        Stored::None => return conclude(args, &outcome, dir.path()),
        Stored::Formats(formats) => (*formats, None),
        Stored::One(case) => (&[][..], Some(case)),
    };
    let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
    let request = recorded::Request {
        plan: &baselines,
        formats: &names,
        only,
        jobs: args.jobs,
        explain: !args.report.is_empty(),
    };
    let Outcome { equipment, tally, grid, .. } = &mut outcome;
    outcome.recorded = recorded::compare(&request, equipment, tally, grid)?;
    outcome.forget(old);
    conclude(args, &outcome, dir.path())
}

/// What there is to compare with live, where baselines stand in for nothing.
fn live(args: &Common, dir: &Path) -> Result<Equipment> {
    equipment(args, &recorded::Plan::of(args)?, dir)
}

/// What there is to compare with live, where `baselines` stands in for the rest.
///
/// # Errors
/// Something that was asked for is missing, or nothing is left to compare.
pub fn equipment(args: &Common, baselines: &recorded::Plan, dir: &Path) -> Result<Equipment> {
    let live = Common { qemu: baselines.live.clone(), ..args.clone() };
    let mut equipment = Equipment::find(&live, dir)?;
    equipment.notes.extend(baselines.notes());
    Ok(equipment)
}

/// Keeps what was found, and reports.
///
/// # Errors
/// A file cannot be written.
pub fn conclude(args: &Common, outcome: &Outcome, scratch: &Path) -> Result<ExitCode> {
    let kept = keep::keep(outcome, args, scratch)?;
    reports::write(outcome, &kept, &args.report)?;
    match args.output {
        OutputForm::Human => report::outcome(outcome, &kept),
        OutputForm::Json => json::outcome(outcome, &kept)?,
    }
    Ok(exit_code(outcome))
}

/// Where images are while they are worked on: the directory that `TMPDIR` names, or else one in
/// memory, which halves the time because nothing waits for a disk, or else the system's own.
pub fn workplace() -> std::io::Result<tempfile::TempDir> {
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

fn exit_code(outcome: &Outcome) -> ExitCode {
    let tally = &outcome.tally;
    if !tally.groups.is_empty() || !tally.stale.is_empty() {
        ExitCode::from(DIVERGED)
    } else if !tally.failures.is_empty() || tally.cases == 0 {
        ExitCode::from(COULD_NOT_RUN)
    } else {
        ExitCode::SUCCESS
    }
}

/// Runs `work` with `dir` there and empty, and removes it afterwards.
pub fn in_directory<T>(dir: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let result = work();
    // What cannot be removed now is removed with the whole temporary directory.
    let _ = std::fs::remove_dir_all(dir);
    result
}
