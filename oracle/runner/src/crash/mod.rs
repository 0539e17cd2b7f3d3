//! The subcommand `crash`: every state that a crash or a failing device can leave of a resize.

mod kvm;
mod report;

use crate::archive::Archive;
use crate::args::{FormatName, OutputForm};
use crate::{COULD_NOT_RUN, DIVERGED, equipment};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use oracle_case::{Case, Maker, Tools};
use oracle_crash::{Bounds, CaseReport, Engine, InProcess, Judge, Options, State, run_case};
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Cases that are run at a time; whether there are enough states is asked after each such batch, so that the same seed
/// comes to the same states however many processors there are.
const BATCH: usize = 16;
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
    /// Resize with this engine.
    #[arg(long, value_name = "ENGINE", default_value = "in-process")]
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
}

/// A campaign as it went.
#[derive(Debug, Default)]
struct Campaign {
    cases: Vec<(String, Case)>,
    reports: Vec<Result<CaseReport, String>>,
    elapsed: Duration,
}

/// Judges crash states until there were enough.
///
/// # Errors
/// The campaign could not be run.
pub fn run(args: &CrashArgs) -> Result<ExitCode> {
    let archive = Archive::at(args.archive.as_deref())?;
    let tools = equipment::makers(&archive, &[])?;
    let engine: Box<dyn Engine> = match args.engine {
        CrashEngine::Kvm => Box::new(kvm::InGuest::open()?),
        CrashEngine::InProcess => Box::new(InProcess),
    };
    let options = options(args, engine.as_ref(), &tools)?;
    let campaign = campaign(args, &options)?;
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

fn options<'a>(args: &CrashArgs, engine: &'a dyn Engine, tools: &'a Tools) -> Result<Options<'a>> {
    let only: Option<(usize, State)> = match &args.state {
        Some(text) => Some(serde_json::from_str(text).context("--state")?),
        None => None,
    };
    Ok(Options {
        bounds: Bounds::default(),
        seed: args.seed,
        engine,
        tools,
        opinion_every: args.opinion_every,
        kinds: Mutex::new(HashSet::new()),
        only,
    })
}

fn campaign(args: &CrashArgs, options: &Options) -> Result<Campaign> {
    let start = Instant::now();
    let dir = tempfile::Builder::new().prefix("oracle-crash-").tempdir().context("temporary directory")?;
    let bar = ProgressBar::new(args.states);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} states, {per_sec}, {eta} left")?);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build()?;
    let mut campaign = Campaign::default();
    let mut cases = cases(args)?;
    while args.case.is_empty() || campaign.cases.is_empty() {
        let batch: Vec<_> = cases.by_ref().take(BATCH.max(args.case.len())).collect();
        if batch.is_empty() || campaign.sum(|r| r.distinct) >= args.states {
            break;
        }
        let done = campaign.cases.len();
        let one = |judge: &mut Judge, (i, (_, case)): (usize, &(String, Case))| {
            let place = dir.path().join(format!("case{}", done + i));
            let report = in_directory(&place, || run_case(case, &place, options, judge));
            bar.inc(report.as_ref().map_or(0, |r| r.distinct));
            report
        };
        let reports: Vec<_> = pool
            .install(|| batch.par_iter().enumerate().with_max_len(1).map_init(Judge::default, one).collect());
        campaign.reports.extend(reports);
        campaign.cases.extend(batch);
    }
    bar.finish_and_clear();
    if campaign.cases.is_empty() {
        bail!("no cases");
    }
    campaign.elapsed = start.elapsed();
    Ok(campaign)
}

fn cases(args: &CrashArgs) -> Result<Box<dyn Iterator<Item = (String, Case)> + '_>> {
    let most = args.cases.unwrap_or(usize::MAX);
    if args.case.is_empty() {
        let wanted = |case: &Case| {
            let name = case.fixture.format.name();
            args.format.is_empty() || args.format.iter().any(|f| f.name() == name)
        };
        let seeded = Case::sequence(args.seed, wanted);
        let seeded = seeded.map(|(seed, case)| (format!("seed {seed}"), own_layout(seed, case)));
        return Ok(Box::new(seeded.take(most)));
    }
    let read = |path: &PathBuf| -> Result<(String, Case)> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        Ok((name.clone(), Case::from_json(&text).context(name)?))
    };
    let files: Vec<_> = args.case.iter().map(read).collect::<Result<_>>()?;
    Ok(Box::new(files.into_iter().take(most)))
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

fn in_directory<T>(place: &Path, run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::fs::create_dir_all(place).map_err(|e| format!("{}: {e}", place.display()))?;
    let result = run();
    // It goes with the directory around it at the latest.
    drop(std::fs::remove_dir_all(place));
    result
}

impl Campaign {
    fn sum(&self, count: impl Fn(&CaseReport) -> u64) -> u64 {
        self.reports.iter().flatten().map(count).sum()
    }
}
