//! The subcommand `hostile`: images spoiled one field at a time, before instar and a qemu-img.

mod report;

use crate::args::{Common, EngineName, OutputForm, Source};
use crate::equipment::Equipment;
use crate::run::{in_directory, workplace};
use crate::{COULD_NOT_RUN, DIVERGED};
use anyhow::{Context, Result};
use clap::Args;
use oracle_case::Tools;
use oracle_hostile::{
    Answers, Court, OTHERS, RECIPES, Recipe, Sentence, Spoil, UNRESIZED, chosen, fields_of, spoils, spoils_of,
};
use oracle_judge::subject::IMAGE;
use oracle_judge::{Subject, sparse};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Arguments of `hostile`.
#[derive(Debug, Args)]
pub struct HostileArgs {
    /// How many spoiled images to judge; 0 for all there are.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    images: usize,
    /// Which ones, and in which order.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Only images of this recipe; may be repeated.
    #[arg(long, value_name = "NAME")]
    recipe: Vec<String>,
    /// Stop at the first divergence, and keep nothing.
    #[arg(long)]
    fail_fast: bool,
    /// Compare with this qemu-img: a version that is here, or a path; without it, the newest.
    #[arg(long, value_name = "VERSION|PATH", default_value = "all", hide_default_value = true)]
    qemu: String,
    /// Run instar with this engine.
    #[arg(long, value_name = "ENGINE", default_value = "in-process")]
    engine: EngineName,
    /// How many images to judge at a time; 0 for one per processor.
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// Test this program instead of the instar that is built into the oracle.
    #[arg(long, value_name = "PATH")]
    instar: Option<PathBuf>,
    /// Where the archived versions of qemu-img are.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Keep what qemu-img answers in this file, and do not ask again what it has. The good images, which are another
    /// each time they are made, are kept in the directory FILE.images.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Where to keep an image of each kind of divergence.
    #[arg(long, value_name = "DIR", default_value = "out/oracle/hostile")]
    keep: PathBuf,
}

/// A spoiled image.
struct Job {
    recipe: &'static Recipe,
    good: Arc<Vec<u8>>,
    spoil: Spoil,
}

/// A spoiled image and what came of it.
struct Judged {
    job: Job,
    result: Result<Vec<Sentence>, String>,
}

/// Judges spoiled images.
///
/// # Errors
/// The run could not be made.
pub fn run(args: &HostileArgs) -> Result<ExitCode> {
    let dir = workplace().context("temporary directory")?;
    let equipment = Equipment::find(&common(args), dir.path())?;
    let instar = equipment.instars.first().context("no instar")?;
    let qemu = equipment.qemus.last().context("no qemu-img")?;
    let answers = args.answers.as_deref().map_or_else(|| Ok(Answers::default()), Answers::load)?;
    let court = Court { instar, qemu, answers: &answers };
    let all = jobs(args, &equipment.makers, dir.path())?;
    let (there, wanted) = (all.len(), if args.images == 0 { all.len() } else { args.images });
    let start = Instant::now();
    let judged = judge_all(args, court, chosen(all, wanted, args.seed, |job| &job.spoil), dir.path())?;
    if let Some(path) = &args.answers {
        answers.save(path)?;
    }
    println!("{} of {there} images, {} and {}\n", judged.len(), instar.name(), qemu.name());
    let kinds = report::print(&judged);
    if !args.fail_fast {
        report::keep(&judged, &args.keep)?;
    }
    println!(
        "\n{} images in {:.1} s: {kinds} kinds of divergence",
        judged.len(),
        start.elapsed().as_secs_f64()
    );
    let failed = judged.is_empty() || judged.iter().any(|one| one.result.is_err());
    Ok(match (kinds, failed) {
        (0, false) => ExitCode::SUCCESS,
        (0, true) => ExitCode::from(COULD_NOT_RUN),
        _ => ExitCode::from(DIVERGED),
    })
}

/// What finding the equipment wants to know.
fn common(args: &HostileArgs) -> Common {
    Common {
        qemu: vec![args.qemu.clone()],
        from: Source::Live,
        matrix: false,
        baselines: PathBuf::new(),
        engine: vec![args.engine],
        jobs: args.jobs,
        output: OutputForm::Human,
        report: Vec::new(),
        left: None,
        right: None,
        deadline: 0,
        instar: args.instar.clone(),
        archive: args.archive.clone(),
        keep: args.keep.clone(),
    }
}

/// Every way to spoil every image, which are made in directories of their own below `dir`.
fn jobs(args: &HostileArgs, tools: &Tools, dir: &Path) -> Result<Vec<Job>> {
    let wanted =
        |recipe: &&Recipe| args.recipe.is_empty() || args.recipe.iter().any(|name| name == recipe.name);
    let mut jobs = Vec::new();
    for recipe in RECIPES.iter().chain(OTHERS).chain(UNRESIZED).filter(wanted) {
        let place = dir.join(recipe.name);
        let good = Arc::new(match &args.answers {
            Some(answers) => recipe.take(&place, tools, &answers.with_added_extension("images"))?,
            None => recipe.make(&place, tools)?,
        });
        let all = match fields_of(recipe.format, &good) {
            Some(fields) => spoils_of(fields, &good),
            None => spoils(&good),
        };
        jobs.extend(all.into_iter().map(|spoil| Job { recipe, good: Arc::clone(&good), spoil }));
    }
    Ok(jobs)
}

fn judge_all(args: &HostileArgs, court: Court, jobs: Vec<Job>, dir: &Path) -> Result<Vec<Judged>> {
    let enough = AtomicBool::new(false);
    let one = |(i, job): (usize, Job)| {
        if enough.load(Ordering::SeqCst) {
            return None;
        }
        let result = judge(court, &job, dir, &dir.join(format!("image{i}"))).map_err(|e| format!("{e:#}"));
        let diverged = |sentences: &Vec<Sentence>| sentences.iter().any(Sentence::is_disagreement);
        if args.fail_fast && result.as_ref().map_or(true, diverged) {
            enough.store(true, Ordering::SeqCst);
        }
        Some(Judged { job, result })
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build()?;
    Ok(pool.install(|| jobs.into_par_iter().enumerate().with_max_len(1).filter_map(one).collect()))
}

/// Judges one in the directory `place`, with a copy of what lies beside the good image.
fn judge(court: Court, job: &Job, dir: &Path, place: &Path) -> Result<Vec<Sentence>> {
    in_directory(place, || {
        for beside in std::fs::read_dir(dir.join(job.recipe.name))? {
            let beside = beside?;
            if beside.file_name() != IMAGE {
                sparse::copy(&beside.path(), &place.join(beside.file_name()))?;
            }
        }
        Ok(court.judge(job.recipe, &job.spoil, &job.spoil.apply(&job.good), place)?)
    })
}
