//! `oracle baseline replay`: every stored case once more, with instar in the place of `qemu-img resize`, summed up by
//! case.

use super::{scratch, sweep};
use crate::archive::Archive;
use crate::args::EngineName;
use crate::equipment::{makers, tool_of};
use crate::{COULD_NOT_RUN, DIVERGED};
use anyhow::{Context, Result, bail};
use clap::Args;
use oracle_baseline::{
    Answered, Case, Explained, Lab, Label, Outcome, Resizer, Store, explained, judge, supported, unsupported,
};
use oracle_case::Tools;
use oracle_judge::subject::run_tool;
use oracle_judge::{Finding, Verdict, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Formats that instar has.
const FORMATS: [&str; 7] = ["raw", "qcow2", "qed", "luks", "vpc", "vhdx", "vmdk"];
/// Cases shown of each reason, unless all are wanted.
const MAX_SHOWN: usize = 5;

/// Arguments of `oracle baseline replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Hold instar to this version's answers; may be repeated: a case that the first did not answer goes to the next.
    #[arg(long, value_name = "VERSION", default_values = ["11.1", "10.0"])]
    qemu: Vec<String>,
    /// Only cases of this format; may be repeated. Without it: of every format that instar has.
    #[arg(long, value_name = "FORMAT")]
    format: Vec<String>,
    /// Run instar with this engine; may be repeated.
    #[arg(long, value_name = "ENGINE", default_value = "in-process")]
    engine: Vec<EngineName>,
    /// Only the case with this key; may be repeated.
    #[arg(long, value_name = "KEY")]
    case: Vec<String>,
    /// Only so many cases, evenly chosen.
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Show every case that is not equal, not only some that differ for each reason.
    #[arg(long)]
    all: bool,
    /// How many cases to run at a time; 0 for one per processor.
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// Test this program instead of the instar that is built into the oracle.
    #[arg(long, value_name = "PATH")]
    instar: Option<PathBuf>,
    /// Where the archived versions of qemu-img are: the newest makes the images.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
}

/// A case and the answer that instar is held to.
struct Asked {
    case: Case,
    label: Label,
    answer: Outcome,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The same in every part.
    Equal,
    /// The same but for these known divergences, each with what differs.
    Known(BTreeMap<&'static str, Vec<String>>),
    /// There is nothing to compare with, and why.
    Nothing(String),
    /// Not the same: why, without what only this case has, and both values.
    Differs(String, String),
}

/// Runs `oracle baseline replay`. It fails if anything differs.
///
/// # Errors
/// A case could not be carried out, or there is none.
pub fn replay(dir: &Path, args: &ReplayArgs) -> Result<ExitCode> {
    let asked = ask(&Store::load(dir)?, args)?;
    let tools = makers(&Archive::at(args.archive.as_deref())?, &[])?;
    let reader = version_of(&tools)?;
    let (mut differs, engines) = (false, engines(&args.engine));
    for engine in engines {
        let tool = tool_of(args.instar.as_deref())?;
        let resizer = Resizer::Instar { tool, engine: engine.to_string() };
        let lab = Lab { tools: tools.clone(), resizer, place: scratch() };
        let fates = fates(&lab, &asked, args.jobs, &reader, engine)?;
        println!("{}", summary(engine, &asked, &fates));
        print!("{}", reasons(&asked, &fates, args.all));
        let stale = stale(&asked, &fates);
        stale.iter().for_each(|id| println!("STALE: {id}: its own case does not show it"));
        differs |= !stale.is_empty() || fates.iter().any(|fate| matches!(fate, Fate::Differs(..)));
    }
    Ok(match (asked.is_empty(), differs) {
        (true, _) => ExitCode::from(COULD_NOT_RUN),
        (false, true) => ExitCode::from(DIVERGED),
        (false, false) => ExitCode::SUCCESS,
    })
}

fn engines(wanted: &[EngineName]) -> Vec<&'static str> {
    let wants = |engine| wanted.contains(&engine) || wanted.contains(&EngineName::All);
    let all = [("in-process", EngineName::InProcess), ("kvm", EngineName::Kvm)];
    all.into_iter().filter(|(_, engine)| wants(*engine)).map(|(name, _)| name).collect()
}

