//! Baseline versions in `oracle compare`: every instar carries the stored cases out, and is held to the stored answers.

use super::sum::Sum;
use super::{scratch, sweep};
use crate::equipment::Equipment;
use crate::grid::Grid;
use crate::pace::{Pace, Stopwatch};
use crate::tally::{Counts, Tally};
use anyhow::{Context, Result};
use oracle_baseline::{Case, Lab, Label, Outcome, Resizer, comparable, judge};
use oracle_case::Tools;
use oracle_judge::subject::run_tool;
use oracle_judge::{Subject, Version};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

pub use super::plan::Plan;

/// What the comparison with stored answers was.
#[derive(Debug, Default, Serialize)]
pub struct Recorded {
    /// How fast it went, if there was one. Cases that instar cannot do are not counted.
    pub pace: Option<Pace>,
    /// By part of an answer.
    pub oracles: Vec<(&'static str, Counts)>,
    /// The cases of the grid's last rows.
    #[serde(skip)]
    pub cases: Vec<Case>,
}

/// Which cases are put to instar, and how.
pub struct Request<'a> {
    /// The versions.
    pub plan: &'a Plan,
    /// Only cases of these formats, if any is named.
    pub formats: &'a [&'a str],
    /// Only this case.
    pub only: Option<&'a Case>,
    /// How many to run at a time; 0 for one per processor.
    pub jobs: usize,
    /// Whether to collect what both sides say where they differ.
    pub explain: bool,
}

/// Holds every instar of `equipment` to the stored answers that the plan wants, and with its matrix to those of the
/// versions that are here. What differs is added to `tally`, and a row for every case to `grid`.
///
/// # Errors
/// A case could not be carried out.
pub fn compare(
    request: &Request,
    equipment: &Equipment,
    tally: &mut Tally,
    grid: &mut Grid,
) -> Result<Recorded> {
    let stopwatch = Stopwatch::start(request.jobs);
    let asked = ask_all(request, equipment)?;
    grid.widen(&request.plan.stored);
    if asked.is_empty() {
        return Ok(Recorded::default());
    }
    let reader = version_of(&equipment.makers)?;
    let (able, unable): (Vec<usize>, Vec<usize>) =
        (0..asked.len()).partition(|i| asked.get(*i).is_some_and(|asked| comparable(&asked.case).is_ok()));
    let mut sum = Sum::new(equipment, request.plan, grid, &asked, request.explain);
    for instar in &equipment.instars {
        let engine = instar.options().last().cloned().unwrap_or_default();
        let resizer = Resizer::Instar { tool: instar.tool().clone(), engine };
        let lab = Lab { tools: equipment.makers.clone(), resizer, place: scratch() };
        let able: Vec<(usize, &Asked)> = able.iter().filter_map(|i| Some((*i, asked.get(*i)?))).collect();
        let cases: Vec<_> = able
            .iter()
            .map(|(_, asked)| (&asked.case, asked.answers.keys().cloned().collect::<Vec<Label>>()))
            .collect();
        unable.iter().filter_map(|i| Some((*i, asked.get(*i)?))).for_each(|(i, asked)| sum.unable(i, asked));
        let ours = sweep(&lab, &cases, request.jobs, instar.name(), |_, _| Ok(()))?;
        for ((i, asked), ours) in able.into_iter().zip(&ours) {
            for (label, theirs) in &asked.answers {
                let answered = judge(&asked.case, label, theirs, ours, &reader);
                let pair = super::sum::Pair { label, theirs, ours, reader: &reader };
                sum.add(i, instar.name(), &asked.case, &pair, answered);
            }
        }
    }
    let oracles = sum.finish(tally);
    let pace = stopwatch.stop(able.len());
    tally.cases += able.len();
    let cases = asked.into_iter().map(|asked| asked.case).collect();
    Ok(Recorded { pace: Some(pace), oracles, cases })
}

/// A case, and who answered what.
pub struct Asked {
    /// The case.
    pub case: Case,
    /// The answers.
    pub answers: BTreeMap<Label, Outcome>,
}

fn ask_all(request: &Request, equipment: &Equipment) -> Result<Vec<Asked>> {
    let wanted = |case: &Case| {
        request.only.is_none_or(|only| only == case)
            && (request.formats.is_empty() || request.formats.contains(&case.format.as_str()))
    };
    let entries = request.plan.store.entries().filter(|entry| wanted(&entry.case));
    let mut asked: Vec<Asked> = entries
        .map(|entry| {
            let stored = request.plan.stored.iter();
            let answers = stored.filter_map(|label| Some((label.clone(), entry.outcome(label)?.clone())));
            Asked { case: entry.case.clone(), answers: answers.collect() }
        })
        .collect();
    for qemu in equipment.qemus.iter().filter(|_| request.plan.matrix) {
        ask(qemu, &mut asked, request.jobs)?;
    }
    asked.retain(|asked| !asked.answers.is_empty());
    Ok(asked)
}

/// Asks a qemu-img that is here every case that an instar can do.
fn ask(qemu: &oracle_judge::Qemu, asked: &mut [Asked], jobs: usize) -> Result<()> {
    let (Some(io), Some(version)) = (qemu.io(), qemu.version()) else {
        return Ok(());
    };
    let tools = Tools { qemu_img: qemu.tool().clone(), qemu_io: io.clone() };
    let lab = Lab { tools, resizer: Resizer::Maker, place: scratch() };
    let (able, unable): (Vec<usize>, Vec<usize>) =
        (0..asked.len()).partition(|i| comparable(&asked[*i].case).is_ok());
    let cases: Vec<_> = able.iter().map(|i| (&asked[*i].case, Vec::new())).collect();
    let outcomes = sweep(&lab, &cases, jobs, qemu.name(), |_, _| Ok(()))?;
    for (i, outcome) in able.into_iter().zip(outcomes) {
        asked[i].answers.insert(Label::from(version.clone()), outcome);
    }
    // What no instar is held to need not be known; it counts as skipped.
    for i in unable {
        asked[i].answers.insert(Label::from(version.clone()), Outcome::Null);
    }
    Ok(())
}

fn version_of(tools: &Tools) -> Result<Version> {
    let banner = run_tool(&tools.qemu_img, Path::new("."), ["--version"])?;
    Version::from_banner(&banner.stdout).context("the qemu-img that makes the images says no version")
}
