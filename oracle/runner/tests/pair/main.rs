//! `oracle compare --left A --right B`: two engines, two versions of qemu-img, and programs of all sorts.

mod scripts;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

/// How many cases two engines must agree in.
const ENGINE_CASES: &str = "60";
/// How long a program that hangs may hold a campaign up.
const PATIENCE: Duration = Duration::from_secs(100);
/// The case of the known divergence that a shrink shows.
const KNOWN_CASE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpus/cases/known/shrink-leaves-no-empty-tables.json");

type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let any: [(&str, Test); 8] = [
        ("a program that lies in one field is caught, and every report names both", liar),
        ("a program that hangs is a finding", hanging),
        ("a program that crashes is a finding", crashing),
        ("a program that does not say its version is refused", mute),
        ("another resizer is held to what it does, not to what it says", stranger),
        ("another resizer that destroys data is caught", careless),
        ("known divergences excuse an instar, either way round, and nobody else", excused),
        ("a name that means nothing is one line", nothing),
    ];
    let no_qemu = missing("qemu-img").or_else(|| missing("qemu-io"));
    let mut trials: Vec<Trial> =
        any.into_iter().map(|(name, test)| trial(name, no_qemu.clone(), test)).collect();
    let no_kvm = (!Path::new("/dev/kvm").exists()).then(|| "no /dev/kvm".to_string());
    trials.push(trial("two engines agree", no_qemu.clone().or(no_kvm), engines));
    let old = ["5.2", "10.0"].into_iter().find(|version| !archived(version));
    let no_old = old.map(|version| format!("no qemu-img {version} in the archive"));
    trials.push(trial("two versions differ, always in the same way", no_qemu.or(no_old), versions));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, missing: Option<String>, test: Test) -> Trial {
    match missing {
        None => Trial::test(name, test),
        Some(why) => Trial::test(format!("{name} ({why})"), || Ok(())).with_ignored_flag(true),
    }
}

fn missing(tool: &str) -> Option<String> {
    Command::new(tool).arg("--version").output().is_err().then(|| format!("no {tool} in PATH"))
}

/// Whether the user's own archive, or `PATH`, has this version.
fn archived(version: &str) -> bool {
    let probe =
        ["replay", KNOWN_CASE, "--left", &format!("qemu-img@{version}"), "--right", "instar@in-process"];
    Command::new(env!("CARGO_BIN_EXE_oracle"))
        .args(probe)
        .args(["--output", "json"])
        .output()
        .is_ok_and(|run| run.status.code() != Some(2))
}

fn engines() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let run = compare(dir.path(), "instar@kvm", "instar@in-process", &["--cases", ENGINE_CASES])?;
    ensure(run.status.code() == Some(0), "the engines differ", &run)?;
    let report: Value = serde_json::from_slice(&run.stdout)?;
    ensure(report["oracles"]["engines"]["agree"] == 60, "not every case was compared", &run)
}

fn versions() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let ask = |more: &[&str]| -> Result<BTreeSet<String>, Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oracle"));
        command.args(["compare", "--left", "qemu-img@5.2", "--right", "qemu-img@10.0", "--format", "qcow2"]);
        let run = command
            .args(["--output", "json", "--keep"])
            .arg(dir.path().join("findings"))
            .args(more)
            .output()?;
        ensure(run.status.code() == Some(1), "nothing changed in five years", &run)?;
        classes(&run)
    };
    let one = ask(&["--cases", "24", "--jobs", "1"])?;
    let two = ask(&["--cases", "24", "--jobs", "2"])?;
    let other = ask(&["--cases", "24", "--seed", "9000"])?;
    let children = "own-info/qcow2/children/grow/missing";
    if one == two && one.contains(children) && other.contains(children) {
        return Ok(());
    }
    Err(format!("{one:?}\n{two:?}\n{other:?}").into())
}

