//! What an interrupted regeneration has already found out.

use anyhow::{Context, Result};
use oracle_baseline::{Case, Outcome, normal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file with one line per finished case of one version.
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    /// Outcomes by the key of the case.
    pub found: BTreeMap<String, Outcome>,
}

/// The first line: an answer of another binary, or by other rules, is none of ours.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    binary: String,
    rules: u32,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    outcome: Outcome,
}

impl Journal {
    /// Opens the journal of the version called `label` in `dir`, and begins it anew if it is not about `binary`.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(dir: &Path, label: &str, binary: &str) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let path = dir.join(format!("{label}.jsonl"));
        let head = Head { binary: binary.into(), rules: normal::RULES };
        let found = read(&path, &head).unwrap_or_default();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut file = file.with_context(|| path.display().to_string())?;
        if found.is_empty() {
            file.set_len(0)?;
            writeln!(file, "{}", serde_json::to_string(&head)?)?;
        }
        Ok(Self { path, file: Mutex::new(file), found })
    }

    /// Notes what came of `case`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(&self, case: &Case, outcome: &Outcome) -> Result<()> {
        let line = serde_json::to_string(&Line { key: case.key(), outcome: outcome.clone() })?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{line}").with_context(|| self.path.display().to_string())
    }

    /// Removes the file: all of it is kept elsewhere now.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn finish(self) -> Result<()> {
        std::fs::remove_file(&self.path).with_context(|| self.path.display().to_string())
    }
}

/// What the journal holds, if it begins with `head`. A last line that was cut off is as good as none.
fn read(path: &Path, head: &Head) -> Option<BTreeMap<String, Outcome>> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    let first: Head = serde_json::from_str(lines.next()?).ok()?;
    let line = |line| serde_json::from_str::<Line>(line).ok().map(|line| (line.key, line.outcome));
    (first == *head).then(|| lines.filter_map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use oracle_baseline::matrix;
    use serde_json::json;

    #[test]
    fn what_was_noted_is_found_again_unless_the_binary_changed() {
        let dir = tempfile::tempdir().unwrap();
        let case = matrix().remove(0);
        let journal = Journal::open(dir.path(), "8.2.0", "one").unwrap();
        journal.note(&case, &json!({"a": 1})).unwrap();
        drop(journal);
        let again = Journal::open(dir.path(), "8.2.0", "one").unwrap();
        assert_eq!(again.found.get(&case.key()), Some(&json!({"a": 1})));
        drop(again);
        assert!(Journal::open(dir.path(), "8.2.0", "other").unwrap().found.is_empty());
    }
}
