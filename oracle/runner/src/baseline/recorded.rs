//! Baseline versions in `oracle compare`: every instar carries the stored cases out, and is held to the stored answers.

use super::{scratch, sweep};
use crate::args::{Common, Source};
use crate::equipment::Equipment;
use crate::tally::Counts;
use anyhow::{Context, Result, anyhow};
use oracle_baseline::{ANSWERS, Answered, Case, Lab, Label, Outcome, Resizer, Store, judge, supported};
use oracle_case::Tools;
use oracle_judge::subject::run_tool;
use oracle_judge::{Class, Finding, Subject, Verdict, Version};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What was found by comparing with stored answers.
#[derive(Debug, Default, Serialize)]
pub struct Recorded {
    /// Cases that were carried out.
    pub cases: usize,
    /// By part of an answer.
    pub oracles: Vec<(&'static str, Counts)>,
    /// What is not known, by class.
    pub divergences: Vec<Diverged>,
    /// How often each known divergence was met.
    pub known: BTreeMap<String, usize>,
}

/// Findings of one class.
#[derive(Debug, Serialize)]
pub struct Diverged {
    /// The class.
    pub class: Class,
    /// How many there are.
    pub count: usize,
    /// Who differs from whom.
    pub between: BTreeSet<String>,
    /// The key of the first case.
    pub key: String,
    /// What was found there.
    pub detail: String,
}

/// The versions that are asked for and that are compared with from baselines.
pub struct Plan {
    store: Store,
    /// Words that the archive knows.
    pub live: Vec<String>,
    /// Versions whose stored answers are used.
    pub stored: BTreeSet<Label>,
    /// Whether the matrix is asked of the versions that are here, too.
    matrix: bool,
}

impl Plan {
    /// Finds out where each version that `args` asks for is to be had.
    ///
    /// # Errors
    /// There is no such version, or the baselines cannot be read.
    pub fn of(args: &Common) -> Result<Self> {
        let archive = crate::archive::Archive::at(args.archive.as_deref())?;
        let store = Store::load(&args.baselines)?;
        let mut plan = Self { store, live: Vec::new(), stored: BTreeSet::new(), matrix: args.matrix };
        for word in &args.qemu {
            match word.as_str() {
                "live" => plan.live.push("all".into()),
                "all" => plan.add_all(&archive, args.from)?,
                word => plan.add(&archive, args.from, word)?,
            }
        }
        Ok(plan)
    }

    fn add_all(&mut self, archive: &crate::archive::Archive, from: Source) -> Result<()> {
        let here: BTreeSet<Version> = archive.entries()?.into_iter().map(|entry| entry.version).collect();
        if from != Source::Baseline && !here.is_empty() {
            self.live.push("all".into());
        }
        if from != Source::Live {
            let labels = self.store.labels().into_iter();
            let other = |label: &Label| from == Source::Baseline || !here.contains(&label.version);
            self.stored.extend(labels.filter(other));
        }
        Ok(())
    }

    fn add(&mut self, archive: &crate::archive::Archive, from: Source, word: &str) -> Result<()> {
        let live = archive.select(word);
        match (from, live, self.store.select(word)) {
            (Source::Auto | Source::Live, Ok(_), _) => self.live.push(word.into()),
            (Source::Auto | Source::Baseline, _, Some(label)) => {
                self.stored.insert(label);
            }
            (Source::Baseline, _, None) => {
                return Err(anyhow!("no baseline has answers of qemu-img {word}; {}", self.known()));
            }
            (_, Err(e), _) => return Err(anyhow!("{e:#}; {}", self.known())),
        }
        Ok(())
    }

    fn known(&self) -> String {
        let labels: Vec<String> = self.store.labels().iter().map(ToString::to_string).collect();
        format!("the baselines have {}", if labels.is_empty() { "none".into() } else { labels.join(", ") })
    }

