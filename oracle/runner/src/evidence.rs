//! What two sides say of the same thing, line beside line, for the drill-down of a report.

use anyhow::Result;
use oracle_judge::{Desk, Record, State, Subject};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// How many lines are kept of one pair of documents; a map of a large image has thousands.
const MAX_LINES: usize = 240;
/// How many characters are kept of one line.
const MAX_CHARS: usize = 400;
/// Lines that are shown around a difference when a pair of documents is too long to show it all.
const CONTEXT: usize = 4;

/// Two documents side by side.
#[derive(Debug, Clone, Serialize)]
pub struct Evidence {
    /// Whose document is on the left.
    pub left: String,
    /// Whose is on the right.
    pub right: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// How many lines were left out.
    pub omitted: usize,
}

/// One line of both documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The keys that lead here, joined with dots, without list positions: as a class names a field.
    pub path: String,
    /// The left line, empty if it has none here.
    pub left: String,
    /// The right line, empty if it has none here.
    pub right: String,
    /// Whether the two differ.
    pub differs: bool,
}

/// What `left` and `right` came to, or without a right side, the image before and after.
///
/// # Errors
/// A tool could not be asked.
pub fn gather(desk: &Desk, left: &Record, right: Option<&Record>) -> Result<Evidence> {
    let name = left.subject.name();
    let Some(right) = right else {
        let before = image(desk, left.subject, &left.start, None)?;
        let mut after = image(desk, left.subject, left.last(), None)?;
        after.insert("resizes".into(), resizes(left));
        return Ok(Evidence::of((format!("{name}, before"), before), (format!("{name}, after"), after)));
    };
    let one = |record: &Record, other: &Record| -> Result<(String, Map<String, Value>)> {
        let mut document = image(desk, record.subject, record.last(), Some(other.subject))?;
        document.insert("resizes".into(), resizes(record));
        Ok((record.subject.name().into(), document))
    };
    Ok(Evidence::of(one(left, right)?, one(right, left)?))
}

/// What a subject says of an image, in the schema of `schema`.
fn image(
    desk: &Desk,
    who: &dyn Subject,
    image: &State,
    schema: Option<&dyn Subject>,
) -> Result<Map<String, Value>> {
    let mut document = Map::new();
    document.insert("file-length".into(), json!(image.len));
    document.insert("allocated".into(), json!(image.allocated));
    for (verb, answer) in [("info", desk.info(who, image, schema)?), ("check", desk.check(who, image)?)] {
        let said = answer.json.clone().unwrap_or_else(|| json!(answer.ran.summary()));
        document.insert(verb.into(), said);
    }
    Ok(document)
}

fn resizes(record: &Record) -> Value {
    let one = |step: &oracle_judge::Step| {
        json!({
            "ending": format!("{:?}", step.ran.ending),
            "stdout": step.ran.stdout.trim_end(),
            "stderr": step.ran.stderr.trim_end(),
            "file-length": step.after.len,
        })
    };
    record.steps.iter().map(one).collect()
}

impl Evidence {
    /// Lays two named documents side by side.
    pub fn of(left: (String, Map<String, Value>), right: (String, Map<String, Value>)) -> Self {
        let mut lines = Vec::new();
        let (l, r) = (Value::Object(left.1), Value::Object(right.1));
        walk(&mut lines, &Place::default(), Some(&l), Some(&r));
        let all = lines.len();
        let lines = abridged(lines);
        Self { left: left.0, right: right.0, omitted: all - lines.len(), lines }
    }
}

/// Drops what is far from any difference if there are too many lines, and what is too much even then.
fn abridged(lines: Vec<Line>) -> Vec<Line> {
    if lines.len() <= MAX_LINES {
        return lines;
    }
    let near: Vec<bool> = (0..lines.len())
        .map(|i| {
            let around = i.saturating_sub(CONTEXT)..(i + CONTEXT + 1).min(lines.len());
            lines.get(around).is_some_and(|lines| lines.iter().any(|line| line.differs))
        })
        .collect();
    let kept = lines.into_iter().zip(near).filter_map(|(line, near)| near.then_some(line));
    kept.take(MAX_LINES).collect()
}

