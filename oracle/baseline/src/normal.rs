//! The one list of rules by which an outcome is made independent of the host and of chance.
//!
//! Applying them twice changes nothing more. docs/oracle.md lists them for people.

use crate::Outcome;
use crate::hash::digits;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Raised with every change of the rules: an interrupted regeneration under other rules is not resumed.
pub const RULES: u32 = 2;

/// Keys of the tools' JSON whose value becomes `"*"`: space on the host, random names, clocks, and what a benchmark
/// of the machine decides (key derivation of encrypted images).
pub const VOLATILE: &[&str] = &[
    "actual-size",
    "cid",
    "parent-cid",
    "uuid",
    "iters",
    "master-key-iters",
    "key-offset",
    "stripes",
    "vm-state-size",
    "date-sec",
    "date-nsec",
    "vm-clock-sec",
    "vm-clock-nsec",
];

/// VMDK subformats whose image file is a text that quotes a random number without its leading zeros: its length is
/// volatile, too.
const DESCRIBED: &[&str] =
    &["monolithicFlat", "twoGbMaxExtentFlat", "twoGbMaxExtentSparse", "vmfs", "custom", "fullDevice"];

/// More extents than this are kept as a digest.
pub const MAX_EXTENTS: usize = 24;

/// An outcome by all the rules.
#[must_use]
pub fn outcome(mut outcome: Outcome) -> Outcome {
    if let Some(parts) = outcome.as_object_mut() {
        hide_descriptor(parts);
        for part in ["info", "check"] {
            if let Some(value) = parts.get_mut(part) {
                hide_volatile(value);
            }
        }
        if let Some(map) = parts.remove("map").and_then(normal_map) {
            parts.insert("map".into(), map);
        }
        parts.values_mut().for_each(trim_messages);
    }
    outcome
}

/// Sets every volatile value to `"*"`.
pub fn hide_volatile(value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| match key.as_str() {
            key if VOLATILE.contains(&key) => *value = "*".into(),
            _ => hide_volatile(value),
        }),
        Value::Array(values) => values.iter_mut().for_each(hide_volatile),
        _ => {}
    }
}

/// Hides the length of a file whose length is volatile.
fn hide_descriptor(parts: &mut Map<String, Value>) {
    let kind = parts.get("info").map(|info| &info["format-specific"]["data"]["create-type"]);
    if !kind.and_then(Value::as_str).is_some_and(|kind| DESCRIBED.contains(&kind)) {
        return;
    }
    if let Some(length) = parts.get_mut("host").and_then(|host| host.get_mut("length")) {
        *length = "*".into();
    }
    // That of the version, and instar's in the schema of each.
    parts.get_mut("info").into_iter().for_each(hide_file);
    let infos = parts.get_mut("instar-info").and_then(Value::as_object_mut);
    infos.into_iter().flat_map(Map::values_mut).for_each(hide_file);
}

fn hide_file(info: &mut Value) {
    let children = info.get_mut("children").and_then(Value::as_array_mut);
    for child in children.into_iter().flatten().filter(|c| c["name"] == "file") {
        if let Some(size) = child["info"].get_mut("virtual-size") {
            *size = "*".into();
        }
    }
}

/// Neighbouring extents of one kind are one (where in the file they lie, which splits them, is an allocator's choice);
/// a long list is its digest. A digest of another maker, who did not join them, says nothing and is left out.
fn normal_map(map: Value) -> Option<Value> {
    match map {
        Value::Array(extents) => {
            let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
            let joined = joined(extents.iter().map(|e| (number(&e[0]), number(&e[1]), e[2].clone())));
            Some(shortened(joined))
        }
        Value::Object(ref fields) if fields.contains_key("joined") => Some(map),
        _ => None,
    }
}

fn joined(extents: impl Iterator<Item = (u64, u64, Value)>) -> Vec<(u64, u64, Value)> {
    let mut found: Vec<(u64, u64, Value)> = Vec::new();
    for (start, length, kind) in extents {
        match found.last_mut() {
            Some(last) if last.2 == kind => last.1 += length,
            _ => found.push((start, length, kind)),
        }
    }
    found
}

fn shortened(extents: Vec<(u64, u64, Value)>) -> Value {
    let count = extents.len();
    let list = json!(extents);
    if count <= MAX_EXTENTS {
        return list;
    }
    let digest = digits(&Sha256::digest(list.to_string())[..8]);
    json!({"joined": count, "sha": digest})
}

/// Messages lose the line end at their end.
fn trim_messages(value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| match value {
            Value::String(text) if key == "err" || key == "out" => *text = text.trim_end().into(),
            _ => trim_messages(value),
        }),
        Value::Array(values) => values.iter_mut().for_each(trim_messages),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_does_what_it_says_and_no_more() {
        let wild = json!({"info": {"actual-size": 5, "virtual-size": 6, "children": [{"cid": 1}]},
            "resizes": [{"out": "Image resized.\n", "rc": 0}],
            "map": [[0, 5, "d-0"], [5, 5, "d-0"], [10, 1, "-z0"]]});
        let tame = json!({"info": {"actual-size": "*", "virtual-size": 6, "children": [{"cid": "*"}]},
            "resizes": [{"out": "Image resized.", "rc": 0}],
            "map": [[0, 10, "d-0"], [10, 1, "-z0"]]});
        assert_eq!(outcome(wild), tame);
        assert_eq!(outcome(tame.clone()), tame);
    }

    #[test]
    fn the_length_of_a_descriptor_is_chance_and_that_of_an_extent_is_not() {
        let with = |kind: &str| {
            let child = json!({"name": "file", "info": {"virtual-size": 345}});
            let specific = json!({"data": {"create-type": kind}});
            let info = json!({"format-specific": specific, "children": [child]});
            outcome(json!({"host": {"length": 345}, "info": &info, "instar-info": {"8.0.0": &info}}))
        };
        assert_eq!(with("monolithicFlat")["host"]["length"], "*");
        assert_eq!(with("monolithicFlat")["info"]["children"][0]["info"]["virtual-size"], "*");
        assert_eq!(
            with("monolithicFlat")["instar-info"]["8.0.0"]["children"][0]["info"]["virtual-size"],
            "*"
        );
        assert_eq!(with("monolithicSparse")["host"]["length"], 345);
    }

    #[test]
    fn a_long_map_is_its_digest_and_stays_it() {
        let extents: Vec<_> = (0..30).map(|i| (i, 1, if i % 2 == 0 { "d-0" } else { "-z0" })).collect();
        let short = outcome(json!({"map": extents}));
        assert_eq!(short["map"]["joined"], 30);
        assert_eq!(outcome(short.clone()), short);
        assert_eq!(outcome(json!({"map": {"extents": 30, "sha": "x"}})), json!({}));
    }
}
