//! Keeping what shows a finding: the case, shrunk, and the images of one run of it.

use crate::args::{Common, Source};
use crate::campaign::{Job, run_case};
use crate::cause::Cause;
use crate::minimize::Showing;
use crate::run::{Outcome, in_directory};
use crate::shrink::{Limits, weight};
use crate::tally::Group;
use anyhow::{Context, Result};
use oracle_case::parts::is_part;
use oracle_judge::{Class, sparse, subject::IMAGE};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file of a finding that names its classes, one a line, the one to read first.
pub const CLASSES: &str = "classes.txt";
/// Where baselines are, unless it is said.
const BASELINES: &str = "baselines";
/// How many findings are kept and shrunk; more than that nobody reads.
const MAX_FINDINGS: usize = 12;
/// How many cases are tried to shrink one.
const SHRINK_RUNS: usize = 100;
/// How long to go on starting such tries for one finding.
const SHRINK_TIME: Duration = Duration::from_secs(10);
/// How long to go on running cases again for all findings: one that hangs takes its time every time.
const KEEP_TIME: Duration = Duration::from_secs(60);

/// What was kept of one finding.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The case's file.
    pub case: PathBuf,
    /// What the case does, in one line.
    pub describe: String,
    /// What `oracle replay` must be told besides the file.
    pub options: String,
}

/// Keeps one shrunk case with its images for every finding, in their order.
///
/// # Errors
/// The directory cannot be written.
pub fn keep(outcome: &Outcome, args: &Common, scratch: &Path) -> Result<Vec<Kept>> {
    let end = Instant::now() + KEEP_TIME;
    let causes = outcome.tally.causes.iter().take(MAX_FINDINGS);
    causes.map(|cause| keep_cause(outcome, cause, args, scratch, end)).collect()
}

fn keep_cause(outcome: &Outcome, cause: &Cause, args: &Common, scratch: &Path, end: Instant) -> Result<Kept> {
    let group = cause.first(&outcome.tally.groups).context("a finding without a class")?;
    let place = args.keep.join(slug(&group.class));
    std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let classes = cause.groups.iter().filter_map(|i| outcome.tally.groups.get(*i));
    put(&place.join(CLASSES), &classes.map(|group| format!("{}\n", group.class)).collect::<String>())?;
    let file = place.join("case.json");
    let Some(Job { case, .. }) = simplest(outcome, group) else {
        return keep_recorded(outcome, group, args, file);
    };
    let work = scratch.join("shrink");
    let limits = Limits { runs: SHRINK_RUNS, until: end.min(Instant::now() + SHRINK_TIME) };
    let showing = Showing { equipment: &outcome.equipment, known: &outcome.known, work: &work };
    let small = showing.smallest(case, &group.class, &limits);
    put(&file, &(serde_json::to_string_pretty(&small)? + "\n"))?;
    let options = outcome.equipment.pair.as_ref().map(|pair| pair.options.clone()).unwrap_or_default();
    let kept = Kept { case: file, describe: small.describe(), options };
    if Instant::now() > end {
        return Ok(kept);
    }
    in_directory(&work, || {
        // A case that fails to run again has no images to keep.
        let _ = run_case(&outcome.equipment, &small, &work);
        keep_images(&work, &place, "")
    })?;
    Ok(kept)
}

/// Keeps the shortest of a group's cases of baselines, which are small as they are.
fn keep_recorded(outcome: &Outcome, group: &Group, args: &Common, file: PathBuf) -> Result<Kept> {
    let texts = group.jobs.iter().filter_map(|row| {
        let case = outcome.recorded.cases.get(row.checked_sub(outcome.jobs.len())?)?;
        Some((serde_json::to_string_pretty(case).ok()?, case))
    });
    let (text, case) = texts.min_by_key(|(text, _)| text.len()).context("a group without a case")?;
    put(&file, &(text + "\n"))?;
    Ok(Kept { case: file, describe: case.name(), options: asked(args) })
}

/// The options that say which versions were asked, and where.
fn asked(args: &Common) -> String {
    let mut words: Vec<String> = args.qemu.iter().map(|word| format!(" --qemu {word}")).collect();
    words.push(match args.from {
        Source::Auto => String::new(),
        Source::Live => " --from live".into(),
        Source::Baseline => " --from baseline".into(),
    });
    if args.baselines != Path::new(BASELINES) {
        words.push(format!(" --baselines {}", args.baselines.display()));
    }
    words.push(if args.matrix { " --matrix".into() } else { String::new() });
    words.concat()
}

/// The case with least to it that has a finding of this group: the nearest to what shrinking can reach.
fn simplest<'o>(outcome: &'o Outcome, group: &Group) -> Option<&'o Job> {
    group.jobs.iter().filter_map(|i| outcome.jobs.get(*i)).min_by_key(|job| weight(&job.case))
}

fn put(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| file.display().to_string())
}

/// A class as a directory's name.
fn slug(class: &Class) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    class.to_string().chars().map(letter).collect()
}

/// Copies every image below `from` and what belongs to it, named after the directories it lies in.
fn keep_images(from: &Path, to: &Path, name: &str) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let own = entry.file_name().to_string_lossy().into_owned();
        if own == IMAGE {
            sparse::copy(&entry.path(), &to.join(format!("{name}.img")))?;
        } else if is_part(&own) {
            sparse::copy(&entry.path(), &to.join(format!("{name}.{own}")))?;
        } else if entry.path().is_dir() && !own.starts_with("scratch") {
            let name = if name.is_empty() { own } else { format!("{name}-{own}") };
            keep_images(&entry.path(), to, &name)?;
        }
    }
    Ok(())
}
