//! Fresh images of formats that no qemu-img resizes: instar makes one of the same options and size, and it has to be
//! accepted, or refused, and described as that version's own.

use super::{ANSWERS, Answered, compared, judge_part};
use crate::{Case, Label, Outcome};
use oracle_judge::Version;
use serde_json::{Map, Value, json};

/// The first version that makes a dynamic VHD's table no longer than its disk is, where a size is kept exactly.
const TABLE_FITS: &str = "5.0";
/// The VMDK subformat that instar creates in the form of the specification, not in qemu-img's.
const STREAM: &str = "streamOptimized";
/// What `qemu-img check` exits with that checks no image of a format.
const NO_CHECK: u64 = 63;

/// Holds `ours`, an image that instar made, to one that `label` made.
pub fn judge(
    case: &Case,
    label: &Label,
    recorded: &Outcome,
    ours: &Outcome,
    reader: &Version,
) -> Vec<Answered> {
    let made = |outcome: &Outcome| only_code(&outcome["create"]);
    let created = judge_part(case, "baseline-create", "create", &made(ours), &made(recorded));
    let refused = [ours, recorded].iter().any(|outcome| outcome["create"]["rc"] != 0);
    // What was not made has no parts.
    let (ours, theirs) =
        if refused { Default::default() } else { comparable(case, label, recorded, ours, reader) };
    let longer = TABLE_FITS.parse().is_ok_and(|first: Version| label.version < first);
    let judged = |(oracle, part): &(&'static str, &str)| match *part {
        "create" => created.clone(),
        "resizes" | "header" => Answered::skip(oracle, format!("qemu-img does not resize {}", case.format)),
        _ if refused => Answered::skip(oracle, "no image was made"),
        "map" if label.version != *reader => {
            Answered::skip(oracle, "the map is that of the version that reads")
        }
        "map" if has_holes(case) => Answered::skip(oracle, "the map shows the host's holes"),
        "host" if is(case, STREAM) => {
            Answered::skip(oracle, "instar writes streams in the form of the specification")
        }
        "host" if longer && is(case, "dynamic") && case.format == "vpc" => {
            Answered::skip(oracle, "that version makes tables longer than they need be")
        }
        part => judge_part(case, oracle, part, &ours, &theirs),
    };
    ANSWERS.iter().map(judged).collect()
}

/// What of both images is compared, instar's first.
fn comparable(
    case: &Case,
    label: &Label,
    recorded: &Outcome,
    ours: &Outcome,
    reader: &Version,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut ours, mut theirs) = compared(label, recorded, ours, reader);
    for parts in [&mut ours, &mut theirs] {
        // Probed, a fixed VHD is a raw file to qemu-img, whereas instar is told the format.
        if recorded["info"]["format"] != case.format.as_str() {
            parts.remove("instar-info");
        }
        // instar checks what qemu-img does not.
        if recorded["check"]["rc"] == NO_CHECK {
            parts.remove("instar-check");
        }
        for info in ["info", "instar-info"].into_iter().filter(|_| is(case, STREAM)) {
            parts.get_mut(info).and_then(Value::as_object_mut).and_then(|info| info.remove("children"));
        }
    }
    (ours, theirs)
}

fn is(case: &Case, subformat: &str) -> bool {
    case.options.get("subformat").is_some_and(|own| own == subformat)
}

/// Whether the host's file has holes where nobody wrote, as it is all there is of the disk.
fn has_holes(case: &Case) -> bool {
    ["fixed", "monolithicFlat", "twoGbMaxExtentFlat"].iter().any(|subformat| is(case, subformat))
}

/// Whether it was made: releases word refusals differently, and `oracle compare` holds those of instar to live ones.
fn only_code(create: &Value) -> Map<String, Value> {
    let code = json!({ "rc": create["rc"] });
    [("create".to_string(), code)].into_iter().collect()
}
