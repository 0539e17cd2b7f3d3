//! Counting verdicts and grouping findings.

use crate::campaign::{Job, Judged};
use crate::cause::{Cause, causes};
use crate::equipment::Equipment;
use crate::excuse::excuses;
use oracle_judge::{Class, Finding, Known, Subject, Verdict};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What one oracle said in all trials.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Trials in which nothing differed.
    pub agree: usize,
    /// Trials in which the oracle had nothing to say.
    pub skip: usize,
    /// Trials in which everything that differed is known.
    pub known: usize,
    /// Trials in which something differed that is not known.
    pub disagree: usize,
    /// Why trials were skipped, and how many.
    pub skipped_because: BTreeMap<String, usize>,
}

/// Findings of one class.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// The class.
    pub class: Class,
    /// How many trials have one.
    pub count: usize,
    /// Who differs from whom.
    pub between: BTreeSet<String>,
    /// The first case that has one.
    pub label: String,
    /// Index of that case among the jobs.
    #[serde(skip)]
    pub job: usize,
    /// Indices of all cases that have one.
    #[serde(skip)]
    pub jobs: BTreeSet<usize>,
    /// What was found there.
    pub detail: String,
}

impl Group {
    /// A group without findings yet.
    pub fn new(class: Class, label: &str, job: usize, detail: &str) -> Self {
        Self {
            class,
            count: 0,
            between: BTreeSet::new(),
            label: label.into(),
            job,
            jobs: BTreeSet::new(),
            detail: detail.into(),
        }
    }
}

/// The sum of a campaign.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// Cases that were judged.
    pub cases: usize,
    /// By oracle, in the oracles' order.
    pub oracles: Vec<(&'static str, Counts)>,
    /// What is not known, by class.
    pub groups: Vec<Group>,
    /// The same by probable cause, most seen first.
    #[serde(skip)]
    pub causes: Vec<Cause>,
    /// How often each known divergence was met.
    pub known: BTreeMap<String, usize>,
    /// Known divergences that their own case does not show any more.
    pub stale: Vec<String>,
    /// Known divergences of versions that are not here.
    pub unchecked: Vec<String>,
    /// Cases that could not be run, and why.
    pub failures: Vec<(String, String)>,
}

/// Adds up, in the order of the cases.
pub struct Adder<'a> {
    equipment: &'a Equipment,
    known: &'a [Known],
    counts: BTreeMap<&'static str, Counts>,
    groups: BTreeMap<Class, Group>,
    shown: BTreeSet<String>,
    tally: Tally,
}

impl<'a> Adder<'a> {
    /// Nothing yet.
    pub fn new(equipment: &'a Equipment, known: &'a [Known]) -> Self {
        Self {
            equipment,
            known,
            counts: BTreeMap::new(),
            groups: BTreeMap::new(),
            shown: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    /// Adds what came of one case.
    pub fn add(&mut self, index: usize, job: &Job, result: &Result<Vec<Judged>, String>) {
        match result {
            Err(why) => self.tally.failures.push((job.label.clone(), why.clone())),
            Ok(judged) => {
                self.tally.cases += 1;
                for one in judged {
                    self.add_verdict(index, job, one);
                }
            }
        }
    }

    fn add_verdict(&mut self, index: usize, job: &Job, judged: &Judged) {
        let mut fresh = 0;
        if let Verdict::Disagree(findings) = &judged.verdict {
            fresh = findings.iter().filter(|f| !self.is_known(job, judged, f)).count();
            for finding in findings {
                if !self.is_known(job, judged, finding) {
                    self.add_finding(index, job, judged, finding);
                } else {
                    self.add_known(job, judged, finding);
                }
            }
        }
        let counts = self.counts.entry(judged.oracle).or_default();
        match &judged.verdict {
            Verdict::Agree => counts.agree += 1,
            Verdict::Skip(why) => {
                counts.skip += 1;
                *counts.skipped_because.entry(why.clone()).or_default() += 1;
            }
            Verdict::Disagree(_) if fresh == 0 => counts.known += 1,
            Verdict::Disagree(_) => counts.disagree += 1,
        }
    }

    /// The known divergences that excuse a finding.
    pub fn excuses(&self, job: &Job, judged: &Judged, finding: &Finding) -> Vec<&'a Known> {
        excuses(self.equipment, self.known, &job.case, judged, finding)
    }

    fn is_known(&self, job: &Job, judged: &Judged, finding: &Finding) -> bool {
        !self.excuses(job, judged, finding).is_empty()
    }

    fn add_known(&mut self, job: &Job, judged: &Judged, finding: &Finding) {
        for entry in self.excuses(job, judged, finding) {
            *self.tally.known.entry(entry.id.clone()).or_default() += 1;
            if job.shows.as_ref() == Some(&entry.id) {
                self.shown.insert(entry.id.clone());
            }
        }
    }

    fn add_finding(&mut self, index: usize, job: &Job, judged: &Judged, finding: &Finding) {
        let other = self.equipment.right_name(judged.right).unwrap_or("itself");
        let between = format!("{} and {other}", judged.left);
        let new = || Group::new(finding.class.clone(), &job.label, index, &finding.detail);
        let group = self.groups.entry(finding.class.clone()).or_insert_with(new);
        group.count += 1;
        group.jobs.insert(index);
        group.between.insert(between);
    }

    /// The sum; `complete` if every known divergence had its case run.
    pub fn finish(mut self, complete: bool) -> Tally {
        let mut counts = std::mem::take(&mut self.counts);
        self.tally.oracles = self
            .equipment
            .oracles()
            .iter()
            .map(|o| (o.name(), counts.remove(o.name()).unwrap_or_default()))
            .collect();
        self.tally.groups = self.groups.into_values().collect();
        self.tally.groups.sort_by_key(|g| (g.job, g.class.clone()));
        self.tally.causes = causes(&self.tally.groups);
        let versions: Vec<_> = self.equipment.qemus.iter().filter_map(Subject::version).collect();
        for entry in self.known.iter().filter(|_| complete) {
            if !entry.concerns(&versions) {
                self.tally.unchecked.push(entry.id.clone());
            } else if !self.shown.contains(&entry.id) {
                self.tally.stale.push(entry.id.clone());
            }
        }
        self.tally
    }
}