fn ask(store: &Store, args: &ReplayArgs) -> Result<Vec<Asked>> {
    let select =
        |word: &String| store.select(word).with_context(|| format!("no baseline has answers of {word}"));
    let labels = args.qemu.iter().map(select).collect::<Result<Vec<_>>>()?;
    let wanted = |format: &str| match args.format.as_slice() {
        [] => FORMATS.contains(&format),
        some => some.iter().any(|f| f == format),
    };
    let named = |case: &Case| args.case.is_empty() || args.case.contains(&case.key());
    let entries = store.entries().filter(|entry| wanted(&entry.case.format) && named(&entry.case));
    let of = |entry: &oracle_baseline::Entry| {
        let answer = |label: &Label| Some((label.clone(), entry.outcome(label)?.clone()));
        let (label, answer) = labels.iter().find_map(answer)?;
        Some(Asked { case: entry.case.clone(), label, answer })
    };
    let all: Vec<Asked> = entries.filter_map(of).collect();
    if all.is_empty() {
        bail!("there are no such cases");
    }
    let (count, of) = (args.sample.unwrap_or(all.len()).min(all.len()), all.len());
    let chosen: BTreeSet<usize> = (0..count).map(|i| i * of / count.max(1)).collect();
    Ok(all.into_iter().enumerate().filter(|(i, _)| chosen.contains(i)).map(|(_, asked)| asked).collect())
}

fn fates(lab: &Lab, asked: &[Asked], jobs: usize, reader: &Version, title: &str) -> Result<Vec<Fate>> {
    let able: Vec<&Asked> = asked.iter().filter(|asked| supported(&asked.case).is_ok()).collect();
    let cases: Vec<_> = able.iter().map(|asked| (&asked.case, vec![asked.label.clone()])).collect();
    let mut ours = sweep(lab, &cases, jobs, title, |_, _| Ok(()))?.into_iter();
    let mut one = |asked: &Asked| match supported(&asked.case) {
        // Of a format that instar has, what qemu-img does not do either.
        Err(why) if FORMATS.contains(&asked.case.format.as_str()) => Ok(Fate::Nothing(why)),
        Err(why) => Ok(Fate::Differs(why, String::new())),
        Ok(()) => Ok(fate(asked, &ours.next().context("an outcome is missing")?, reader)),
    };
    asked.iter().map(&mut one).collect()
}

fn fate(asked: &Asked, ours: &Outcome, reader: &Version) -> Fate {
    let answered = judge(&asked.case, &asked.label, &asked.answer, ours, reader);
    if let Some(finding) = answered.iter().find_map(first_finding) {
        return Fate::Differs(reason(finding, asked, ours), finding.detail.clone());
    }
    if let Some(why) = unsupported(ours) {
        return Fate::Differs(why, asked.case.name());
    }
    let skipped = |answered: &Answered| match &answered.verdict {
        Verdict::Skip(why) => Some(why.clone()),
        _ => None,
    };
    let known = excused(&answered);
    match (answered.iter().map(skipped).collect::<Option<Vec<_>>>(), known.is_empty()) {
        (Some(why), _) => Fate::Nothing(why.into_iter().next().unwrap_or_default()),
        (None, true) => Fate::Equal,
        (None, false) => Fate::Known(known),
    }
}

/// The known divergences whose own case was among `asked` and does not show them.
fn stale(asked: &[Asked], fates: &[Fate]) -> Vec<&'static str> {
    let shows = |fate: &Fate, id| match fate {
        Fate::Equal => false,
        Fate::Known(ids) => ids.contains_key(id),
        Fate::Nothing(_) | Fate::Differs(..) => true,
    };
    let own = |one: &&Explained| {
        let mut all = asked.iter().zip(fates);
        all.any(|(asked, fate)| asked.case.key() == one.case && !shows(fate, one.id))
    };
    explained().iter().filter(own).map(|one| one.id).collect()
}

fn excused(answered: &[Answered]) -> BTreeMap<&'static str, Vec<String>> {
    let mut known = BTreeMap::<_, Vec<String>>::new();
    for one in answered.iter().flat_map(|answered| &answered.excused) {
        let (field, detail) = (&one.finding.class.field, &one.finding.detail);
        let values = detail.rsplit(": ").next().unwrap_or_default();
        known.entry(one.id).or_default().push(format!("{field} {values}"));
    }
    known
}

fn first_finding(answered: &Answered) -> Option<&Finding> {
    match &answered.verdict {
        Verdict::Disagree(findings) => findings.first(),
        _ => None,
    }
}

