//! What came of every case with every version, as much of it as a report shows.

use crate::campaign::{Job, Judged};
use crate::equipment::Equipment;
use crate::evidence::Evidence;
use crate::tally::Adder;
use oracle_baseline::Label;
use oracle_judge::{Class, Finding, Qemu, Subject, Verdict};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
    pub columns: Vec<Column>,
    /// One for each case, in order.
    pub rows: Vec<Row>,
    #[serde(skip)]
    kept: BTreeMap<String, usize>,
}

/// What the cells of a column are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Where the answers come from.
    pub origin: Origin,
    /// The version of qemu-img; empty for what is said of instar alone, both names of a pair.
    pub version: String,
}

/// Where the answers of a column come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// From instar alone.
    Alone,
    /// From a qemu-img that is here.
    Live,
    /// From a baseline.
    Baseline,
    /// From two subjects that were named.
    Pair,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Alone => f.write_str("alone"),
            Origin::Live => write!(f, "qemu-img {}", self.version),
            Origin::Baseline => write!(f, "qemu-img {} (baseline)", self.version),
            Origin::Pair => f.write_str(&self.version),
        }
    }
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
    /// What `finding` says of `left`.
    pub fn new(left: &str, finding: &Finding, known: Vec<String>, evidence: Option<Arc<Evidence>>) -> Self {
        Self {
            class: finding.class.to_string(),
            field: finding.class.field.clone(),
            left: left.into(),
            detail: finding.detail.chars().take(MAX_DETAIL).collect(),
            known,
            evidence,
        }
    }

    /// Whether it is a known divergence.
    pub fn is_known(&self) -> bool {
        !self.known.is_empty()
    }
}

impl Cell {
    /// Whether anything was asked at all.
    pub fn is_empty(&self) -> bool {
        self.agree + self.skip + self.found.len() == 0
    }

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
    /// One without rows. Its first column is for what oracles say of instar alone; a pair has one column.
    pub fn new(equipment: &Equipment) -> Self {
        if let Some(pair) = &equipment.pair {
            let column = Column { origin: Origin::Pair, version: pair.title() };
            return Self { columns: vec![column], ..Self::default() };
        }
        let version = |qemu: &Qemu| qemu.version().map_or_else(|| qemu.name().into(), ToString::to_string);
        let live = equipment.qemus.iter().map(|qemu| Column { origin: Origin::Live, version: version(qemu) });
        let alone = Column { origin: Origin::Alone, version: String::new() };
        Self { columns: std::iter::once(alone).chain(live).collect(), ..Self::default() }
    }

    /// Adds a column for each of these versions of baselines.
    pub fn widen(&mut self, labels: &BTreeSet<Label>) {
        let column = |label: &Label| Column { origin: Origin::Baseline, version: label.to_string() };
        self.columns.extend(labels.iter().map(column));
        self.rows.iter_mut().for_each(|row| row.cells.resize(self.columns.len(), Cell::default()));
    }

    /// The column of a version and an origin.
    pub fn column(&self, origin: Origin, label: &Label) -> Option<usize> {
        let wanted = Column { origin, version: label.to_string() };
        self.columns.iter().position(|column| *column == wanted)
    }

    /// Counts a finding, and says whether it is one of the first of its class and known divergences, which keep their
    /// documents.
    pub fn worth_evidence(&mut self, class: &Class, known: &[String]) -> bool {
        let kept = self.kept.entry(format!("{class} {known:?}")).or_default();
        *kept += 1;
        *kept <= EVIDENCE_EACH
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

    fn found(&mut self, adder: &Adder, job: &Job, judged: &Judged, finding: &Finding) -> Found {
        let known: Vec<String> =
            adder.excuses(job, judged, finding).iter().map(|known| known.id.clone()).collect();
        let worth = self.worth_evidence(&finding.class, &known);
        Found::new(&judged.left, finding, known, judged.evidence.clone().filter(|_| worth))
    }
}
