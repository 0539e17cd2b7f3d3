//! What both programs must make of a hostile image.

use crate::answers::{Answers, from_json, to_json};
use crate::excuse::{EXCUSES, Excuse};
use crate::face::face;
use crate::{HostileError, Recipe, Spoil, UNRESIZED, bench};
use oracle_case::child::{self, Ending};
use oracle_judge::subject::{Family, IMAGE, Ran};
use oracle_judge::text::{differences, normalised};
use oracle_judge::{JudgeError, Subject};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long either program may look at one image. A healthy one takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// Parts of an answer that say something about the host and its files, not about the image.
const HOST: [&str; 4] = ["actual-size", "children", "filename", "full-backing-filename"];

/// Stands for a message that was too long to be kept.
const TOO_LONG: &str = "(too long to be kept)\n";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// `info`: same exit code, same words, same JSON.
    Info,
    /// `check`: same exit code; of an image that is clean or leaks, same JSON.
    Check,
    /// A resize to a larger size: see [`Court::judge`].
    Grow,
    /// A resize to a smaller one.
    Shrink,
}

impl Question {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Info, Self::Check, Self::Grow, Self::Shrink];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "hostile-info",
            Self::Check => "hostile-check",
            Self::Grow => "hostile-grow",
            Self::Shrink => "hostile-shrink",
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In one word.
    pub kind: &'static str,
    /// For a person.
    pub detail: String,
}

/// What came of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Both sides do the same.
    Agree,
    /// instar refuses what qemu-img does, and leaves the file as it was: it is stricter.
    Stricter,
    /// They differ, as is known.
    Known(&'static str),
    /// qemu-img itself does not end or crashes.
    Skip,
    /// They differ.
    Disagree(Finding),
}

/// One question and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The question.
    pub question: Question,
    /// The verdict.
    pub verdict: Verdict,
}

/// Who is compared.
#[derive(Clone, Copy)]
pub struct Court<'a> {
    /// The instar under test.
    pub instar: &'a dyn Subject,
    /// A qemu-img to compare with.
    pub qemu: &'a dyn Subject,
    /// What that said before.
    pub answers: &'a Answers,
}

