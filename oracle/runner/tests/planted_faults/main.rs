//! Faults that `oracle compare` or `oracle crash` must catch: each is planted in a copy of the sources, instar or an oracle
//! that resizes in its own process is built from that, and must find fault with it in words that say what is wrong. Formats
//! that neither has cases of are held to the crash trials of their planners.
//!
//! Slow, so the trials are ignored by default: scripts/planted-faults runs them.

mod tree;

use libtest_mimic::{Arguments, Failed, Trial};
use oracle_case::Case;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use tree::{Failure, Plant, Tree};

/// Why the trials do not run by default.
const SLOW: &str = "slow: builds instar once for each fault; run scripts/planted-faults";
/// Seeded cases that each comparison runs.
const CASES: usize = 40;
/// The first seed.
const SEED: u64 = 1;
/// How many resizes, writes and tweaks such a case has in all.
const MOST_PARTS: usize = 3;
/// Exit code of a comparison that found nothing.
const AGREED: i32 = 0;
/// Exit code of a comparison that found something.
const DIVERGED: i32 = 1;

/// The list of faults.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    fault: Vec<Fault>,
}

/// One fault.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    name: String,
    /// The file it is planted in, from the top of the sources.
    file: String,
    /// Text that the file has exactly once.
    find: String,
    replace: String,
    /// The format of the cases, or the planner whose tests, can show it.
    format: String,
    /// A case of `corpus/cases/rare` that shows it, if the seeded ones need not.
    case: Option<String>,
    /// What must catch it.
    #[serde(default)]
    by: Search,
    /// Oracles, kinds of bad crash states or tests, any of which must be reported.
    caught_by: Vec<String>,
}

/// What catches a fault.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Search {
    #[default]
    Compare,
    Crash,
    Tests,
}

static TREE: LazyLock<Result<Tree, String>> =
    LazyLock::new(|| Tree::prepare(&place()).map_err(|e| e.to_string()));

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One fault is compared while the next is built.
    arguments.test_threads.get_or_insert(2);
    let faults: Faults = match toml::from_str(include_str!("faults.toml")) {
        Ok(faults) => faults,
        Err(e) => {
            eprintln!("faults.toml: {e}");
            return ExitCode::FAILURE;
        }
    };
    let slow = |trial: Trial| trial.with_ignored_flag(true).with_kind(SLOW);
    let mut trials = vec![
        slow(Trial::test("no-fault", {
            let faults = faults.fault.clone();
            move || no_fault(&faults)
        })),
        slow(Trial::test("no-fault-for-crash", no_fault_for_crash)),
        slow(Trial::test("no-fault-for-tests", no_fault_for_tests)),
    ];
    for fault in &faults.fault {
        let fault = fault.clone();
        trials.push(slow(Trial::test(fault.name.clone(), move || is_caught(&fault))));
    }
    trials.push(Trial::test("every-fault-has-its-line", move || have_lines(&faults.fault)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Where everything is done: in the target directory, so that a later run finds what was built.
fn place() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted-faults")
}

fn rare(case: &str) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    top.join("corpus/cases/rare").join(format!("{case}.json"))
}

fn tree() -> Result<&'static Tree, Failed> {
    Ok(TREE.as_ref()?)
}

/// Tells whoever changes the sources that a fault must change with them, without building anything.
fn have_lines(faults: &[Fault]) -> Result<(), Failed> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for fault in faults {
        let text = std::fs::read_to_string(top.join(&fault.file))?;
        plant(fault).put_into(&text).map_err(|e| format!("{}: {e}", fault.name))?;
        if let Some(case) = &fault.case {
            let path = rare(case);
            Case::from_json(&std::fs::read_to_string(&path)?)
                .map_err(|e| format!("{}: {e}", path.display()))?;
        }
    }
    Ok(())
}

fn plant(fault: &Fault) -> Plant<'_> {
    Plant { file: &fault.file, find: &fault.find, replace: &fault.replace }
}

fn no_fault(faults: &[Fault]) -> Result<(), Failed> {
    let instar = tree()?.build("instar", "no-fault", None).map_err(text)?;
    for format in ["qcow2", "raw", "vpc", "vhdx", "vmdk"] {
        let shown =
            faults.iter().filter(|fault| fault.format == format).filter_map(|fault| fault.case.as_deref());
        let shown: BTreeSet<PathBuf> = shown.map(rare).collect();
        let shown: Vec<PathBuf> = shown.into_iter().collect();
        let (code, oracles) = compare(&instar, "no-fault", format, &shown).map_err(text)?;
        if code != Some(AGREED) {
            return Err(format!("{format}: exit {code:?}, found by {oracles:?}").into());
        }
    }
    Ok(())
}

