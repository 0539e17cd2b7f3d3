//! `oracle minimize`: one case made smaller while it shows the same.

use crate::args::MinimizeArgs;
use crate::baseline::recorded;
use crate::campaign::run_case;
use crate::equipment::Equipment;
use crate::excuse::classes;
use crate::run::{self, in_directory, workplace};
use crate::shrink::{Limits, shrink};
use crate::{COULD_NOT_RUN, DIVERGED};
use anyhow::{Context, Result, bail};
use oracle_case::Case;
use oracle_judge::{Class, Known, known};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a case must go on showing, and with what that is seen.
pub struct Showing<'a> {
    /// What is compared.
    pub equipment: &'a Equipment,
    /// What is excused.
    pub known: &'a [Known],
    /// A directory to run cases in.
    pub work: &'a Path,
}

impl Showing<'_> {
    /// The classes that a case shows and that are not known divergences; none if it cannot be run.
    pub fn of(&self, case: &Case) -> BTreeSet<Class> {
        let judged = in_directory(self.work, || run_case(self.equipment, case, self.work));
        judged.map(|judged| classes(self.equipment, self.known, case, &judged)).unwrap_or_default()
    }

    /// The smallest case found that shows `class` and nothing that `case` does not show.
    pub fn smallest(&self, case: &Case, class: &Class, limits: &Limits) -> Case {
        let allowed = self.of(case);
        shrink(case, limits, |smaller| {
            let shown = self.of(smaller);
            shown.contains(class) && shown.is_subset(&allowed)
        })
    }
}

/// Makes a case smaller and writes it.
///
/// # Errors
/// It could not be run, or its file not be read or written.
pub fn minimize(args: &MinimizeArgs) -> Result<ExitCode> {
    let path = &args.case;
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let case = Case::from_json(&text).with_context(|| path.display().to_string())?;
    let known = known()?;
    let dir = workplace().context("temporary directory")?;
    let equipment = run::equipment(&args.common, &recorded::Plan::of(&args.common)?, dir.path())?;
    let showing = Showing { equipment: &equipment, known: &known, work: &dir.path().join("case") };
    let shown = showing.of(&case);
    let Some(class) = wanted(&equipment, &shown, args.class.as_deref())? else {
        println!("nothing diverges that is not known: {}", case.describe());
        return Ok(ExitCode::from(COULD_NOT_RUN));
    };
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let small = showing.smallest(&case, class, &Limits { runs: usize::MAX, until });
    let out = args.out.clone().unwrap_or_else(|| beside(path));
    let text = serde_json::to_string_pretty(&small)? + "\n";
    std::fs::write(&out, text).with_context(|| out.display().to_string())?;
    println!(
        "{class}\n  was {}\n  is  {}\n  written to {}",
        case.describe(),
        small.describe(),
        out.display()
    );
    Ok(ExitCode::from(DIVERGED))
}

/// The class that was asked for, or else the first in the order of the oracles.
fn wanted<'c>(
    equipment: &Equipment,
    shown: &'c BTreeSet<Class>,
    name: Option<&str>,
) -> Result<Option<&'c Class>> {
    let Some(name) = name else {
        let rank = |class: &&Class| equipment.oracles().iter().position(|o| o.name() == class.oracle);
        return Ok(shown.iter().min_by_key(rank));
    };
    let names: Vec<String> = shown.iter().map(ToString::to_string).collect();
    match shown.iter().find(|class| class.to_string() == name) {
        Some(class) => Ok(Some(class)),
        None => bail!("the case does not show {name}; it shows: {}", names.join(", ")),
    }
}

/// `x.json` becomes `x.min.json`.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("min.json")
}