impl Court<'_> {
    /// Asks both sides about the image of `recipe` with `spoil` applied, whose bytes are `bytes`, in the directory `dir`,
    /// which holds what lies beside the image.
    ///
    /// A resize that instar accepts, qemu-img must accept too, and `check` must not think less of instar's result than of
    /// qemu-img's. One that instar refuses, it must refuse with exit code 1 and without changing a byte.
    ///
    /// # Errors
    /// A program cannot be run, or a file not be written.
    pub fn judge(
        &self,
        recipe: &Recipe,
        spoil: &Spoil,
        bytes: &[u8],
        dir: &Path,
    ) -> Result<Vec<Sentence>, HostileError> {
        let image = dir.join(IMAGE);
        std::fs::write(&image, bytes).map_err(HostileError::io(&image))?;
        if UNRESIZED.contains(recipe) {
            return bench::judge(self, (recipe, spoil), bytes, dir);
        }
        let mut sentences = Vec::new();
        for question in Question::ALL {
            let verdict = match question {
                Question::Info => self.asked("info", recipe, dir)?,
                Question::Check => self.asked("check", recipe, dir)?,
                Question::Grow => self.resized((recipe, recipe.resizes[0]), bytes, dir)?,
                Question::Shrink => self.resized((recipe, recipe.resizes[1]), bytes, dir)?,
            };
            sentences.push(Sentence { question, verdict: excused(spoil, verdict) });
        }
        Ok(sentences)
    }

    /// Both sides' answer to a question about the image as it is.
    fn asked(&self, verb: &str, recipe: &Recipe, dir: &Path) -> Result<Verdict, HostileError> {
        let words = recipe.words(verb, &["--output=json"], &[]);
        let mut ours = words.clone();
        let own_schema = verb == "info" && self.instar.family() == Family::Instar;
        if let (true, Some(version)) = (own_schema, self.qemu.version()) {
            ours.splice(0..0, ["--qemu-version".into(), version.to_string()]);
        }
        let l = run(self.instar, dir, verb, &ours)?;
        let r = self.said(verb, &words, dir)?;
        if let Some(verdict) = ended_oddly(&l, &r) {
            return Ok(verdict);
        }
        let both = format!("{} here, {} there", l.summary(), r.summary());
        if l.ending != r.ending {
            return disagree("exit-code", both);
        }
        let (left, right) = (answer(&l), answer(&r));
        let corrupt = verb == "check" && r.ending == Ending::Exit(2);
        if corrupt || left == right {
            let (l, r) = (bare_words(&l), bare_words(&r));
            return if left.is_some() || l == r {
                Ok(Verdict::Agree)
            } else {
                disagree("words", format!("{l:?} here, {r:?} there"))
            };
        }
        let null = Value::Null;
        let found = differences(left.as_ref().unwrap_or(&null), right.as_ref().unwrap_or(&null));
        let detail: Vec<String> = found.iter().map(|d| format!("{}: {}", d.path, d.values())).collect();
        disagree("json", detail.join("; "))
    }

    /// What becomes of two copies of the image when each side resizes one.
    fn resized(
        &self,
        (recipe, size): (&Recipe, &str),
        bytes: &[u8],
        dir: &Path,
    ) -> Result<Verdict, HostileError> {
        let image = dir.join(IMAGE);
        let words = recipe.words("resize", &["--shrink"], &[size]);
        let ours = run(self.instar, dir, "resize", &words)?;
        let after = std::fs::read(&image).map_err(HostileError::io(&image))?;
        let our_state = if ours.success() { Some(self.condition(recipe, dir)?) } else { None };
        std::fs::write(&image, bytes).map_err(HostileError::io(&image))?;
        let told = self.told(("resize", "state"), &words, dir, |ran| {
            let state = if ran.success() { Some(self.condition(recipe, dir)?) } else { None };
            Ok(json!({ "ran": to_json(ran), "state": state.map(|state| state.to_json()) }))
        })?;
        std::fs::write(&image, bytes).map_err(HostileError::io(&image))?;
        let theirs = from_json(&told["ran"]);
        let their_state = theirs.success().then(|| Condition::from_json(&told["state"]));
        if let Some(verdict) = ended_oddly(&ours, &theirs) {
            return Ok(verdict);
        }
        let both = format!("{} here, {} there", ours.summary(), theirs.summary());
        match (our_state, their_state) {
            (None, _) if ours.ending != Ending::Exit(1) => disagree("exit-code", both),
            (None, _) if after != bytes => disagree("touched", both),
            (None, Some(_)) => Ok(Verdict::Stricter),
            (None, None) => Ok(Verdict::Agree),
            (Some(_), None) => disagree("accepted", both),
            (Some(l), Some(r)) if l.size != r.size => {
                disagree("size", format!("{:?} here, {:?} there", l.size, r.size))
            }
            (Some(l), Some(r)) if l.health > r.health => {
                disagree("worse", format!("check finds {:?} here, {:?} there", l.health, r.health))
            }
            (Some(l), Some(r)) if l.dirty && !r.dirty => {
                disagree("dirty", "the next to open the image has to repair it, there not".into())
            }
            _ => Ok(Verdict::Agree),
        }
    }

    /// What qemu-img makes of the image.
    fn condition(&self, recipe: &Recipe, dir: &Path) -> Result<Condition, HostileError> {
        let words = recipe.words("info", &["--output=json"], &[]);
        let state = self.told(("info", "state"), &words, dir, |ran| {
            let info = answer(ran).unwrap_or_default();
            Ok(json!([info["virtual-size"], info["dirty-flag"]]))
        })?;
        let words = recipe.words("check", &["--output=json"], &[]);
        let code = self.told(("check", "code"), &words, dir, |ran| match ran.ending {
            Ending::Exit(code) => Ok(json!(code)),
            _ => Ok(Value::Null),
        })?;
        Ok(Condition { size: state[0].clone(), health: Health::of(&code), dirty: state[1] == true })
    }

    /// What qemu-img says, which may have been heard before.
    pub(crate) fn said(&self, verb: &str, words: &[String], dir: &Path) -> Result<Ran, HostileError> {
        Ok(from_json(&self.told((verb, "all"), words, dir, |ran| Ok(to_json(ran)))?))
    }

    /// What `keep`, whose name is `kept`, makes of what qemu-img does, which may have been seen before.
    pub(crate) fn told(
        &self,
        (verb, kept): (&str, &str),
        words: &[String],
        dir: &Path,
        keep: impl FnOnce(&Ran) -> Result<Value, HostileError>,
    ) -> Result<Value, HostileError> {
        let bytes = face(&dir.join(IMAGE))?;
        let key = format!("{} {verb} {} {kept} {bytes}", self.qemu.name(), words.join(" "));
        self.answers.remembered(key, || keep(&run(self.qemu, dir, verb, words)?))
    }
}

