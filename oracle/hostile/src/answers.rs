//! What a qemu-img said before: the same question about the same bytes has the same answer.

use crate::HostileError;
use oracle_case::child::Ending;
use oracle_judge::subject::Ran;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How a program ended that was waited for in vain, in JSON.
const TIMED_OUT: &str = "timed-out";

/// Answers by question.
#[derive(Debug, Default)]
pub struct Answers {
    known: Mutex<BTreeMap<String, Value>>,
}

impl Answers {
    /// Those of an earlier run; none if `path` is not there.
    ///
    /// # Errors
    /// The file cannot be read, or is something else.
    pub fn load(path: &Path) -> Result<Self, HostileError> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(path).map_err(HostileError::io(path))?;
        let known = serde_json::from_str(&text).map_err(|e| HostileError::io(path)(e.into()))?;
        Ok(Self { known: Mutex::new(known) })
    }

    /// Keeps them for a later run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), HostileError> {
        let text = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            serde_json::to_string(&*known).map_err(|e| HostileError::io(path)(e.into()))?
        };
        // Another run must never see half of it.
        let new = path.with_extension("new");
        std::fs::write(&new, text).map_err(HostileError::io(&new))?;
        std::fs::rename(&new, path).map_err(HostileError::io(path))
    }

    /// The answer to the question `key`, asked if it was not before.
    ///
    /// # Errors
    /// Those of `ask`.
    pub fn remembered(
        &self,
        key: String,
        ask: impl FnOnce() -> Result<Value, HostileError>,
    ) -> Result<Value, HostileError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(answer) = known {
            return Ok(answer);
        }
        let answer = ask()?;
        // One that was waited for in vain may come another time.
        if [&answer, &answer["ran"]].iter().any(|told| told["ending"][0] == TIMED_OUT) {
            return Ok(answer);
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, answer.clone());
        Ok(answer)
    }
}

/// What a program left behind, as JSON.
pub fn to_json(ran: &Ran) -> Value {
    let ending = match ran.ending {
        Ending::Exit(code) => json!(["exit", code]),
        Ending::Signal(signal) => json!(["signal", signal]),
        Ending::TimedOut => json!([TIMED_OUT, 0]),
    };
    json!({ "ending": ending, "stdout": ran.stdout, "stderr": ran.stderr })
}

/// And back.
pub fn from_json(value: &Value) -> Ran {
    let number = value["ending"][1].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(-1);
    let ending = match value["ending"][0].as_str() {
        Some("exit") => Ending::Exit(number),
        Some("signal") => Ending::Signal(number),
        _ => Ending::TimedOut,
    };
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_string();
    Ran { ending, stdout: text("stdout"), stderr: text("stderr") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("answers.json");
        let ran = Ran { ending: Ending::Exit(3), stdout: "a".into(), stderr: "b\n".into() };
        let answers = Answers::load(&file).unwrap();
        answers.remembered("q".into(), || Ok(to_json(&ran))).unwrap();
        answers.save(&file).unwrap();
        let again = Answers::load(&file).unwrap().remembered("q".into(), || panic!("asked twice")).unwrap();
        assert_eq!(from_json(&again), ran);
    }

    #[test]
    fn one_that_did_not_come_is_asked_for_again() {
        let answers = Answers::default();
        let late = Ran { ending: Ending::TimedOut, stdout: String::new(), stderr: String::new() };
        let ran = Ran { ending: Ending::Exit(0), ..late.clone() };
        for told in [late, ran] {
            let answer = answers.remembered("q".into(), || Ok(to_json(&told))).unwrap();
            assert_eq!(from_json(&answer), told);
        }
    }
}
