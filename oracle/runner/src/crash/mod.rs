//! The subcommand `crash`: every state that a crash or a failing device can leave of a resize.

mod guest;
mod kvm;
mod line;
mod report;

use crate::archive::Archive;
use crate::args::{FormatName, OutputForm};
use crate::{COULD_NOT_RUN, DIVERGED, equipment, run};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use kvm::InGuest;
use line::Labelled;
use oracle_case::{Case, Maker};
use oracle_crash::{Bounds, CaseReport, InProcess, Options, State, unreadable};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One case of so many is resized in a guest, when both engines take part.
const GUEST_EVERY: usize = 32;
/// Calls of a guest's device that are made to fail in each resize, at most, when both engines take part.
const FEW_FAULTS: usize = 8;
/// The same when only guests resize.
const ALL_FAULTS: usize = 256;
/// One case of so many begins with an image that qemu-img made if its fixture says so.
const QEMU_MADE: u64 = 16;

/// Arguments of `crash`.
#[derive(Debug, Args)]
pub struct CrashArgs {
    /// Go on until so many different states were judged.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    states: u64,
    /// Run no more cases than so many.
    #[arg(long, value_name = "N")]
    cases: Option<usize>,
    /// The first seed; random choices of states begin with it too.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Only cases of this format; may be repeated.
    #[arg(long, value_name = "FORMAT")]
    format: Vec<FormatName>,
    /// Run this case instead of seeded ones; may be repeated.
    #[arg(long, value_name = "FILE")]
    case: Vec<PathBuf>,
    /// Of the case, judge only this state: JSON as a report has it, with the number of the resize.
    #[arg(long, value_name = "JSON", requires = "case")]
    state: Option<String>,
    /// Resize with this engine. With both, a few of the cases are resized in a guest, if there is a KVM.
    #[arg(long, value_name = "ENGINE", default_value = "both")]
    engine: CrashEngine,
    /// Ask qemu-img about one state of so many; it is asked about the first of each kind anyway.
    #[arg(long, value_name = "N", default_value_t = 500)]
    opinion_every: u64,
    /// How many cases to run at a time; 0 for one per processor.
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// How to report.
    #[arg(long, value_name = "FORM", default_value = "human")]
    output: OutputForm,
    /// Where the archived versions of qemu-img are.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Where to keep the case and the state of every group of bad states.
    #[arg(long, value_name = "DIR", default_value = "out/oracle/crash")]
    keep: PathBuf,
}

/// What resizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CrashEngine {
    /// In a KVM guest.
    Kvm,
    /// In the oracle's own process.
    InProcess,
    /// In the one or the other.
    Both,
}

/// A campaign as it went.
#[derive(Debug, Default)]
struct Campaign {
    cases: Vec<(String, Case)>,
    reports: Vec<Result<CaseReport, String>>,
    /// States that qemu-img was asked about.
    opinions: u64,
    /// Why no guest took part, if it should have.
    no_guest: Option<String>,
    elapsed: Duration,
}

/// How a campaign is gone about.
struct Plan {
    /// How many different states are enough.
    states: u64,
    jobs: usize,
    guest: Option<InGuest>,
    /// One case of so many is the guest's.
    guest_every: usize,
}

impl Plan {
    /// # Errors
    /// There is no KVM, and nothing else was asked for.
    fn new(args: &CrashArgs) -> Result<(Self, Option<String>)> {
        let (guest, missing) = match (args.engine, InGuest::open()) {
            (CrashEngine::InProcess, _) => (None, None),
            (CrashEngine::Kvm, Err(e)) => return Err(e),
            (CrashEngine::Both, Err(e)) => (None, Some(e.to_string())),
            (_, Ok(guest)) => (Some(guest), None),
        };
        let guest_every = if args.engine == CrashEngine::Kvm { 1 } else { GUEST_EVERY };
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = if args.jobs == 0 { processors() } else { args.jobs };
        // Of cases that are named, every one is wanted.
        let states = if args.case.is_empty() { args.states } else { u64::MAX };
        Ok((Self { states, jobs, guest, guest_every }, missing))
    }