/// What qemu-img makes of an image.
struct Condition {
    /// The virtual size that it reads.
    size: Value,
    health: Health,
    /// Whether it is marked as one to be checked before it is written to.
    dirty: bool,
}

impl Condition {
    fn to_json(&self) -> Value {
        json!([self.size, self.health.code(), self.dirty])
    }

    fn from_json(value: &Value) -> Self {
        Self { size: value[0].clone(), health: Health::of(&value[1]), dirty: value[2] == true }
    }
}

/// What `qemu-img check` thinks of an image, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Clean,
    Leaking,
    Corrupt,
    /// The check itself fails.
    Beyond,
}

impl Health {
    /// From the exit code of a check, or null.
    fn of(code: &Value) -> Self {
        match code.as_i64() {
            Some(0) => Self::Clean,
            Some(3) => Self::Leaking,
            Some(2) => Self::Corrupt,
            _ => Self::Beyond,
        }
    }

    /// The exit code that it comes from; any other for a check that failed.
    const fn code(self) -> i32 {
        match self {
            Self::Clean => 0,
            Self::Leaking => 3,
            Self::Corrupt => 2,
            Self::Beyond => 1,
        }
    }
}

/// Runs one program. Of a message too long to be kept, as a check of much nonsense has, nothing is.
pub(crate) fn run(who: &dyn Subject, dir: &Path, verb: &str, args: &[String]) -> Result<Ran, HostileError> {
    let words = std::iter::once(verb).chain(who.options().iter().map(String::as_str));
    let mut command = who.tool().command(words.chain(args.iter().map(String::as_str)));
    command.current_dir(dir).env("LC_ALL", "C");
    let program = || who.tool().program.display().to_string();
    let failed = |e: std::io::Error| JudgeError::Spawn { program: program(), reason: e.to_string() };
    let output = child::run(command, DEADLINE).map_err(failed)?;
    let stderr = if output.truncated { TOO_LONG.into() } else { output.stderr_text() };
    Ok(Ran { ending: output.ending, stdout: output.stdout_text(), stderr })
}

/// A program that did not end by itself.
pub(crate) fn ended_oddly(ours: &Ran, theirs: &Ran) -> Option<Verdict> {
    let normal = |ran: &Ran| matches!(ran.ending, Ending::Exit(_));
    if !normal(ours) {
        let detail = format!("{} here, {} there", ours.summary(), theirs.summary());
        return Some(Verdict::Disagree(Finding { kind: "failed", detail }));
    }
    (!normal(theirs)).then_some(Verdict::Skip)
}

pub(crate) fn answer(ran: &Ran) -> Option<Value> {
    let mut answer: Value = serde_json::from_str(&ran.stdout).ok()?;
    if let Some(map) = answer.as_object_mut() {
        map.retain(|key, _| !HOST.contains(&key.as_str()));
    }
    Some(answer)
}

/// The lines of a message, without the values that instar adds to qemu-img's words.
fn bare_words(ran: &Ran) -> Vec<String> {
    let bare = |line: String| line.split_once(" (0x").map_or(line.clone(), |(words, _)| words.into());
    normalised(&ran.stderr).into_iter().map(bare).collect()
}

pub(crate) fn disagree(kind: &'static str, detail: String) -> Result<Verdict, HostileError> {
    Ok(Verdict::Disagree(Finding { kind, detail }))
}

pub(crate) fn excused(spoil: &Spoil, verdict: Verdict) -> Verdict {
    let Verdict::Disagree(finding) = &verdict else { return verdict };
    let fits = |excuse: &&Excuse| excuse.fits(spoil, finding);
    EXCUSES.iter().find(fits).map_or(verdict.clone(), |excuse| Verdict::Known(excuse.id))
}

impl Sentence {
    /// Whether the two sides differ in a way that is not known.
    #[must_use]
    pub const fn is_disagreement(&self) -> bool {
        matches!(self.verdict, Verdict::Disagree(_))
    }
}
