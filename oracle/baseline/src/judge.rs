//! Holding an instar to what a version of qemu-img answered.

mod fresh;

use crate::{Case, Label, Outcome, explain};
use oracle_judge::text::{Difference, differences, normalised};
use oracle_judge::{Class, Direction, Finding, Kind, Verdict, Version};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The parts of an outcome, each with the name of the oracle that judges it.
pub const ANSWERS: &[(&str, &str)] = &[
    ("baseline-resize", "resizes"),
    ("baseline-info", "info"),
    ("baseline-check", "check"),
    ("baseline-header", "header"),
    ("baseline-map", "map"),
    ("baseline-content", "content_sha256"),
    ("baseline-host", "host"),
    ("baseline-create", "create"),
];

/// The first version with today's schema of `info`: what any later qemu-img reads is comparable.
const TODAYS_INFO: &str = "8.0";

/// What an instar's refusal of what it does not do says.
const UNSUPPORTED: &str = "is not supported";

/// What a version says to an option that it does not know.
const NO_SUCH_OPTION: &str = "unrecognized option";
/// What a version says that cannot shrink a qcow2 image.
const NO_SHRINKING: &str = "qcow2 doesn't support shrinking images yet";
/// Messages that later versions worded otherwise, and how.
const REWORDED: &[(&str, &str)] =
    &[("Can't resize an image which has snapshots", "Can't resize a v2 image which has snapshots")];
/// A warning, and the hint after it: versions before 5.1 said the hint last, later ones say it first.
const WARNED: (&str, &str) = ("warning: Shrinking an image will delete", "Use the --shrink option");
/// Warnings of versions that rounded raw files to sectors.
const OBSOLETE: &str = "warning: Image should have been resized to";

/// What the maker of an image decides and no resize changes: the makers of two versions may differ in it.
const MADE: &[&str] = &["header.header_length", "header.backing_offset"];

/// What came of holding one part to its record.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The oracle.
    pub oracle: &'static str,
    /// What it says, known divergences left out.
    pub verdict: Verdict,
    /// The known divergences that were met.
    pub excused: Vec<Excused>,
}

/// A finding that a known divergence excuses.
#[derive(Debug, Clone)]
pub struct Excused {
    /// The known divergence.
    pub id: &'static str,
    /// What was found.
    pub finding: Finding,
}

impl Answered {
    fn skip(oracle: &'static str, why: impl Into<String>) -> Self {
        Self { oracle, verdict: Verdict::skip(why), excused: Vec::new() }
    }

    /// The known divergences that were met, each once.
    #[must_use]
    pub fn known(&self) -> BTreeSet<&'static str> {
        self.excused.iter().map(|excused| excused.id).collect()
    }
}

/// Why a case cannot be put to an instar, if it cannot.
pub fn supported(case: &Case) -> Result<(), String> {
    match case.format.as_str() {
        "raw" | "qcow2" | "qed" | "luks" => Ok(()),
        "vpc" | "vhdx" | "vmdk" if case.resizes.is_empty() => Ok(()),
        format @ ("vpc" | "vhdx" | "vmdk") => Err(format!("qemu-img does not resize {format}")),
        format => Err(format!("instar has no {format}")),
    }
}

/// Why a case is not held to each version's answer, if it is not: the versions themselves differ in it in too many ways
/// for one instar to agree with all. What instar makes of it is held to the newest versions by a replay.
///
/// # Errors
/// The reason, for a person.
pub fn comparable(case: &Case) -> Result<(), String> {
    supported(case)?;
    match case.format.as_str() {
        "luks" => Err("`oracle baseline replay` holds it to the newest versions".into()),
        "qcow2" if preallocates(case) || !case.setup.is_empty() => {
            Err("images with features and preallocation: `oracle baseline replay` holds them to the newest versions".into())
        }
        _ => Ok(()),
    }
}

