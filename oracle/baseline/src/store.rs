//! The files of baselines: one per format, one line per outcome of a case, sorted.
//!
//! A line is `{"case": ..., "key": ..., "outcome": ..., "versions": [...]}` with the keys of every object sorted. Cases are
//! in the order of their names, the outcomes of one case in that of their oldest versions, so that the same knowledge
//! is the same bytes.

use crate::{BaselineError, Case, Label, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// An outcome with the versions that gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The outcome.
    pub outcome: Outcome,
    /// Who gave it; never nobody.
    pub versions: BTreeSet<Label>,
}

/// A case with its distinct outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The case.
    pub case: Case,
    /// The outcomes, those of the oldest versions first.
    pub answers: Vec<Answer>,
}

/// All that is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Store {
    /// By name and key of the case.
    entries: BTreeMap<(String, String), Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    case: Case,
    key: String,
    outcome: Outcome,
    versions: BTreeSet<Label>,
}

impl Store {
    /// Reads every `*.jsonl` of `dir`; a directory that is not there is an empty store.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is none of a baseline.
    pub fn load(dir: &Path) -> Result<Self, BaselineError> {
        let mut store = Self::default();
        for path in files(dir)? {
            let text = std::fs::read_to_string(&path).map_err(BaselineError::io(&path))?;
            for (i, line) in text.lines().enumerate() {
                let bad = |reason: String| BaselineError::Line { path: path.clone(), line: i + 1, reason };
                let line: Line = serde_json::from_str(line).map_err(|e| bad(e.to_string()))?;
                if line.key != line.case.key() {
                    return Err(bad(format!("the key of this case is {}", line.case.key())));
                }
                for version in line.versions {
                    store.set(&line.case, version, line.outcome.clone());
                }
            }
        }
        Ok(store)
    }

    /// Writes one file per format into `dir`, and removes those of formats that it knows nothing of.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), BaselineError> {
        std::fs::create_dir_all(dir).map_err(BaselineError::io(dir))?;
        let mut texts: BTreeMap<&str, String> = BTreeMap::new();
        for entry in self.entries.values() {
            let text = texts.entry(&entry.case.format).or_default();
            for answer in &entry.answers {
                *text += &line(entry, answer)?;
                text.push('\n');
            }
        }
        for path in files(dir)? {
            let format = path.file_stem().unwrap_or_default().to_string_lossy();
            if !texts.contains_key(&*format) {
                std::fs::remove_file(&path).map_err(BaselineError::io(&path))?;
            }
        }
        for (format, text) in texts {
            let path = dir.join(format!("{format}.jsonl"));
            // Under another name first: an interrupted run leaves no half of a file.
            let temporary = dir.join(format!("{format}.tmp"));
            std::fs::write(&temporary, text).map_err(BaselineError::io(&temporary))?;
            std::fs::rename(&temporary, &path).map_err(BaselineError::io(&path))?;
        }
        Ok(())
    }

    /// Keeps what `label` answered to `case`, in the place of what it answered before.
    pub fn set(&mut self, case: &Case, label: Label, outcome: Outcome) {
        let empty = || Entry { case: case.clone(), answers: Vec::new() };
        let answers = &mut self.entries.entry((case.name(), case.key())).or_insert_with(empty).answers;
        for answer in answers.iter_mut() {
            answer.versions.remove(&label);
        }
        match answers.iter_mut().find(|answer| answer.outcome == outcome) {
            Some(answer) => {
                answer.versions.insert(label);
            }
            None => answers.push(Answer { outcome, versions: BTreeSet::from([label]) }),
        }
        answers.retain(|answer| !answer.versions.is_empty());
        answers.sort_by(|a, b| a.versions.first().cmp(&b.versions.first()));
    }

    /// Every case with its outcomes, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// What is known of `case`.
    #[must_use]
    pub fn entry(&self, case: &Case) -> Option<&Entry> {
        self.entries.get(&(case.name(), case.key()))
    }

    /// Every version that answered anything.
    #[must_use]
    pub fn labels(&self) -> BTreeSet<Label> {
        self.entries().flat_map(|e| &e.answers).flat_map(|a| &a.versions).cloned().collect()
    }

    /// The newest version that a word means: `8.2`, `5.2.0-src`.
    #[must_use]
    pub fn select(&self, word: &str) -> Option<Label> {
        self.labels().into_iter().rfind(|label| label.is_meant_by(word))
    }
}

impl Entry {
    /// What `label` answered.
    #[must_use]
    pub fn outcome(&self, label: &Label) -> Option<&Outcome> {
        self.answers.iter().find(|answer| answer.versions.contains(label)).map(|answer| &answer.outcome)
    }
}

fn line(entry: &Entry, answer: &Answer) -> Result<String, BaselineError> {
    let line = Line {
        key: entry.case.key(),
        case: entry.case.clone(),
        outcome: answer.outcome.clone(),
        versions: answer.versions.clone(),
    };
    // By way of a value, whose objects have their keys sorted.
    let value = serde_json::to_value(&line).map_err(|e| BaselineError::Unreadable(e.to_string()))?;
    Ok(value.to_string())
}

fn files(dir: &Path) -> Result<Vec<std::path::PathBuf>, BaselineError> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(BaselineError::io(dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(BaselineError::io(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