fn liar() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let liar = program(dir.path(), "liar", scripts::LIAR)?;
    let file = |name: &str| dir.path().join(name).display().to_string();
    let reports = format!("html={},json={},junit={}", file("r.html"), file("r.json"), file("r.xml"));
    let run =
        compare(dir.path(), &liar, "qemu-img", &["--cases", "8", "--format", "qcow2", "--report", &reports])?;
    ensure(run.status.code() == Some(1), "nothing was found", &run)?;
    let found = classes(&run)?;
    let honest = found.iter().find(|class| !class.starts_with("own-info/qcow2/cluster-size/"));
    ensure(honest.is_none() && !found.is_empty(), &format!("{found:?}"), &run)?;

    let report: Value = serde_json::from_slice(&run.stdout)?;
    let right = report["right"].as_str().unwrap_or_default();
    ensure(report["left"] == liar.as_str() && right.starts_with("qemu-img "), "sides without names", &run)?;
    let replay = report["findings"][0]["replay"].as_str().unwrap_or_default();
    ensure(replay.ends_with(&format!("--left {liar} --right qemu-img")), replay, &run)?;
    let words: Vec<&str> = replay.split(' ').skip(1).collect();
    let again = oracle(dir.path(), &words)?;
    ensure(again.status.code() == Some(1), "the kept case does not show it", &again)?;
    for name in ["r.html", "r.json", "r.xml"] {
        let text = std::fs::read_to_string(dir.path().join(name))?;
        ensure(text.contains(&liar) && text.contains(right), &format!("{name} does not name both"), &run)?;
    }
    Ok(())
}

fn hanging() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let hanging = program(dir.path(), "hanging", scripts::HANGING)?;
    let start = Instant::now();
    let run =
        compare(dir.path(), "qemu-img", &hanging, &["--cases", "40", "--format", "raw", "--deadline", "1"])?;
    ensure(start.elapsed() < PATIENCE, "it held everything up", &run)?;
    ensure(run.status.code() == Some(1), "nothing was found", &run)?;
    let found = classes(&run)?;
    ensure(found.iter().all(|class| class.ends_with("/timed-out")), &format!("{found:?}"), &run)?;
    ensure(
        String::from_utf8_lossy(&run.stdout).contains("is not asked any more"),
        "it was asked again and again",
        &run,
    )
}

fn crashing() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let crashing = program(dir.path(), "crashing", scripts::CRASHING)?;
    // Both sides crash alike: that is no agreement.
    for other in ["qemu-img", &crashing] {
        let run = compare(dir.path(), &crashing, other, &["--cases", "6", "--format", "raw"])?;
        ensure(run.status.code() == Some(1), "nothing was found", &run)?;
        let found = classes(&run)?;
        ensure(
            found.iter().any(|class| class.starts_with("refusal/raw/resize/") && class.ends_with("/failed")),
            &format!("{found:?}"),
            &run,
        )?;
    }
    Ok(())
}

fn mute() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let mute = program(dir.path(), "mute", scripts::MUTE)?;
    let run = compare(dir.path(), "qemu-img", &mute, &["--deadline", "1"])?;
    refused(&run, &format!("{mute}: --version does not end within 1 s"))
}

fn stranger() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let stranger = program(dir.path(), "stranger", scripts::STRANGER)?;
    let run = compare(dir.path(), &stranger, "qemu-img", &["--cases", "30"])?;
    ensure(run.status.code() == Some(0), "its words count", &run)?;
    let report: Value = serde_json::from_slice(&run.stdout)?;
    let why = format!("{stranger} has no info");
    ensure(
        report["oracles"]["own-info"]["skipped_because"][&why] == 30,
        "it was asked what it does not know",
        &run,
    )?;
    ensure(report["oracles"]["info"]["agree"].as_u64() > Some(20), "its images were not looked at", &run)
}

