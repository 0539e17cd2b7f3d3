//! Adding up what came of holding instar to the answers of baselines: the counts, the groups of what differs, and a
//! row of the grid for every case.

use super::plan::Plan;
use super::recorded::Asked;
use crate::cause::causes;
use crate::equipment::Equipment;
use crate::evidence::Evidence;
use crate::grid::{Cell, Found, Grid, Origin, Row};
use crate::tally::{Counts, Group, Tally};
use oracle_baseline::{ANSWERS, Answered, Case, Label, Outcome, comparable, compared, explained};
use oracle_judge::{Class, Finding, Subject, Verdict, Version};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The two sides of a comparison.
pub struct Pair<'a> {
    /// The version that answered.
    pub label: &'a Label,
    /// Its answer.
    pub theirs: &'a Outcome,
    /// Instar's.
    pub ours: &'a Outcome,
    /// The version that read instar's image.
    pub reader: &'a Version,
}

/// The sum so far.
pub struct Sum<'g> {
    grid: &'g mut Grid,
    /// Index of the first case's row.
    first: usize,
    columns: BTreeMap<Label, usize>,
    explain: bool,
    counts: BTreeMap<&'static str, Counts>,
    groups: BTreeMap<Class, Group>,
    known: BTreeMap<String, usize>,
    /// Known divergences whose own case was judged.
    checked: BTreeSet<&'static str>,
    /// Those that it showed.
    shown: BTreeSet<&'static str>,
}

impl<'g> Sum<'g> {
    /// One with a row in `grid` for each of `asked`.
    pub fn new(
        equipment: &Equipment,
        plan: &Plan,
        grid: &'g mut Grid,
        asked: &[Asked],
        explain: bool,
    ) -> Self {
        let live = equipment.qemus.iter().filter(|_| plan.matrix).filter_map(Subject::version);
        let live = live.cloned().map(|version| (Origin::Live, Label::from(version)));
        let stored = plan.stored.iter().map(|label| (Origin::Baseline, label.clone()));
        let column = |(origin, label): (Origin, Label)| Some((label.clone(), grid.column(origin, &label)?));
        let columns = stored.chain(live).filter_map(column).collect();
        let first = grid.rows.len();
        let width = grid.columns.len();
        grid.rows.extend(asked.iter().map(|asked| Row {
            label: label(&asked.case),
            describe: asked.case.name(),
            failure: None,
            cells: vec![Cell::default(); width],
        }));
        Self {
            grid,
            first,
            columns,
            explain,
            counts: BTreeMap::new(),
            groups: BTreeMap::new(),
            known: BTreeMap::new(),
            checked: BTreeSet::new(),
            shown: BTreeSet::new(),
        }
    }

    fn cell(&mut self, index: usize, label: &Label) -> Option<&mut Cell> {
        let column = *self.columns.get(label)?;
        self.grid.rows.get_mut(self.first + index)?.cells.get_mut(column)
    }

    /// Adds a case that no instar can do, once for each instar.
    pub fn unable(&mut self, index: usize, asked: &Asked) {
        let why = comparable(&asked.case).err().unwrap_or_default();
        for (oracle, _) in ANSWERS {
            let counts = self.counts.entry(oracle).or_default();
            counts.skip += asked.answers.len();
            *counts.skipped_because.entry(why.clone()).or_default() += asked.answers.len();
        }
        for label in asked.answers.keys() {
            if let Some(cell) = self.cell(index, label) {
                cell.skip += ANSWERS.len();
            }
        }
    }