    /// What is used of the baselines, for people.
    pub fn notes(&self) -> Vec<String> {
        self.stored
            .iter()
            .map(|label| {
                let cases = self.store.entries().filter(|entry| entry.outcome(label).is_some()).count();
                format!("qemu-img {label:<9} from its baseline of {cases} cases")
            })
            .collect()
    }
}

/// Holds every instar of `equipment` to the stored answers that `plan` wants, and with its matrix to those of the
/// versions that are here.
///
/// # Errors
/// A case could not be carried out.
pub fn compare(plan: &Plan, args: &Common, formats: &[&str], equipment: &Equipment) -> Result<Recorded> {
    let mut sum = Sum::default();
    let answers = answers(plan, args, formats, equipment)?;
    if answers.is_empty() {
        return Ok(Recorded::default());
    }
    let reader = version_of(&equipment.makers)?;
    for instar in &equipment.instars {
        let engine = instar.options().last().cloned().unwrap_or_default();
        let resizer = Resizer::Instar { tool: instar.tool().clone(), engine };
        let lab = Lab { tools: equipment.makers.clone(), resizer, place: scratch() };
        let able: Vec<&Asked> = answers.iter().filter(|asked| supported(&asked.case).is_ok()).collect();
        for asked in answers.iter().filter(|asked| supported(&asked.case).is_err()) {
            sum.unable(asked);
        }
        let cases: Vec<_> = able
            .iter()
            .map(|asked| (&asked.case, asked.answers.keys().cloned().collect::<Vec<Label>>()))
            .collect();
        let ours = sweep(&lab, &cases, args.jobs, instar.name(), |_, _| Ok(()))?;
        for (asked, ours) in able.iter().zip(&ours) {
            for (label, recorded) in &asked.answers {
                let answered = judge(&asked.case, label, recorded, ours, &reader);
                let between = format!("{} and qemu-img {label}", instar.name());
                answered.into_iter().for_each(|one| sum.add(&asked.case, &between, one));
            }
        }
    }
    sum.cases = answers.len();
    sum.finish(&args.keep)
}

/// A case, and who answered what.
struct Asked {
    case: Case,
    answers: BTreeMap<Label, Outcome>,
}

fn answers(plan: &Plan, args: &Common, formats: &[&str], equipment: &Equipment) -> Result<Vec<Asked>> {
    let mut asked: Vec<Asked> = plan
        .store
        .entries()
        .filter(|entry| formats.is_empty() || formats.contains(&entry.case.format.as_str()))
        .map(|entry| {
            let stored = plan.stored.iter();
            let answers = stored.filter_map(|label| Some((label.clone(), entry.outcome(label)?.clone())));
            Asked { case: entry.case.clone(), answers: answers.collect() }
        })
        .collect();
    for qemu in equipment.qemus.iter().filter(|_| plan.matrix) {
        ask(qemu, &mut asked, args.jobs)?;
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
        (0..asked.len()).partition(|i| supported(&asked[*i].case).is_ok());
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

/// The sum so far.
#[derive(Default)]
struct Sum {
    cases: usize,
    counts: BTreeMap<&'static str, Counts>,
    groups: BTreeMap<Class, (Diverged, Case)>,
    known: BTreeMap<String, usize>,
}

impl Sum {
    fn unable(&mut self, asked: &Asked) {
        let why = supported(&asked.case).err().unwrap_or_default();
        for (oracle, _) in ANSWERS {
            let counts = self.counts.entry(oracle).or_default();
            counts.skip += asked.answers.len();
            *counts.skipped_because.entry(why.clone()).or_default() += asked.answers.len();
        }
    }

    fn add(&mut self, case: &Case, between: &str, answered: Answered) {
        let counts = self.counts.entry(answered.oracle).or_default();
        match &answered.verdict {
            Verdict::Agree if answered.known.is_empty() => counts.agree += 1,
            Verdict::Agree => counts.known += 1,
            Verdict::Skip(why) => {
                counts.skip += 1;
                *counts.skipped_because.entry(why.clone()).or_default() += 1;
            }
            Verdict::Disagree(_) => counts.disagree += 1,
        }
        for id in answered.known {
            *self.known.entry(id.into()).or_default() += 1;
        }
        if let Verdict::Disagree(findings) = answered.verdict {
            findings.into_iter().for_each(|finding| self.add_finding(case, between, finding));
        }
    }

    fn add_finding(&mut self, case: &Case, between: &str, finding: Finding) {
        let Finding { class, detail } = finding;
        let new =
            || Diverged { class: class.clone(), count: 0, between: BTreeSet::new(), key: case.key(), detail };
        let (group, _) = self.groups.entry(class.clone()).or_insert_with(|| (new(), case.clone()));
        group.count += 1;
        group.between.insert(between.into());
    }

    /// The sum, with the first case of every class kept below `keep`.
    fn finish(mut self, keep: &Path) -> Result<Recorded> {
        for (group, case) in self.groups.values() {
            let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            let place = keep.join(group.class.to_string().chars().map(letter).collect::<String>());
            std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
            std::fs::write(place.join("case.json"), serde_json::to_string_pretty(case)? + "\n")?;
        }
        let counts = ANSWERS.iter().map(|(name, _)| (*name, self.counts.remove(name).unwrap_or_default()));
        Ok(Recorded {
            cases: self.cases,
            oracles: counts.collect(),
            divergences: self.groups.into_values().map(|(group, _)| group).collect(),
            known: self.known,
        })
    }
}

/// Prints what the table does not say.
pub fn print(recorded: &Recorded) {
    for (id, count) in &recorded.known {
        println!("known, in baseline cases: {id}: {count} answers");
    }
    for Diverged { class, count, between, key, detail } in &recorded.divergences {
        println!("\nDIVERGENCE {class} ({count} answers, first in baseline case {key})\n  {detail}");
        for between in between {
            println!("  between {between}");
        }
    }
}
