//! Making messages and JSON of different tools comparable.

use crate::Kind;
use serde_json::Value;

/// The lines of a message without the name of the program that says it. Hints how to call a
/// program, which every version words in its own way, are left out.
#[must_use]
pub fn normalised(message: &str) -> Vec<String> {
    let hint = |line: &&str| !line.starts_with("Try '");
    message.lines().filter(hint).map(|line| without_program(line).to_string()).collect()
}

fn without_program(line: &str) -> &str {
    let Some((program, rest)) = line.split_once(": ") else {
        return line;
    };
    let name = program.split(' ').next().unwrap_or_default();
    if matches!(name, "qemu-img" | "qemu-io" | "instar") {
        return rest;
    }
    line
}

/// Keys of `info` that say something about the host and not about the image.
const ENVIRONMENT: &[&str] = &[
    "filename",
    "full-backing-filename",
    "actual-size",
    "extent-size-hint",
    "date-sec",
    "date-nsec",
    "vm-clock-sec",
    "vm-clock-nsec",
    "icount",
];

/// `info` without what depends on the host; of the node below the image only its format, because
/// its length is judged elsewhere.
#[must_use]
pub fn without_environment(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let below = map.get("format").is_some_and(|format| format == "file");
            let drop = |key: &str| ENVIRONMENT.contains(&key) || below && key == "virtual-size";
            let kept = map.iter().filter(|(key, _)| !drop(key));
            Value::Object(kept.map(|(k, v)| (k.clone(), without_environment(v))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_environment).collect()),
        other => other.clone(),
    }
}

/// `info` without what every new image has of its own.
#[must_use]
pub fn without_identity(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(key, _)| key != "cid");
            Value::Object(kept.map(|(key, value)| (key, without_identity(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_identity).collect()),
        other => other,
    }
}

/// One place where two values differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path of keys, joined with dots; list positions are left out, they are no class of their own.
    pub path: String,
    /// The left value, if there is one.
    pub left: Option<Value>,
    /// The right value, if there is one.
    pub right: Option<Value>,
}

impl Difference {
    /// How the two differ.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_u64);
        match (&self.left, &self.right, number(&self.left), number(&self.right)) {
            (_, _, Some(left), Some(right)) if left < right => Kind::Less,
            (_, _, Some(left), Some(right)) if left > right => Kind::More,
            (Some(_), None, ..) => Kind::Extra,
            (None, Some(_), ..) => Kind::Missing,
            _ => Kind::Differs,
        }
    }

    /// Both values, for a person.
    #[must_use]
    pub fn values(&self) -> String {
        let show = |v: &Option<Value>| v.as_ref().map_or("nothing".into(), ToString::to_string);
        format!("{} here, {} there", show(&self.left), show(&self.right))
    }
}

/// Every place where two values differ.
#[must_use]
pub fn differences(left: &Value, right: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    descend("", Some(left), Some(right), &mut found);
    found
}

fn descend(path: &str, left: Option<&Value>, right: Option<&Value>, found: &mut Vec<Difference>) {
    let below = |key: &str| match path {
        "" => key.to_string(),
        _ => format!("{path}.{key}"),
    };
    match (left, right) {
        (Some(Value::Object(l)), Some(Value::Object(r))) => {
            let extra = r.keys().filter(|k| !l.contains_key(*k));
            for key in l.keys().chain(extra) {
                descend(&below(key), l.get(key), r.get(key), found);
            }
        }
        (Some(Value::Array(l)), Some(Value::Array(r))) => {
            for i in 0..l.len().max(r.len()) {
                descend(path, l.get(i), r.get(i), found);
            }
        }
        (l, r) if l == r => {}
        (l, r) => found.push(Difference { path: path.to_string(), left: l.cloned(), right: r.cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_loses_its_program_and_its_hint() {
        let text = "qemu-img resize: invalid option -- '5'\nTry 'qemu-img resize --help' for more info\n";
        assert_eq!(normalised(text), ["invalid option -- '5'"]);
        assert_eq!(normalised("instar: Bad: worse"), ["Bad: worse"]);
        assert_eq!(normalised("WARNING: x"), ["WARNING: x"]);
    }

    #[test]
    fn info_keeps_the_image_and_drops_the_host() {
        let info = json!({"virtual-size": 5, "filename": "a", "actual-size": 3, "format": "qcow2",
            "children": [{"name": "file", "info": {"format": "file", "virtual-size": 9}}]});
        let kept = json!({"virtual-size": 5, "format": "qcow2",
            "children": [{"name": "file", "info": {"format": "file"}}]});
        assert_eq!(without_environment(&info), kept);
    }

    #[test]
    fn differences_name_their_path() {
        let found = differences(&json!({"a": [{"b": 1}], "c": 2}), &json!({"a": [{"b": 3}], "d": 2}));
        let paths: Vec<_> = found.iter().map(|d| d.path.as_str()).collect();
        assert_eq!(paths, ["a.b", "c", "d"]);
        assert_eq!(found[1].values(), "2 here, nothing there");
        let kinds: Vec<_> = found.iter().map(Difference::kind).collect();
        assert_eq!(kinds, [Kind::Less, Kind::Extra, Kind::Missing]);
    }
}
