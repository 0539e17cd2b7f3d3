//! Baselines against the qemu-imgs of this machine, through the program itself.
//!
//! Every stored answer is a case for instar, too: `oracle baseline replay` runs all of them, these trials a sample.
//!
//! Without a qemu-img with a qemu-io in the archive or in PATH, or for a trial that needs a version which baselines
//! also have, the trials are ignored and their kind says why.

use libtest_mimic::{Arguments, Failed, Trial};
use oracle_baseline::Store;
use serde_json::Value;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let here = here();
    let kept = |version: &&String| {
        let store = Store::load(&committed()).ok();
        store.is_some_and(|store| store.labels().iter().any(|label| label.to_string() == **version))
    };
    let both = here.iter().find(kept).cloned();
    let newest = here.last().cloned();
    let needs = |found: &Option<String>, why: &str, trial: Trial| match found {
        Some(_) => trial,
        None => trial.with_ignored_flag(true).with_kind(why),
    };
    let (one, two) = (newest.clone().unwrap_or_default(), both.clone().unwrap_or_default());
    let (three, none) = (two.clone(), "no qemu-img with qemu-io");
    let no_both = "no version that is here has a baseline";
    let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    let kvm = newest.clone().filter(|_| device.is_ok());
    let trials = vec![
        needs(&newest, none, Trial::test("in-process/a_sample_replays", || replays("in-process", "60"))),
        needs(&kvm, "no usable /dev/kvm", Trial::test("kvm/a_sample_replays", || replays("kvm", "20"))),
        needs(&newest, none, Trial::test("another_answer_does_not_replay", another_answer)),
        needs(&newest, none, Trial::test("two_runs_give_the_same_bytes", move || same_bytes(&one))),
        needs(
            &both,
            no_both,
            Trial::test("live_and_baseline_give_the_same_verdicts", move || same_verdicts(&two)),
        ),
        needs(&both, no_both, Trial::test("drift_fails", move || drift(&three))),
        needs(&newest, none, Trial::test("a_version_that_is_not_here_comes_from_its_baseline", absent)),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../baselines")
}

fn oracle(words: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new(env!("CARGO_BIN_EXE_oracle")).args(words).output()?)
}