/// Holds `ours`, the outcome of `case` with an instar, to what `label` answered. `reader` is the version that read our
/// image.
#[must_use]
pub fn judge(
    case: &Case,
    label: &Label,
    recorded: &Outcome,
    ours: &Outcome,
    reader: &Version,
) -> Vec<Answered> {
    if case.is_fresh() {
        return fresh::judge(case, label, recorded, ours, reader);
    }
    let skip_all = |why: &str| ANSWERS.iter().map(|(oracle, _)| Answered::skip(oracle, why)).collect();
    if recorded["create"]["rc"] != 0 {
        return skip_all("that version makes no such image");
    }
    if ours["create"]["rc"] != 0 {
        return skip_all("the qemu-img that makes the images makes no such image");
    }
    if let Some(why) = incomparable(case, recorded) {
        return skip_all(why);
    }
    if let Some(what) = unsupported(ours) {
        return skip_all(&what);
    }
    let (mut ours, mut theirs) = compared(label, recorded, ours, reader);
    if map_is_hosts(case) {
        without_holes(&mut ours);
        without_holes(&mut theirs);
    }
    let refused =
        |outcome: &Outcome| outcome["resizes"].as_array().is_some_and(|all| all.iter().all(|r| r["rc"] != 0));
    let listed = |parts: &Map<String, Value>| parts.get("map").is_none_or(Value::is_array);
    let makers = case.has("snapshot") && refused(recorded) && label.version != *reader;
    let one = |(oracle, part): &(&'static str, &str)| match *oracle {
        "baseline-create" => Answered::skip(oracle, "qemu-img makes the images that are resized"),
        "baseline-resize" => judge_part(case, oracle, part, &ours, &theirs),
        "baseline-map" if map_is_hosts(case) && !(listed(&theirs) && listed(&ours)) => {
            Answered::skip(oracle, "preallocated clusters: the map shows the host's holes")
        }
        // The length of a snapshot table is its maker's affair, and nothing else touched the file.
        oracle if makers => Answered::skip(oracle, "refused: the image is as its maker left it"),
        oracle => judge_part(case, oracle, part, &ours, &theirs),
    };
    ANSWERS.iter().map(one).collect()
}

/// What [`judge`] compares, instar's side first: the parts that both have, without what is not to be compared.
#[must_use]
pub fn compared(
    label: &Label,
    recorded: &Outcome,
    ours: &Outcome,
    reader: &Version,
) -> (Map<String, Value>, Map<String, Value>) {
    let mut theirs = expected(recorded, label, reader);
    let mut ours = seen(ours, label);
    ours.retain(|part, _| theirs.contains_key(part));
    theirs.retain(|part, _| ours.contains_key(part));
    (ours, theirs)
}

/// Why a version's answer cannot be an instar's, if it cannot: it knew another command line than today's.
fn incomparable(case: &Case, recorded: &Outcome) -> Option<&'static str> {
    let resizes = recorded["resizes"].as_array()?;
    let says = |text| resizes.iter().any(|r| r["err"].as_str().is_some_and(|err| err.contains(text)));
    if says(NO_SUCH_OPTION) {
        return Some("that version has no --shrink");
    }
    // An exit code is a number, and any other end a text: a busy machine's flushes take some versions minutes.
    if resizes.iter().any(|r| r["rc"].is_string()) {
        return Some("that version did not end by itself in the time allowed");
    }
    if says(NO_SHRINKING) {
        return Some("that version shrinks no qcow2 image");
    }
    // Early versions shrink without being told that data may go.
    let digits = |size: &str| size.starts_with(|c: char| c.is_ascii_digit());
    let smaller = |size: &str| digits(size) && size.parse::<u64>().is_ok_and(|size| size < case.start);
    let mut pairs = case.resizes.iter().zip(resizes);
    let unasked =
        pairs.any(|(resize, told)| resize.flags.is_empty() && smaller(&resize.size) && told["rc"] == 0);
    (unasked && case.resizes.len() == 1).then_some("that version shrinks without --shrink")
}

/// What an instar says it does not do, if that is why it refused.
#[must_use]
pub fn unsupported(ours: &Outcome) -> Option<String> {
    let messages = ours["resizes"].as_array()?.iter().filter_map(|resize| resize["err"].as_str());
    let mut refusals =
        messages.filter(|message| message.starts_with("instar: ") && message.contains(UNSUPPORTED));
    refusals.next().map(|message| format!("instar says: {}", normalised(message).join(" ")))
}

/// Whether a resize of the case allocates anything for the new area.
fn preallocates(case: &Case) -> bool {
    ["metadata", "falloc", "full"].iter().any(|mode| case.has_flag(&format!("--preallocation={mode}")))
}

/// Whether the map depends on where the host's file has holes, which is the allocator's affair.
fn map_is_hosts(case: &Case) -> bool {
    preallocates(case) || case.options.contains_key("preallocation")
}

/// Has a map say of allocated clusters no more than that they are: whether these are holes in the host's file shows
/// as zeros. A long map, of which there is only a digest, stays.
fn without_holes(parts: &mut Map<String, Value>) {
    let Some(Value::Array(extents)) = parts.get("map") else { return };
    let mut joined: Vec<(u64, u64, String)> = Vec::new();
    for extent in extents {
        let number = |i: usize| extent[i].as_u64().unwrap_or(u64::MAX);
        let kind = extent[2].as_str().unwrap_or_default().replace("dz", "d-");
        match joined.last_mut() {
            Some(last) if last.2 == kind => last.1 += number(1),
            _ => joined.push((number(0), number(1), kind)),
        }
    }
    parts.insert("map".into(), json!(joined));
}

