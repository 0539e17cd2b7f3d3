//! Taking over answers that were recorded elsewhere, of versions that no package provides.

use crate::{BaselineError, Case, Label, Outcome, Store, normal};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A line of such a record.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    case: Case,
    outcomes: Vec<Given>,
}

/// An outcome whose other fields are its parts.
#[derive(Deserialize)]
struct Given {
    versions: Vec<Label>,
    #[serde(flatten)]
    parts: serde_json::Map<String, Value>,
}

/// Adds the recorded answers of `path`, a JSONL file or a directory of them, to `store`, and returns how many there
/// are. A line is `{"case": CASE, "outcomes": [{"versions": [...], PARTS...}]}`; what they say of a version stands in
/// the place of what was known of it.
///
/// # Errors
/// A file cannot be read, or a line is not of that form.
pub fn import(path: &Path, store: &mut Store) -> Result<usize, BaselineError> {
    let mut count = 0;
    for file in files(path)? {
        let text = std::fs::read_to_string(&file).map_err(BaselineError::io(&file))?;
        for (i, line) in text.lines().enumerate() {
            let bad = |e: serde_json::Error| BaselineError::Line {
                path: file.clone(),
                line: i + 1,
                reason: e.to_string(),
            };
            let recorded: Recorded = serde_json::from_str(line).map_err(bad)?;
            count += add(store, recorded);
        }
    }
    Ok(count)
}

fn add(store: &mut Store, recorded: Recorded) -> usize {
    let mut count = 0;
    for given in recorded.outcomes {
        let outcome: Outcome = normal::outcome(Value::Object(given.parts));
        for label in given.versions {
            store.set(&recorded.case, label, outcome.clone());
            count += 1;
        }
    }
    count
}

fn files(path: &Path) -> Result<Vec<PathBuf>, BaselineError> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(BaselineError::io(path))? {
        let file = entry.map_err(BaselineError::io(path))?.path();
        if file.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_answers_are_normalised_and_shared() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("raw.jsonl");
        let line = r#"{"case":{"format":"raw","options":{},"start":512,"setup":[],"writes":[],"resizes":[]},
            "outcomes":[{"versions":["2.10.0","8.2.0"],"info":{"actual-size":7}},
                        {"versions":["9.0.0"],"info":{"actual-size":8}}]}"#;
        std::fs::write(&file, line.replace('\n', " ")).unwrap();
        let mut store = Store::default();
        assert_eq!(import(dir.path(), &mut store).unwrap(), 3);
        let entry = store.entries().next().unwrap();
        assert_eq!(entry.answers.len(), 1);
        assert_eq!(entry.answers[0].versions.len(), 3);
        std::fs::write(&file, r#"{"case":{}}"#).unwrap();
        assert!(matches!(import(&file, &mut store), Err(BaselineError::Line { line: 1, .. })));
    }
}
