//! Keeping what shows a finding: the case, shrunk, and the images of one run of it.

use crate::campaign::run_case;
use crate::run::{Outcome, in_directory};
use crate::shrink::shrink;
use crate::tally::Group;
use anyhow::{Context, Result};
use oracle_case::Case;
use oracle_judge::{Class, sparse, subject::IMAGE};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many groups are kept and shrunk; more than that have one cause, or nobody reads them.
const MAX_GROUPS: usize = 12;
/// How many cases are tried to shrink one.
const SHRINK_RUNS: usize = 40;
/// How long to go on starting such tries for one group.
const SHRINK_TIME: Duration = Duration::from_secs(10);
/// How long to go on running cases again for all groups: one that hangs takes its time every time.
const KEEP_TIME: Duration = Duration::from_secs(60);

/// What was kept of one group.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The case's file.
    pub case: PathBuf,
    /// What the case does, in one line.
    pub describe: String,
}

/// Keeps one shrunk case with its images for every group, in the order of the groups.
///
/// # Errors
/// The directory cannot be written.
pub fn keep(outcome: &Outcome, into: &Path, scratch: &Path) -> Result<Vec<Kept>> {
    let end = Instant::now() + KEEP_TIME;
    let groups = outcome.tally.groups.iter().take(MAX_GROUPS);
    groups.map(|group| keep_group(outcome, group, into, scratch, end)).collect()
}

fn keep_group(outcome: &Outcome, group: &Group, into: &Path, scratch: &Path, end: Instant) -> Result<Kept> {
    let place = into.join(slug(&group.class));
    std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let case = &outcome.jobs.get(group.job).context("a group without a case")?.case;
    let work = scratch.join("shrink");
    let until = end.min(Instant::now() + SHRINK_TIME);
    let shows = |case: &Case| {
        if Instant::now() > until {
            return false;
        }
        let judged = in_directory(&work, || run_case(&outcome.equipment, case, &work));
        judged.is_ok_and(|judged| has(&judged, &group.class))
    };
    let small = shrink(case, SHRINK_RUNS, shows);
    let file = place.join("case.json");
    let text = serde_json::to_string_pretty(&small)? + "\n";
    std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    if Instant::now() > end {
        return Ok(Kept { case: file, describe: small.describe() });
    }
    in_directory(&work, || {
        // A case that fails to run again has no images to keep.
        let _ = run_case(&outcome.equipment, &small, &work);
        keep_images(&work, &place, "")
    })?;
    Ok(Kept { case: file, describe: small.describe() })
}

fn has(judged: &[crate::campaign::Judged], class: &Class) -> bool {
    judged.iter().any(|one| match &one.verdict {
        oracle_judge::Verdict::Disagree(findings) => findings.iter().any(|f| f.class == *class),
        _ => false,
    })
}

/// A class as a directory's name.
fn slug(class: &Class) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    class.to_string().chars().map(letter).collect()
}

/// Copies every image below `from`, named after the directories it lies in.
fn keep_images(from: &Path, to: &Path, name: &str) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let own = entry.file_name().to_string_lossy().into_owned();
        if own == IMAGE {
            sparse::copy(&entry.path(), &to.join(format!("{name}.img")))?;
        } else if entry.path().is_dir() && !own.starts_with("scratch") {
            let name = if name.is_empty() { own } else { format!("{name}-{own}") };
            keep_images(&entry.path(), to, &name)?;
        }
    }
    Ok(())
}