fn judge_part(
    case: &Case,
    oracle: &'static str,
    part: &str,
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
) -> Answered {
    let (mut excused, mut findings, mut any) = (Vec::new(), Vec::new(), false);
    for key in [part.to_string(), format!("instar-{part}")] {
        let (Some(theirs), Some(ours)) = (theirs.get(&key), ours.get(&key)) else {
            continue;
        };
        any = true;
        for difference in differences(&json!({&*key: ours}), &json!({&*key: theirs})) {
            match explain(case, &difference) {
                Some(explained) => {
                    excused.push(Excused { id: explained.id, finding: finding(case, oracle, &difference) });
                }
                None if MADE.contains(&difference.path.as_str()) => {}
                None => findings.push(finding(case, oracle, &difference)),
            }
        }
    }
    let verdict = if any { Verdict::of(findings) } else { Verdict::skip("not recorded") };
    Answered { oracle, verdict, excused }
}

fn finding(case: &Case, oracle: &'static str, difference: &Difference) -> Finding {
    let formats = ["raw", "qcow2", "qed", "luks", "vpc", "vhdx", "vmdk"];
    let format = formats.into_iter().find(|format| *format == case.format).unwrap_or("other");
    let path = difference.path.as_str();
    let one_refused =
        path == "resizes.rc" && [&difference.left, &difference.right].contains(&&Some(0.into()));
    let kind = if one_refused { Kind::OneRefused } else { difference.kind() };
    let class = Class { oracle, format, field: path.into(), direction: direction(case), kind };
    Finding { class, detail: format!("{}: {}", case.name(), difference.values()) }
}

fn direction(case: &Case) -> Direction {
    match case.resizes.as_slice() {
        [one] if one.size.parse() == Ok(case.start) => Direction::Same,
        [one] if one.flags.iter().any(|f| f == "--shrink") => Direction::Shrink,
        [_] => Direction::Grow,
        _ => Direction::Mixed,
    }
}

/// The recorded outcome as an instar and a qemu-img of version `reader` should show it: no refusal may change the file,
/// and instar's own answers must be those of qemu-img.
fn expected(recorded: &Outcome, label: &Label, reader: &Version) -> Map<String, Value> {
    let mut parts = recorded.as_object().cloned().unwrap_or_default();
    if let Some(info) = parts.get("info").cloned() {
        parts.insert("instar-info".into(), info);
    }
    let todays = TODAYS_INFO.parse::<Version>();
    if todays.is_ok_and(|first| label.version < first || *reader < first) {
        parts.remove("info");
    }
    if let Some(check) = parts.get("check").cloned() {
        parts.insert("instar-check".into(), check);
    }
    settle(&mut parts);
    for resize in parts.get_mut("resizes").and_then(Value::as_array_mut).into_iter().flatten() {
        resize["err"] = in_todays_order(resize["err"].as_str().unwrap_or_default()).into();
    }
    parts
}

/// A message with the hint before the warning.
fn in_todays_order(message: &str) -> String {
    let mut lines: Vec<&str> = message.lines().collect();
    if let [warning, hint] = lines.as_slice()
        && warning.starts_with(WARNED.0)
        && hint.starts_with(WARNED.1)
    {
        lines.reverse();
    }
    lines.join("\n")
}

/// Our outcome with the `info` of that version.
fn seen(ours: &Outcome, label: &Label) -> Map<String, Value> {
    let mut parts = ours.as_object().cloned().unwrap_or_default();
    match parts.remove("instar-info").and_then(|infos| infos.get(label.to_string()).cloned()) {
        Some(info) => parts.insert("instar-info".into(), info),
        None => None,
    };
    let changed: Vec<bool> = ours["resizes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|resize| resize["file_changed_on_refusal"] == true)
        .collect();
    settle(&mut parts);
    for (resize, changed) in parts["resizes"].as_array_mut().into_iter().flatten().zip(changed) {
        resize["file_changed_on_refusal"] = changed.into();
    }
    parts
}

/// Leaves out what is not to be compared: names of programs, and whether a refusal changed the file.
fn settle(parts: &mut Map<String, Value>) {
    let words = |value: &Value| Value::from(normalised(value.as_str().unwrap_or_default()).join("\n"));
    for part in ["check", "instar-check"] {
        if let Some(check) = parts.get_mut(part) {
            check["err"] = words(&check["err"]);
        }
    }
    for resize in parts.get_mut("resizes").and_then(Value::as_array_mut).into_iter().flatten() {
        let lines = normalised(resize["err"].as_str().unwrap_or_default());
        let lines = lines.into_iter().filter(|line| !line.starts_with(OBSOLETE)).map(|line| {
            let reworded = REWORDED.iter().find(|(old, _)| *old == line);
            reworded.map_or(line, |(_, new)| (*new).to_string())
        });
        resize["err"] = lines.collect::<Vec<_>>().join("\n").into();
        resize["file_changed_on_refusal"] = false.into();
    }
}

#[cfg(test)]
mod tests;