/// Where a value stands in a document.
#[derive(Default)]
struct Place {
    path: String,
    key: Option<String>,
    depth: usize,
}

impl Place {
    fn below(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) };
        Self { path, key: Some(key.into()), depth: self.depth + 1 }
    }

    fn item(&self) -> Self {
        Self { path: self.path.clone(), key: None, depth: self.depth + 1 }
    }

    fn line(&self, value: Option<String>) -> String {
        let Some(value) = value else { return String::new() };
        let key = self.key.as_ref().map_or(String::new(), |key| format!("{key}: "));
        let text = format!("{}{key}{value}", "  ".repeat(self.depth.saturating_sub(1)));
        text.chars().take(MAX_CHARS).collect()
    }
}

fn walk(lines: &mut Vec<Line>, place: &Place, left: Option<&Value>, right: Option<&Value>) {
    let children = children(place, left, right);
    let head = |value: &Value| match value {
        Value::Object(map) if !map.is_empty() => if place.key.is_none() { "-" } else { "" }.to_string(),
        Value::Array(items) if !items.is_empty() => format!("[{}]", items.len()),
        other => other.to_string(),
    };
    let (l, r) = (left.map(head), right.map(head));
    if place.depth > 0 {
        let differs = l != r;
        lines.push(Line { path: place.path.clone(), left: place.line(l), right: place.line(r), differs });
    }
    for (place, left, right) in children {
        walk(lines, &place, left, right);
    }
}

type Child<'v> = (Place, Option<&'v Value>, Option<&'v Value>);

/// What is below a value, on either side.
fn children<'v>(place: &Place, left: Option<&'v Value>, right: Option<&'v Value>) -> Vec<Child<'v>> {
    let keys = |value: Option<&'v Value>| value.and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let mut names: Vec<&String> = keys(left).collect();
    names.extend(keys(right).filter(|key| left.is_none_or(|left| left.get(key.as_str()).is_none())));
    let get = |value: Option<&'v Value>, key: &str| value.and_then(|value| value.get(key));
    let mut found: Vec<Child> =
        names.iter().map(|key| (place.below(key), get(left, key), get(right, key))).collect();
    let items = |value: Option<&'v Value>| value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (l, r) = (items(left), items(right));
    found.extend((0..l.len().max(r.len())).map(|i| (place.item(), l.get(i), r.get(i))));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(left: Value, right: Value) -> Evidence {
        let map = |value: Value| value.as_object().cloned().unwrap_or_default();
        Evidence::of(("a".into(), map(left)), ("b".into(), map(right)))
    }

    #[test]
    fn what_differs_is_marked_and_what_is_missing_leaves_a_gap() {
        let it = aligned(json!({"a": {"x": 1, "y": [1, 2]}}), json!({"a": {"x": 2, "y": [1]}, "z": null}));
        let marked: Vec<_> = it.lines.iter().filter(|line| line.differs).collect();
        let paths: Vec<&str> = marked.iter().map(|line| line.path.as_str()).collect();
        assert_eq!(paths, ["a.x", "a.y", "a.y", "z"]);
        assert_eq!((marked[0].left.as_str(), marked[0].right.as_str()), ("  x: 1", "  x: 2"));
        assert_eq!(marked[2].right, "");
        assert_eq!(marked[3].left, "");
    }

    #[test]
    fn a_long_pair_is_cut_to_what_lies_around_its_differences() {
        let long: Vec<u32> = (0..5000).collect();
        let mut other = long.clone();
        other[2500] = 7;
        let it = aligned(json!({ "l": long }), json!({ "l": other }));
        assert_eq!(it.lines.len(), 2 * CONTEXT + 1);
        assert_eq!(it.lines.len() + it.omitted, 5001);
        assert!(it.lines[CONTEXT].differs);
    }
}
