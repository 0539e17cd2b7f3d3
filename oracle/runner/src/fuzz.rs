//! `oracle fuzz`: cases until the time is up, of which only new kinds of divergence are kept.

use crate::args::{Common, FuzzArgs, OutputForm};
use crate::baseline::recorded;
use crate::keep::CLASSES;
use crate::run::{conclude, equipment, known_jobs, seeded, workplace};
use crate::session::{self, Plan};
use crate::{report, run};
use anyhow::{Context, Result};
use oracle_judge::known;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs cases until the time is up.
///
/// # Errors
/// The run could not be made, or a finding not be written.
pub fn fuzz(args: &FuzzArgs) -> Result<ExitCode> {
    let common = Common { keep: args.findings.clone(), ..args.common.clone() };
    let old = classes(&common.keep)?;
    let known = known()?;
    let dir = workplace().context("temporary directory")?;
    let equipment = equipment(&common, &recorded::Plan::of(&common)?, dir.path())?;
    if common.output == OutputForm::Human {
        let (seconds, seed, old) = (args.time.as_secs(), args.seed, old.len());
        report::equipment(
            &equipment,
            &format!("{seconds} s from seed {seed}; {old} kinds of divergence kept before"),
        );
    }
    let jobs = known_jobs(&common, &known);
    let plan = Plan {
        jobs: Box::new(jobs.into_iter().chain(seeded(args.seed, &args.format, args.common.is_pair()))),
        expected: None,
        until: Some(Instant::now() + args.time),
        complete: !common.is_pair(),
        fail_fast: false,
        explain: !common.report.is_empty(),
        threads: common.jobs,
    };
    let mut outcome: run::Outcome = session::run(plan, equipment, known, dir.path())?;
    outcome.forget(&old);
    conclude(&common, &outcome, dir.path())
}

/// Every class that a finding in `dir` names.
///
/// # Errors
/// A finding cannot be read.
pub fn classes(dir: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let Ok(entries) = fs::read_dir(dir) else { return Ok(found) };
    for entry in entries {
        let file = entry?.path().join(CLASSES);
        if file.is_file() {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            found.extend(text.lines().map(str::to_string));
        }
    }
    Ok(found)
}

/// A time as `90s`, `30m` or `8h`; a number alone is seconds.
pub fn duration(word: &str) -> Result<Duration, String> {
    let number = word.trim_end_matches(['s', 'm', 'h']);
    let unit = match &word[number.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        other => return Err(format!("there is no unit {other}: s, m or h")),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number with s, m or h".to_string())?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(|| "too long".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(duration("90").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("30m").unwrap(), Duration::from_secs(1800));
        assert_eq!(duration("8h").unwrap(), Duration::from_secs(28800));
        assert!(duration("mm").is_err());
        assert!(duration("3x").is_err());
        assert!(duration("9999999999999999999h").is_err());
    }
}
