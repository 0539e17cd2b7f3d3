//! What came of hostile images, for people.

use super::{Job, Judged};
use anyhow::{Context, Result};
use oracle_hostile::{EXCUSES, Finding, Question, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Of how many kinds of divergence an image is kept; more than that nobody reads.
const MAX_KEPT: usize = 24;

/// Prints the table, what is known, and each kind of divergence once; returns how many kinds there are.
pub fn print(judged: &[Judged]) -> usize {
    table(judged);
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, _, verdict) in verdicts(judged) {
        if let Verdict::Known(id) = verdict {
            *known.entry(id).or_default() += 1;
        }
    }
    for (id, count) in known {
        let reason = EXCUSES.iter().find(|excuse| excuse.id == id).map_or("", |excuse| excuse.reason);
        println!("known: {id}: {count} answers: {reason}");
    }
    for Judged { job, result } in judged {
        if let Err(why) = result {
            println!("COULD NOT RUN: {}: {}: {why}", job.recipe.name, job.spoil);
        }
    }
    let mut kinds: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (class, job, finding) in findings(judged) {
        kinds.entry(class).or_insert_with(|| (0, about(job, finding))).0 += 1;
    }
    for (class, (count, example)) in &kinds {
        println!("\nDIVERGENCE {class} ({count} images)\n  {}", example.replace('\n', "\n  "));
    }
    kinds.len()
}

/// Keeps the first image of every kind of divergence below `into`.
///
/// # Errors
/// It cannot be written.
pub fn keep(judged: &[Judged], into: &Path) -> Result<()> {
    let mut kept = BTreeSet::new();
    for (class, job, finding) in findings(judged) {
        if kept.len() < MAX_KEPT && kept.insert(class.clone()) {
            let place = into.join(class.replace('/', "-"));
            std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
            std::fs::write(place.join("spoiled.img"), job.spoil.apply(&job.good))?;
            std::fs::write(place.join("about.txt"), about(job, finding) + "\n")?;
        }
    }
    Ok(())
}

fn table(judged: &[Judged]) {
    println!("{:<16}{:>8}{:>10}{:>8}{:>8}{:>10}", "oracle", "agree", "stricter", "known", "skip", "disagree");
    for question in Question::ALL {
        let count = |wanted: fn(&Verdict) -> bool| {
            verdicts(judged).filter(|(_, asked, verdict)| *asked == question && wanted(verdict)).count()
        };
        println!(
            "{:<16}{:>8}{:>10}{:>8}{:>8}{:>10}",
            question.name(),
            count(|verdict| *verdict == Verdict::Agree),
            count(|verdict| *verdict == Verdict::Stricter),
            count(|verdict| matches!(verdict, Verdict::Known(_))),
            count(|verdict| *verdict == Verdict::Skip),
            count(|verdict| matches!(verdict, Verdict::Disagree(_))),
        );
    }
}

fn verdicts(judged: &[Judged]) -> impl Iterator<Item = (&Job, Question, &Verdict)> {
    judged.iter().flat_map(|Judged { job, result }| {
        result.iter().flatten().map(move |sentence| (job, sentence.question, &sentence.verdict))
    })
}

/// Every finding with its class, `oracle/field/kind`.
fn findings(judged: &[Judged]) -> impl Iterator<Item = (String, &Job, &Finding)> {
    verdicts(judged).filter_map(|(job, question, verdict)| {
        let Verdict::Disagree(finding) = verdict else { return None };
        let class = format!("{}/{}/{}", question.name(), job.spoil.field.name, finding.kind);
        Some((class, job, finding))
    })
}

fn about(job: &Job, finding: &Finding) -> String {
    format!("{}: {}\n{}", job.recipe.name, job.spoil, finding.detail)
}