/// Versions that can make images here, oldest first.
fn here() -> Vec<String> {
    let listed = oracle(&["archive", "list"]).map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let listed = listed.unwrap_or_default();
    let able = listed.lines().filter(|line| !line.contains("without qemu-io"));
    let words = able.filter_map(|line| line.split_whitespace().next());
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(Into::into).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// Regenerates the raw baseline of `version` into `dir` and returns its text.
fn regenerate(dir: &Path, version: &str) -> Result<String, Failed> {
    let (baselines, journal) = (dir.join("baselines"), dir.join("journal"));
    let place = ["baseline", "--baselines", text(&baselines)];
    let what = ["regen", "--format", "raw", "--qemu", version, "--journal", text(&journal)];
    let ran = oracle(&[&place[..], &what[..]].concat())?;
    if !ran.status.success() {
        return Err(format!("{ran:?}").into());
    }
    Ok(std::fs::read_to_string(baselines.join("raw.jsonl"))?)
}

fn same_bytes(version: &str) -> Result<(), Failed> {
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (first, second) = (regenerate(one.path(), version)?, regenerate(two.path(), version)?);
    assert!(first.lines().count() >= 20, "{} lines", first.lines().count());
    assert_eq!(first, second);
    Ok(())
}

/// Writes the raw cases of the committed baselines and a twentieth of the others into `into`.
fn subset(into: &Path) -> Result<(), Failed> {
    let (all, mut few) = (Store::load(&committed())?, Store::default());
    let wanted = all.entries().enumerate().filter(|(i, entry)| entry.case.format == "raw" || i % 20 == 0);
    for (_, entry) in wanted {
        for (answer, label) in entry.answers.iter().flat_map(|a| a.versions.iter().map(move |l| (a, l))) {
            few.set(&entry.case, label.clone(), answer.outcome.clone());
        }
    }
    Ok(few.save(into)?)
}

/// Case by case, what `compare` says of some cases of baselines and one version, wherever its answers come from.
fn verdicts(version: &str, from: &[&str]) -> Result<Vec<(String, Value)>, Failed> {
    let dir = tempfile::tempdir()?;
    let baselines = dir.path().join("baselines");
    subset(&baselines)?;
    let (keep, report) = (dir.path().join("kept"), dir.path().join("report.json"));
    let place = ["compare", "--cases", "1", "--output", "json", "--engine", "in-process"];
    let into = format!("json={}", report.display());
    let where_from = ["--qemu", version, "--baselines", text(&baselines), "--keep", text(&keep)];
    let ran = oracle(&[&place[..], &where_from[..], &["--report", &into], from].concat())?;
    let report = std::fs::read(&report).map_err(|e| format!("{e}: {ran:?}"))?;
    let grid = &serde_json::from_slice::<Value>(&report)?["grid"];
    let columns = grid["columns"].as_array().ok_or("no columns")?;
    let column = columns.iter().position(|column| column["version"] == *version);
    let column = column.ok_or_else(|| format!("no column of {version}: {columns:?}"))?;
    let rows = grid["rows"].as_array().into_iter().flatten();
    let ours = rows.filter(|row| row["label"].as_str().is_some_and(|label| label.starts_with("baseline ")));
    Ok(ours.map(|row| (row["label"].to_string(), said(&row["cells"][column]))).collect())
}

/// A cell without both sides' documents, which name where the answers come from.
fn said(cell: &Value) -> Value {
    let mut cell = cell.clone();
    for found in cell["found"].as_array_mut().into_iter().flatten() {
        found["evidence"] = Value::Null;
    }
    cell
}

fn same_verdicts(version: &str) -> Result<(), Failed> {
    let live = verdicts(version, &["--from", "live", "--matrix"])?;
    let baseline = verdicts(version, &["--from", "baseline"])?;
    assert_eq!(live, baseline);
    let agreed = |(_, cell): &&(String, Value)| cell["agree"].as_u64() > Some(0);
    assert!(baseline.iter().filter(agreed).count() >= 25, "{baseline:?}");
    Ok(())
}

/// A stored answer that the program does not give is drift.
fn drift(version: &str) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("raw.jsonl");
    let verify = || {
        oracle(&["baseline", "--baselines", text(dir.path()), "verify", "--format", "raw", "--qemu", version])
    };
    let truth = std::fs::read_to_string(committed().join("raw.jsonl"))?;
    std::fs::write(&file, &truth)?;
    let ran = verify()?;
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    std::fs::write(&file, truth.replace("Image resized.", "Image enlarged."))?;
    let ran = verify()?;
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(String::from_utf8_lossy(&ran.stdout).contains("DRIFT"));
    Ok(())
}

fn replay(baselines: &Path, words: &[&str]) -> Result<(Option<i32>, String), Failed> {
    let place = ["baseline", "--baselines", text(baselines), "replay"];
    let ran = oracle(&[&place[..], words].concat())?;
    let told = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    Ok((ran.status.code(), told))
}

fn replays(engine: &str, sample: &str) -> Result<(), Failed> {
    let (code, told) = replay(&committed(), &["--engine", engine, "--sample", sample, "--all"])?;
    if code == Some(0) { Ok(()) } else { Err(told.into()) }
}

/// A file one byte longer than the one recorded.
fn another_answer() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let truth = std::fs::read_to_string(committed().join("raw.jsonl"))?;
    let other = truth.replace(r#""length":67108864"#, r#""length":67108865"#);
    assert_ne!(other, truth);
    std::fs::write(dir.path().join("raw.jsonl"), other)?;
    let (code, told) = replay(dir.path(), &["--format", "raw"])?;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("DIFFERS: baseline-host host.length"), "{told}");
    Ok(())
}

/// 8.2 is in baselines, wherever else it is.
fn absent() -> Result<(), Failed> {
    let (keep, baselines) = (tempfile::tempdir()?, committed());
    let words = ["compare", "--qemu", "8.2", "--format", "raw", "--engine", "in-process"];
    let places = ["--baselines", text(&baselines), "--keep", text(keep.path()), "--from", "baseline"];
    let ran = oracle(&[&words[..], &places[..]].concat())?;
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(told.contains("8.2.0") && told.contains("from its baseline"), "{told}");
    assert!(told.contains("baseline-resize"), "{told}");
    Ok(())
}
