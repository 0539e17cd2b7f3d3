//! Running cases: build the fixture, let every subject resize a copy, put the records before the oracles.

use crate::equipment::Equipment;
use crate::evidence::{self, Evidence};
use crate::pair;
use anyhow::{Context, Result, bail};
use oracle_case::{Case, build};
use oracle_judge::subject::IMAGE;
use oracle_judge::{Desk, Oracle, Qemu, Record, Scope, State, Subject, Trial, Verdict, all, record};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// One case to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// What it is called: a seed, a file, a known divergence.
    pub label: String,
    /// The id of the known divergence that it shows, if it shows one.
    pub shows: Option<String>,
    /// The case.
    pub case: Case,
}

/// What one oracle said of one trial.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The oracle.
    pub oracle: &'static str,
    /// The subject under test.
    pub left: String,
    /// The index in the equipment of the qemu-img it was compared with, if one was. A pair has none.
    pub right: Option<usize>,
    /// The verdict.
    pub verdict: Verdict,
    /// What both sides say, if it was asked for and something differs.
    pub evidence: Option<Arc<Evidence>>,
}

impl Judged {
    /// Whether two engines were compared.
    fn between_engines(&self) -> bool {
        all().iter().any(|oracle| oracle.name() == self.oracle && oracle.scope() == Scope::Engines)
    }
}

/// Runs `case` in `dir`, which is empty, and returns what the oracles said, in their order.
///
/// # Errors
/// The case could not be run or judged.
pub fn run_case(equipment: &Equipment, case: &Case, dir: &Path) -> Result<Vec<Judged>> {
    look_at_case(equipment, case, dir, false)
}

/// As [`run_case`]; with `explain` what both sides say goes with each disagreement.
///
/// # Errors
/// As [`run_case`].
pub fn look_at_case(equipment: &Equipment, case: &Case, dir: &Path, explain: bool) -> Result<Vec<Judged>> {
    if let Some(pair) = &equipment.pair {
        return pair::look_at_case(equipment, pair, case, dir, explain);
    }
    let fixture = fixture(equipment, case, dir)?;
    let mut lefts = Vec::new();
    for (i, instar) in equipment.instars.iter().enumerate() {
        lefts.push(record(instar, case, &fixture, &dir.join(format!("instar{i}")))?);
    }
    let mut rights: Vec<Right> = Vec::new();
    for (i, qemu) in equipment.qemus.iter().enumerate() {
        rights.push(match qemu.unable(&case.fixture) {
            Some(why) => (i, Err(why)),
            None => {
                let place = dir.join(format!("qemu{}", qemu.name().replace("qemu-img ", "-")));
                (i, Ok(record(qemu, case, &fixture, &place)?))
            }
        });
    }
    let readers: Vec<&Qemu> = equipment.qemus.iter().collect();
    let desk = Desk::new(case, dir, &readers);
    let mut judged = Vec::new();
    for oracle in all() {
        judged.extend(judge(*oracle, case, &lefts, &rights, &desk)?);
    }
    for record in lefts.iter().chain(rights.iter().filter_map(|(_, right)| right.as_ref().ok())) {
        intact(record)?;
    }
    if explain {
        add_evidence(&mut judged, &lefts, &rights, &desk)?;
    }
    Ok(judged)
}

/// Lets both sides of every disagreement speak, each pair once.
fn add_evidence(judged: &mut [Judged], lefts: &[Record], rights: &[Right], desk: &Desk) -> Result<()> {
    let mut gathered: BTreeMap<(String, String), Arc<Evidence>> = BTreeMap::new();
    for one in judged.iter_mut().filter(|one| matches!(one.verdict, Verdict::Disagree(_))) {
        let Some(left) = lefts.iter().find(|left| left.subject.name() == one.left) else { continue };
        let right = match one.right {
            Some(wanted) => {
                rights.iter().find(|(i, _)| *i == wanted).and_then(|(_, right)| right.as_ref().ok())
            }
            None => lefts.get(1).filter(|_| one.between_engines()),
        };
        let key = (one.left.clone(), right.map_or("", |right| right.subject.name()).to_string());
        if !gathered.contains_key(&key) {
            gathered.insert(key.clone(), Arc::new(evidence::gather(desk, left, right)?));
        }
        one.evidence = gathered.get(&key).cloned();
    }
    Ok(())
}

/// Looking at images must not have changed them: what was said of one would not hold for the next.
///
/// # Errors
/// It has, or an image cannot be read.
pub fn intact(record: &Record) -> Result<()> {
    for step in &record.steps {
        if State::of(&step.after.dir)?.fingerprint != step.after.fingerprint {
            bail!("an image of {} was changed while it was judged", record.subject.name());
        }
    }
    Ok(())
}

/// A qemu-img's index with what it did, or with why it cannot be given the case.
type Right<'a> = (usize, Result<Record<'a>, String>);

/// The image that every subject is given a copy of, made below `dir`.
///
/// # Errors
/// It cannot be made.
pub fn fixture(equipment: &Equipment, case: &Case, dir: &Path) -> Result<State> {
    let place = dir.join("fixture");
    std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let built =
        build(&case.fixture, &place, &equipment.makers_of(&case.fixture)).context("building the fixture")?;
    let image = place.join(IMAGE);
    std::fs::rename(&built, &image).with_context(|| image.display().to_string())?;
    Ok(State::of(place)?)
}

fn judge(
    oracle: &'static dyn Oracle,
    case: &Case,
    lefts: &[Record],
    rights: &[Right],
    desk: &Desk,
) -> Result<Vec<Judged>> {
    let judged = |left: &Record, right: Option<usize>, verdict| Judged {
        oracle: oracle.name(),
        left: left.subject.name().to_string(),
        right,
        verdict,
        evidence: None,
    };
    let ask = |left, right| oracle.judge(&Trial::new(case, left, right, desk));
    let mut out = Vec::new();
    match (oracle.scope(), lefts) {
        (Scope::Alone, _) => {
            for left in lefts {
                out.push(judged(left, None, ask(left, None)?));
            }
        }
        (Scope::Engines, [left, right, ..]) => {
            out.push(judged(left, None, ask(left, Some(right))?));
        }
        (Scope::Engines, _) => {
            let alone = |left| judged(left, None, Verdict::skip("only one engine is compared"));
            out.extend(lefts.first().map(alone));
        }
        (Scope::Pair, _) => {
            for (left, (i, right)) in lefts.iter().flat_map(|l| rights.iter().map(move |r| (l, r))) {
                let verdict = match right {
                    Ok(right) => ask(left, Some(right))?,
                    Err(why) => Verdict::skip(why.clone()),
                };
                out.push(judged(left, Some(*i), verdict));
            }
        }
    }
    Ok(out)
}