fn careless() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let careless = program(dir.path(), "careless", scripts::CARELESS)?;
    let case = dir.path().join("case.json");
    let text = r#"{"fixture": {"size": 1048576, "format": "raw", "writes":
        [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536}]}, "resizes": [{"size": "2M"}]}"#;
    std::fs::write(&case, text)?;
    let run = compare(dir.path(), &careless, "qemu-img", &["--case", &case.display().to_string()])?;
    ensure(run.status.code() == Some(1), "nothing was found", &run)?;
    let found = classes(&run)?;
    ensure(found.contains("content-parity/raw/content/grow/differs"), &format!("{found:?}"), &run)
}

fn excused() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let disguised = program(dir.path(), "disguised", scripts::DISGUISED)?;
    for (left, right) in [("instar@in-process", "qemu-img"), ("qemu-img", "instar@in-process")] {
        let run = compare(dir.path(), left, right, &["--case", KNOWN_CASE])?;
        ensure(run.status.code() == Some(0), "not excused", &run)?;
        let report: Value = serde_json::from_slice(&run.stdout)?;
        ensure(report["oracles"]["check"]["known"] == 1, "nothing differs", &run)?;
    }
    let run = compare(dir.path(), &disguised, "qemu-img", &["--case", KNOWN_CASE])?;
    ensure(run.status.code() == Some(1), "somebody else is excused", &run)?;
    let found = classes(&run)?;
    ensure(found.contains("check/qcow2/image-end-offset/shrink/less"), &format!("{found:?}"), &run)
}

fn nothing() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let absent = dir.path().join("absent").display().to_string();
    let tries = [
        (absent.as_str(), absent.as_str()),
        ("/etc/passwd", "/etc/passwd: not a program"),
        ("qemu-img@1.7", "there is no qemu-img 1.7; there is "),
        ("qemu-img@new", "qemu-img@new: 'new' is not a version"),
        ("instar@xen", "there is no subject 'instar@xen': "),
        ("resizer", "there is no subject 'resizer': "),
    ];
    for (name, why) in tries {
        refused(&compare(dir.path(), name, "instar@in-process", &[])?, why)?;
        refused(&compare(dir.path(), "instar@in-process", name, &[])?, why)?;
    }
    Ok(())
}

/// The oracle could not run, and says why in one line that begins so.
fn refused(run: &Output, why: &str) -> Result<(), Failed> {
    let text = String::from_utf8_lossy(&run.stderr);
    let right = text.lines().count() == 1 && text.starts_with(&format!("oracle: {why}"));
    ensure(run.status.code() == Some(2) && right, &format!("expected: {why}"), run)
}

fn program(dir: &Path, name: &str, script: &str) -> std::io::Result<String> {
    Ok(scripts::write(dir, name, script)?.display().to_string())
}

fn compare(dir: &Path, left: &str, right: &str, more: &[&str]) -> std::io::Result<Output> {
    let mut words = vec!["compare", "--left", left, "--right", right, "--output", "json"];
    words.extend(more);
    oracle(dir, &words)
}

/// Runs the oracle. Findings are kept in `dir`, the archive is empty.
fn oracle(dir: &Path, words: &[&str]) -> std::io::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oracle"));
    command.args(words).arg("--archive").arg(dir.join("archive")).arg("--keep").arg(dir.join("findings"));
    command.output()
}

/// The classes of everything that is not known.
fn classes(run: &Output) -> Result<BTreeSet<String>, Failed> {
    let report: Value = serde_json::from_slice(&run.stdout)?;
    let name = |class: &Value| {
        let part = |key: &str| class[key].as_str().unwrap_or_default().to_string();
        ["oracle", "format", "field", "direction", "kind"].map(part).join("/")
    };
    Ok(report["divergences"].as_array().into_iter().flatten().map(|group| name(&group["class"])).collect())
}

fn ensure(holds: bool, otherwise: &str, run: &Output) -> Result<(), Failed> {
    if holds {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(4000).collect::<String>();
    Err(format!("{otherwise}\nexit {:?}\n{}\n{}", run.status.code(), text(&run.stderr), text(&run.stdout))
        .into())
}
