//! What came of every case with every version, as much of it as a report shows.

use crate::campaign::{Job, Judged};
use crate::equipment::Equipment;
use crate::evidence::Evidence;
use crate::tally::Adder;
use oracle_judge::{Subject, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many drill-downs keep their documents for each class and known divergence: a campaign may have
/// thousands, and the first few show it.
const EVIDENCE_EACH: usize = 8;
/// How many characters are kept of what an oracle says.
const MAX_DETAIL: usize = 1000;

/// Cases down, versions across.
#[derive(Debug, Default, Serialize)]
pub struct Grid {
    /// What the cells of a row are about: what instar was held to.
    pub columns: Vec<String>,
    /// One for each case, in order.
    pub rows: Vec<Row>,
    #[serde(skip)]
    kept: BTreeMap<String, usize>,
}

/// A case.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What it is called.
    pub label: String,
    /// What it does, in one line.
    pub describe: String,
    /// Why it could not be run, if it could not.
    pub failure: Option<String>,
    /// One for each column.
    pub cells: Vec<Cell>,
}

/// What the oracles said of a case and a version.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cell {
    /// How many agreed.
    pub agree: usize,
    /// How many had nothing to say.
    pub skip: usize,
    /// What differed, known or not.
    pub found: Vec<Found>,
}

/// One thing that differed.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Its class.
    pub class: String,
    /// The field that differs.
    pub field: String,
    /// The subject under test.
    pub left: String,
    /// One line for a person.
    pub detail: String,
    /// The known divergences that excuse it; none if it is not known.
    pub known: Vec<String>,
    /// Both sides' documents, for the first few of a kind.
    #[serde(serialize_with = "pointee")]
    pub evidence: Option<Arc<Evidence>>,
}

fn pointee<S: serde::Serializer>(evidence: &Option<Arc<Evidence>>, to: S) -> Result<S::Ok, S::Error> {
    evidence.as_deref().serialize(to)
}

/// What a cell comes to, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Nobody had anything to say.
    Skip,
    /// Nothing differs.
    Agree,
    /// What differs is known.
    Known,
    /// Something differs that is not known.
    Disagree,
}

impl Status {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Agree => "agree",
            Self::Known => "known",
            Self::Disagree => "disagree",
        }
    }
}

impl Found {
    /// Whether it is a known divergence.
    pub fn is_known(&self) -> bool {
        !self.known.is_empty()
    }
}

impl Cell {
    /// What it comes to.
    pub fn status(&self) -> Status {
        if self.found.iter().any(|found| !found.is_known()) {
            Status::Disagree
        } else if !self.found.is_empty() {
            Status::Known
        } else if self.agree > 0 {
            Status::Agree
        } else {
            Status::Skip
        }
    }
}

impl Row {
    /// The worst of its cells.
    pub fn status(&self) -> Status {
        self.cells.iter().map(Cell::status).max().unwrap_or(Status::Skip)
    }
}

impl Grid {
    /// One without rows. Its first column is for what oracles say of instar alone.
    pub fn new(equipment: &Equipment) -> Self {
        let mut columns = vec!["alone".to_string()];
        columns.extend(equipment.qemus.iter().map(|qemu| qemu.name().to_string()));
        Self { columns, ..Self::default() }
    }

    /// Adds what came of one case.
    pub fn add(&mut self, adder: &Adder, job: &Job, result: &Result<Vec<Judged>, String>) {
        let mut row = Row {
            label: job.label.clone(),
            describe: job.case.describe(),
            failure: result.as_ref().err().cloned(),
            cells: vec![Cell::default(); self.columns.len()],
        };
        for judged in result.iter().flatten() {
            let column = judged.right.map_or(0, |right| right + 1);
            let Some(cell) = row.cells.get_mut(column) else { continue };
            match &judged.verdict {
                Verdict::Agree => cell.agree += 1,
                Verdict::Skip(_) => cell.skip += 1,
                Verdict::Disagree(findings) => {
                    cell.found.extend(findings.iter().map(|finding| self.found(adder, job, judged, finding)));
                }
            }
        }
        self.rows.push(row);
    }

    fn found(&mut self, adder: &Adder, job: &Job, judged: &Judged, finding: &oracle_judge::Finding) -> Found {
        let known: Vec<String> =
            adder.excuses(job, judged, finding).iter().map(|known| known.id.clone()).collect();
        let class = finding.class.to_string();
        let kept = self.kept.entry(format!("{class} {known:?}")).or_default();
        *kept += 1;
        Found {
            evidence: judged.evidence.clone().filter(|_| *kept <= EVIDENCE_EACH),
            field: finding.class.field.clone(),
            left: judged.left.clone(),
            detail: finding.detail.chars().take(MAX_DETAIL).collect(),
            class,
            known,
        }
    }
}