/// What differs first; where a message does, what each side says.
fn reason(finding: &Finding, asked: &Asked, ours: &Outcome) -> String {
    let said = |outcome: &Outcome| {
        let resizes = outcome["resizes"].as_array().into_iter().flatten();
        let messages = resizes.filter_map(|resize| resize["err"].as_str()).filter(|err| !err.is_empty());
        messages.map(|err| err.lines().next().unwrap_or_default()).collect::<Vec<_>>().join(" | ")
    };
    let (ours, theirs) = (said(ours), said(&asked.answer));
    let place = format!("{} {}", finding.class.oracle, finding.class.field);
    if ours == theirs { place } else { format!("{place}: {ours:?}, not {theirs:?}") }
}

fn summary(engine: &str, asked: &[Asked], fates: &[Fate]) -> String {
    let labels: BTreeSet<String> = asked.iter().map(|asked| asked.label.to_string()).collect();
    let labels: Vec<String> = labels.into_iter().collect();
    let mut text = format!("instar ({engine}) and qemu-img {}\n\n", labels.join(", "));
    text += &row("format", ["cases", "equal", "known", "differ", "nothing"].map(String::from));
    let mut formats: Vec<&str> = asked.iter().map(|asked| asked.case.format.as_str()).collect();
    formats.dedup();
    for format in formats.into_iter().map(Some).chain([None]) {
        let own = asked.iter().zip(fates).filter(|(asked, _)| format.is_none_or(|f| f == asked.case.format));
        let own: Vec<&Fate> = own.map(|(_, fate)| fate).collect();
        let count = |is: fn(&Fate) -> bool| own.iter().filter(|fate| is(fate)).count().to_string();
        let numbers = [
            own.len().to_string(),
            count(|fate| *fate == Fate::Equal),
            count(|fate| matches!(fate, Fate::Known(_))),
            count(|fate| matches!(fate, Fate::Differs(..))),
            count(|fate| matches!(fate, Fate::Nothing(_))),
        ];
        text += &row(format.unwrap_or("all"), numbers);
    }
    text
}

fn row(name: &str, numbers: [String; 5]) -> String {
    let cells: Vec<String> = numbers.iter().map(|number| format!("{number:>8}")).collect();
    format!("{name:<8}{}\n", cells.join(""))
}

/// The known divergences with the number of cases that show each, and why the other cases differ.
fn reasons(asked: &[Asked], fates: &[Fate], all: bool) -> String {
    let (mut known, mut nothing) = (Reasons::new(), Reasons::new());
    let mut differs = Reasons::new();
    for (asked, fate) in asked.iter().zip(fates) {
        let name = || asked.case.name();
        let add = |to: &mut Reasons, why: &str, detail: String| {
            to.entry(why.into()).or_default().push(format!("    {} {detail}\n", asked.case.key()));
        };
        match fate {
            Fate::Equal => {}
            Fate::Known(ids) => {
                ids.iter()
                    .for_each(|(id, what)| add(&mut known, id, format!("{}: {}", name(), what.join(", "))));
            }
            Fate::Nothing(why) => add(&mut nothing, why, name()),
            Fate::Differs(why, detail) => add(&mut differs, why, detail.clone()),
        }
    }
    let mut text = group("known", known, if all { usize::MAX } else { 0 });
    text += &group("nothing to compare", nothing, if all { usize::MAX } else { 0 });
    text + &group("DIFFERS", differs, if all { usize::MAX } else { MAX_SHOWN })
}

/// What came of cases, and a line for each of these.
type Reasons = BTreeMap<String, Vec<String>>;

/// The reasons, those of most cases first, each with so many of its lines.
fn group(what: &str, reasons: Reasons, lines: usize) -> String {
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, cases)| std::cmp::Reverse(cases.len()));
    let one = |(why, cases): (String, Vec<String>)| {
        format!(
            "{what}: {why}: {}\n{}",
            cases.len(),
            cases.iter().take(lines).map(String::as_str).collect::<String>()
        )
    };
    reasons.into_iter().map(one).collect()
}

fn version_of(tools: &Tools) -> Result<Version> {
    let banner = run_tool(&tools.qemu_img, Path::new("."), ["--version"])?;
    Version::from_banner(&banner.stdout).context("the qemu-img that makes the images says no version")
}

#[cfg(test)]
mod tests;
