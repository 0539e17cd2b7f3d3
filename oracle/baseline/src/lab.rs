//! Carrying a case out.

use crate::ask::ask;
use crate::observe::{check, code, json_or_words, message, observe};
use crate::{BaselineError, Case, Label, Outcome, Resize, make, normal};
use oracle_case::Tools;
use oracle_case::child::Tool;
use oracle_judge::sparse::fingerprint;
use oracle_judge::subject::{IMAGE, Ran};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// A refused resize is only looked at for changes of files shorter than this many bytes.
const MAX_GUARDED: u64 = 64 << 20;

/// Who resizes.
#[derive(Debug, Clone)]
pub enum Resizer {
    /// The qemu-img that also makes and reads the image.
    Maker,
    /// An instar.
    Instar {
        /// The program.
        tool: Tool,
        /// `--engine`.
        engine: String,
    },
}

/// A place with tools.
#[derive(Debug, Clone)]
pub struct Lab {
    /// What makes the images and reads the results.
    pub tools: Tools,
    /// Who resizes in between.
    pub resizer: Resizer,
    /// Where temporary directories are made.
    pub place: PathBuf,
}

impl Lab {
    /// Carries `case` out and returns what came of it, normalised. With an instar the outcome has two more parts:
    /// `instar-info`, its `info` in the schema of each of `versions`, and `instar-check`.
    ///
    /// # Errors
    /// A tool cannot be started, or a file not be read. A tool's refusal is part of the outcome.
    pub fn run(&self, case: &Case, versions: &[Label]) -> Result<Outcome, BaselineError> {
        let place = tempfile::Builder::new().prefix("baseline-").tempdir_in(&self.place);
        let place = place.map_err(BaselineError::io(&self.place))?;
        let bench = Bench { lab: self, case, dir: place.path() };
        let instar = match &self.resizer {
            Resizer::Maker => None,
            Resizer::Instar { tool, engine } => Some((tool, engine.as_str())),
        };
        let mut found = make::make(case, bench.dir, &self.tools, instar)?;
        if found["create"]["rc"] == 0 {
            bench.resize_all(&mut found)?;
            observe(case, bench.dir, &self.tools.qemu_img, &mut found)?;
            bench.ask_instar(versions, &mut found)?;
        }
        Ok(normal::outcome(Value::Object(found)))
    }
}

struct Bench<'a> {
    lab: &'a Lab,
    case: &'a Case,
    dir: &'a Path,
}

impl Bench<'_> {
    fn resize_all(&self, found: &mut Map<String, Value>) -> Result<(), BaselineError> {
        let resizes: Result<_, _> = self.case.resizes.iter().map(|resize| self.resize(resize)).collect();
        found.insert("resizes".into(), Value::Array(resizes?));
        Ok(())
    }

    fn resize(&self, resize: &Resize) -> Result<Value, BaselineError> {
        let image = self.dir.join(IMAGE);
        let len = std::fs::metadata(&image).map_err(BaselineError::io(&image))?.len();
        let before = if len < MAX_GUARDED { Some(fingerprint(&image)?) } else { None };
        let (opened, name) = make::opened(self.case);
        let mut words: Vec<&str> = opened.iter().map(String::as_str).collect();
        words.extend(resize.flags.iter().map(String::as_str));
        words.extend([name.as_str(), &resize.size]);
        let ran = match &self.lab.resizer {
            Resizer::Maker => self.call(&self.lab.tools.qemu_img, "resize", &[], &words)?,
            Resizer::Instar { tool, engine } => self.call(tool, "resize", &["--engine", engine], &words)?,
        };
        let mut told = json!({"rc": code(&ran), "out": message(&ran.stdout), "err": message(&ran.stderr)});
        if let (false, Some(before)) = (ran.success(), before) {
            told["file_changed_on_refusal"] = (before != fingerprint(&image)?).into();
        }
        Ok(told)
    }

    fn ask_instar(&self, versions: &[Label], found: &mut Map<String, Value>) -> Result<(), BaselineError> {
        let Resizer::Instar { tool, engine } = &self.lab.resizer else {
            return Ok(());
        };
        let words = ["-f", &self.case.format, "--output=json", IMAGE];
        let mut infos = Map::new();
        for label in versions {
            let version = format!("--qemu-version={}", label.version);
            let ran = self.call(tool, "info", &["--engine", engine, &version], &words)?;
            let mut info = json_or_words(&ran);
            normal::hide_volatile(&mut info);
            infos.insert(label.to_string(), info);
        }
        found.insert("instar-info".into(), Value::Object(infos));
        if self.case.is_encrypted() {
            return Ok(());
        }
        let ran = self.call(tool, "check", &["--engine", engine], &words)?;
        found.insert("instar-check".into(), check(&ran));
        Ok(())
    }

    fn call(&self, tool: &Tool, verb: &str, own: &[&str], words: &[&str]) -> Result<Ran, BaselineError> {
        let args = [&[verb], own, words].concat();
        ask(tool, self.dir, args.into_iter().map(String::from))
    }
}