fn no_fault_for_crash() -> Result<(), Failed> {
    let oracle = tree()?.build("oracle", "no-fault", None).map_err(text)?;
    for format in ["qcow2", "vpc", "vhdx", "vmdk"] {
        match crash(&oracle, "no-fault", format).map_err(text)? {
            (Some(AGREED), _) => {}
            (code, kinds) => return Err(format!("{format}: exit {code:?}, bad states: {kinds:?}").into()),
        }
    }
    Ok(())
}

fn no_fault_for_tests() -> Result<(), Failed> {
    match tree()?.test("vhdx::", None).map_err(text)? {
        (_, failed) if failed.is_empty() => Ok(()),
        (all, failed) => Err(format!("of {all} tests, {failed:?} fail").into()),
    }
}

fn is_caught(fault: &Fault) -> Result<(), Failed> {
    let build = |program| tree()?.build(program, &fault.name, Some(&plant(fault))).map_err(text);
    let (code, oracles) = match fault.by {
        Search::Compare => {
            let shown: Vec<PathBuf> = fault.case.iter().map(|case| rare(case)).collect();
            compare(&build("instar")?, &fault.name, &fault.format, &shown)
        }
        Search::Crash => crash(&build("oracle")?, &fault.name, &fault.format),
        Search::Tests => {
            let found = tree()?.test(&format!("{}::", fault.format), Some(&plant(fault)));
            found.map(|(_, failed)| (Some(if failed.is_empty() { AGREED } else { DIVERGED }), failed))
        }
    }
    .map_err(text)?;
    if code != Some(DIVERGED) || !oracles.iter().any(|oracle| fault.caught_by.contains(oracle)) {
        return Err(format!("exit {code:?}, found by {oracles:?}, not {:?}", fault.caught_by).into());
    }
    Ok(())
}

/// Runs a comparison; returns its exit code and the oracles that found something.
fn compare(
    instar: &Path,
    name: &str,
    format: &str,
    shown: &[PathBuf],
) -> Result<(Option<i32>, Vec<String>), Failure> {
    let mut oracle = Command::new(env!("CARGO_BIN_EXE_oracle"));
    oracle.args(["compare", "--engine", "in-process", "--output", "json", "--instar"]).arg(instar);
    for case in cases(format)?.iter().chain(shown) {
        oracle.arg("--case").arg(case);
    }
    // The installed qemu-img is enough: versions make no difference to these faults.
    let none = place().join("no-archive");
    std::fs::create_dir_all(&none)?;
    oracle.arg("--archive").arg(none).arg("--keep").arg(place().join("findings").join(name));
    let output = oracle.output()?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let found = report["divergences"].as_array().into_iter().flatten();
    let mut oracles: Vec<String> =
        found.filter_map(|d| Some(d["class"]["oracle"].as_str()?.into())).collect();
    oracles.dedup();
    Ok((output.status.code(), oracles))
}

/// Has an oracle with a fault look for bad crash states; returns its exit code and the kinds of states found.
fn crash(oracle: &Path, name: &str, format: &str) -> Result<(Option<i32>, Vec<String>), Failure> {
    let mut oracle = Command::new(oracle);
    oracle.args(["crash", "--engine", "in-process", "--opinion-every", "0", "--output", "json"]);
    oracle.args(["--cases", &CASES.to_string(), "--seed", &SEED.to_string(), "--format", format]);
    let output = oracle.arg("--keep").arg(place().join("findings").join(name)).output()?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let kind = |bad: &Value| Some(bad["class"].as_str()?.rsplit('/').next()?.to_owned());
    let kinds = report["bad"].as_array().into_iter().flatten().filter_map(kind).collect();
    Ok((output.status.code(), kinds))
}

/// Files with seeded cases in which there is little to shrink: what a fault breaks, it breaks in many
/// ways, and shrinking a case for each takes the oracle most of its time.
fn cases(format: &str) -> Result<Vec<PathBuf>, Failure> {
    let simple = |case: &Case| {
        let Case { fixture, resizes, after } = case;
        let parts = resizes.len() + fixture.writes.len() + fixture.tweaks.len() + after.len();
        fixture.format.name() == format && parts <= MOST_PARTS
    };
    let dir = place().join("cases");
    std::fs::create_dir_all(&dir)?;
    let write = |(seed, case): (u64, Case)| {
        let path = dir.join(format!("{format}-{seed}.json"));
        std::fs::write(&path, case.to_json()).map(|()| path)
    };
    let sequence = Case::sequence_of(SEED, &[format]).filter(|(_, case)| simple(case));
    Ok(sequence.take(CASES).map(write).collect::<Result<_, _>>()?)
}

fn text(failure: Failure) -> Failed {
    failure.to_string().into()
}