    /// Adds what came of one case, an instar and a version.
    pub fn add(&mut self, index: usize, instar: &str, case: &Case, pair: &Pair, answered: Vec<Answered>) {
        let (evidence, key) = (OnceCell::new(), case.key());
        let own = || explained().iter().filter(|e| e.case == key).map(|e| e.id);
        for one in answered {
            self.count(&one);
            if !matches!(one.verdict, Verdict::Skip(_)) && resized(pair.theirs) {
                self.checked.extend(own());
            }
            for id in one.known() {
                *self.known.entry(id.into()).or_default() += 1;
                self.shown.extend(own().filter(|own| *own == id));
            }
            if let Some(cell) = self.cell(index, pair.label) {
                match &one.verdict {
                    Verdict::Agree if one.excused.is_empty() => cell.agree += 1,
                    Verdict::Skip(_) => cell.skip += 1,
                    _ => {}
                }
            }
            for excused in one.excused {
                let known = vec![excused.id.to_string()];
                self.put(index, instar, pair, &excused.finding, known, &evidence);
            }
            let Verdict::Disagree(findings) = one.verdict else { continue };
            for finding in findings {
                self.put(index, instar, pair, &finding, Vec::new(), &evidence);
                self.add_finding(index, case, instar, pair.label, finding);
            }
        }
    }

    fn count(&mut self, answered: &Answered) {
        let counts = self.counts.entry(answered.oracle).or_default();
        match &answered.verdict {
            Verdict::Agree if answered.excused.is_empty() => counts.agree += 1,
            Verdict::Agree => counts.known += 1,
            Verdict::Skip(why) => {
                counts.skip += 1;
                *counts.skipped_because.entry(why.clone()).or_default() += 1;
            }
            Verdict::Disagree(_) => counts.disagree += 1,
        }
    }

    /// Puts what differs into its cell, with both documents if it is one of the first of its kind.
    fn put(
        &mut self,
        index: usize,
        instar: &str,
        pair: &Pair,
        finding: &Finding,
        known: Vec<String>,
        evidence: &OnceCell<Arc<Evidence>>,
    ) {
        let column = self.column(pair.label);
        let gather = || {
            let (ours, theirs) = compared(pair.label, pair.theirs, pair.ours, pair.reader);
            Arc::new(Evidence::of((instar.to_string(), ours), (column.clone(), theirs)))
        };
        let worth = self.explain && self.grid.worth_evidence(&finding.class, &known);
        let evidence = worth.then(|| Arc::clone(evidence.get_or_init(gather)));
        if let Some(cell) = self.cell(index, pair.label) {
            cell.found.push(Found::new(instar, finding, known, evidence));
        }
    }

    fn add_finding(&mut self, index: usize, case: &Case, instar: &str, version: &Label, finding: Finding) {
        let between = format!("{instar} and {}", self.column(version));
        let row = self.first + index;
        let new = || Group::new(finding.class.clone(), &label(case), row, &finding.detail);
        let group = self.groups.entry(finding.class.clone()).or_insert_with(new);
        group.count += 1;
        group.jobs.insert(row);
        group.between.insert(between);
    }

    fn column(&self, label: &Label) -> String {
        let column = self.columns.get(label).and_then(|column| self.grid.columns.get(*column));
        column.map_or_else(|| label.to_string(), ToString::to_string)
    }

    /// Adds the sum to `tally`, and returns the counts. A known divergence is stale if its own case does not show it.
    pub fn finish(mut self, tally: &mut Tally) -> Vec<(&'static str, Counts)> {
        for id in self.checked.difference(&self.shown) {
            if !tally.stale.iter().any(|stale| stale == id) {
                tally.stale.push((*id).to_string());
            }
        }
        for (id, count) in self.known {
            *tally.known.entry(id).or_default() += count;
        }
        tally.groups.extend(self.groups.into_values());
        tally.causes = causes(&tally.groups);
        let counts = ANSWERS.iter().map(|(name, _)| (*name, self.counts.remove(name).unwrap_or_default()));
        let counts: Vec<_> = counts.collect();
        tally.oracles.extend(counts.iter().cloned());
        counts
    }
}

/// What a row of a case is called.
fn label(case: &Case) -> String {
    format!("baseline {}", case.key())
}

/// Whether every resize was accepted: only then is there a result in which something may differ.
fn resized(outcome: &Outcome) -> bool {
    let accepted = |resizes: &Vec<serde_json::Value>| resizes.iter().all(|resize| resize["rc"] == 0);
    outcome["resizes"].as_array().is_some_and(accepted)
}

#[cfg(test)]
mod tests;