    /// The options of the case with this number.
    fn options_of<'a>(&'a self, number: usize, options: &Options<'a>) -> Options<'a> {
        match &self.guest {
            Some(guest) if number.is_multiple_of(self.guest_every) => {
                Options { engine: guest, ..options.clone() }
            }
            _ => options.clone(),
        }
    }
}

/// Judges crash states until there were enough.
///
/// # Errors
/// The campaign could not be run.
pub fn run(args: &CrashArgs) -> Result<ExitCode> {
    let campaign = campaign(args)?;
    let groups = report::groups(&campaign);
    report::keep(&campaign, &groups, &args.keep)?;
    match args.output {
        OutputForm::Human => report::human(&campaign, &groups, args),
        OutputForm::Json => report::json(&campaign, &groups, args)?,
    }
    Ok(if !groups.is_empty() {
        ExitCode::from(DIVERGED)
    } else if campaign.reports.iter().any(Result::is_err) || campaign.sum(|r| r.distinct) == 0 {
        ExitCode::from(COULD_NOT_RUN)
    } else {
        ExitCode::SUCCESS
    })
}

fn campaign(args: &CrashArgs) -> Result<Campaign> {
    let tools = equipment::makers(&Archive::at(args.archive.as_deref())?, &[])?;
    let (plan, no_guest) = Plan::new(args)?;
    let only: Option<(usize, State)> = match &args.state {
        Some(text) => Some(serde_json::from_str(text).context("--state")?),
        None => None,
    };
    let options = Options {
        bounds: Bounds::default(),
        seed: args.seed,
        engine: &InProcess,
        engine_faults: if plan.guest_every == 1 { ALL_FAULTS } else { FEW_FAULTS },
        tools: &tools,
        opinion_every: args.opinion_every,
        only,
    };
    let (start, dir) = (Instant::now(), run::workplace().context("temporary directory")?);
    let bar = ProgressBar::new(args.states);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} states, {per_sec}, {eta} left")?);
    let mut campaign = line::run(cases(args)?, &plan, &options, dir.path(), &bar);
    bar.finish_and_clear();
    if campaign.cases.is_empty() {
        bail!("no cases");
    }
    (campaign.elapsed, campaign.no_guest) = (start.elapsed(), no_guest);
    Ok(campaign)
}

/// Cases among which there must be one that can be judged.
const FIRST: usize = 200;

fn cases(args: &CrashArgs) -> Result<Box<dyn Iterator<Item = Labelled> + Send + '_>> {
    let most = args.cases.unwrap_or(usize::MAX);
    if args.case.is_empty() {
        let names: Vec<&str> = args.format.iter().map(|format| format.name()).collect();
        let first = sequence(args.seed, &names).take(FIRST).find(|(_, case)| unreadable(case).is_none());
        if first.is_none() {
            bail!("no crash states of {} are judged", names.join(", "));
        }
        let seeded = sequence(args.seed, &names).filter(|(_, case)| unreadable(case).is_none());
        let seeded = seeded.map(|(seed, case)| (format!("seed {seed}"), own_layout(seed, case)));
        return Ok(Box::new(seeded.take(most)));
    }
    let read = |path: &PathBuf| -> Result<Labelled> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        Ok((name.clone(), Case::from_json(&text).context(name)?))
    };
    let files: Vec<_> = args.case.iter().map(read).collect::<Result<_>>()?;
    Ok(Box::new(files.into_iter().take(most)))
}

/// Cases of these formats, or of all, from a seed on.
fn sequence(seed: u64, names: &[&str]) -> Box<dyn Iterator<Item = (u64, Case)> + Send> {
    if names.is_empty() {
        return Box::new(Case::sequence_of_all(seed));
    }
    Box::new(Case::sequence_of(seed, names))
}

/// The case with an image of the oracle's own making, which takes no child process, where that can be; a few keep
/// qemu-img's.
fn own_layout(seed: u64, case: Case) -> Case {
    let mut own = case.clone();
    own.fixture.maker = Maker::Own;
    own.legalize();
    let same = (&own.fixture.format, &own.fixture.writes) == (&case.fixture.format, &case.fixture.writes);
    if same && !seed.is_multiple_of(QEMU_MADE) { own } else { case }
}

impl Campaign {
    fn sum(&self, count: impl Fn(&CaseReport) -> u64) -> u64 {
        self.reports.iter().flatten().map(count).sum()
    }
}
