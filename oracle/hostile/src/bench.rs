//! What instar must make of VHD, VHDX and VMDK images. qemu-img resizes none of these, so that its answer to a resize is
//! what it reads before and afterwards.

use crate::court::{Court, Question, Sentence, Verdict, answer, disagree, ended_oddly, excused, run};
use crate::runs::{self, Run};
use crate::{HostileError, Recipe, Spoil};
use oracle_case::child::Ending;
use oracle_case::size::{self, Asked};
use oracle_judge::disk::Disk;
use oracle_judge::subject::{IMAGE, Ran};
use serde_json::{Value, json};
use std::path::Path;

/// What instar must make of a spoiled image: it ends by itself, refuses in one line with exit code 1 and leaves the file as
/// it was; what it resizes, qemu-img has opened before, opens afterwards at the same size as instar, and reads as before.
pub fn judge(
    court: &Court,
    (recipe, spoil): (&Recipe, &Spoil),
    bytes: &[u8],
    dir: &Path,
) -> Result<Vec<Sentence>, HostileError> {
    let bench = Bench { court, recipe, bytes, dir };
    let before = if recipe.is_unclean() { bench.replayed()? } else { bench.seen()? };
    let mut sentences = Vec::new();
    for question in Question::ALL {
        let verdict = match question {
            Question::Info => bench.info()?,
            Question::Check => bench.check(spoil, before.is_some())?,
            Question::Grow => bench.resize(recipe.resizes[0], before.as_ref())?,
            Question::Shrink => bench.resize(recipe.resizes[1], before.as_ref())?,
        };
        sentences.push(Sentence { question, verdict: excused(spoil, verdict) });
        bench.restore()?;
    }
    Ok(sentences)
}

/// Bytes of the good image's disk.
const DISK: u64 = 8 << 20;
/// Bytes by which a disk may be larger than asked for: it grows to the next geometry.
const ROUNDING: u64 = 4 << 20;

/// A disk as qemu-img sees it.
struct Seen {
    /// Its size in bytes.
    size: u64,
    /// Its first sectors, unless it is too large to be read.
    content: Option<Vec<Run>>,
}

/// One image.
struct Bench<'a> {
    court: &'a Court<'a>,
    recipe: &'a Recipe,
    bytes: &'a [u8],
    dir: &'a Path,
}

impl Bench<'_> {
    fn words(&self, options: &[&str], last: &[&str]) -> Vec<String> {
        ["-f", self.recipe.format]
            .iter()
            .chain(options)
            .chain(&[IMAGE])
            .chain(last)
            .map(ToString::to_string)
            .collect()
    }

    fn restore(&self) -> Result<(), HostileError> {
        let image = self.dir.join(IMAGE);
        std::fs::write(&image, self.bytes).map_err(HostileError::io(&image))
    }

    /// What qemu-img reads, as far as the good image's disk goes; none if it cannot.
    fn seen(&self) -> Result<Option<Seen>, HostileError> {
        let raw = self.dir.join("seen.raw");
        let Some(size) = self.size()? else { return Ok(None) };
        if size > 64 * DISK {
            return Ok(Some(Seen { size, content: None }));
        }
        let words = self.words(&["-O", "raw"], &["seen.raw"]);
        let told = self.court.told(("convert", "runs"), &words, self.dir, |ran| {
            if !ran.success() {
                return Ok(Value::Null);
            }
            let file = std::fs::File::open(&raw).map_err(HostileError::io(&raw))?;
            let runs = runs::of(file, DISK).map_err(HostileError::io(&raw))?;
            std::fs::remove_file(&raw).map_err(HostileError::io(&raw))?;
            Ok(json!(runs))
        })?;
        let content: Option<Vec<Run>> = serde_json::from_value(told).unwrap_or_default();
        Ok(content.map(|content| Seen { size, content: Some(content) }))
    }

    /// What qemu-img reads once it has replayed the log; none if it does not.
    fn replayed(&self) -> Result<Option<Seen>, HostileError> {
        let words = self.words(&["-r", "all"], &[]);
        let told = self.court.told(("check", "replayed"), &words, self.dir, |ran| {
            // Codes 2 and 3 are those of an image that it has opened.
            let opened = matches!(ran.ending, Ending::Exit(0 | 2 | 3));
            let seen = if opened { self.seen()? } else { None };
            Ok(seen.map_or(Value::Null, |seen| json!([seen.size, seen.content])))
        })?;
        self.restore()?;
        let size = told[0].as_u64();
        let content = || serde_json::from_value(told[1].clone()).unwrap_or_default();
        Ok(size.map(|size| Seen { size, content: content() }))
    }

    /// The virtual size that qemu-img sees.
    fn size(&self) -> Result<Option<u64>, HostileError> {
        let words = self.words(&["--output=json"], &[]);
        let told = self.court.told(("info", "size"), &words, self.dir, |ran| {
            let size = answer(ran).filter(|_| ran.success()).map(|json| json["virtual-size"].clone());
            Ok(size.unwrap_or_default())
        })?;
        Ok(told.as_u64())
    }

    fn info(&self) -> Result<Verdict, HostileError> {
        let words = self.words(&["--output=json"], &[]);
        let l = run(self.court.instar, self.dir, "info", &words)?;
        let r = self.court.said("info", &words, self.dir)?;
        if let Some(verdict) = ended_oddly(&l, &r) {
            return Ok(verdict);
        }
        if !l.success() {
            return self.refused(&l, r.success());
        }
        let size = |ran: &Ran| answer(ran).map(|json| json["virtual-size"].clone());
        if r.success() && size(&l) != size(&r) {
            return disagree("size", format!("{:?} here, {:?} there", size(&l), size(&r)));
        }
        Ok(Verdict::Agree)
    }

    fn check(&self, spoil: &Spoil, readable: bool) -> Result<Verdict, HostileError> {
        let words = self.words(&["--output=json"], &[]);
        let l = run(self.court.instar, self.dir, "check", &words)?;
        let r = self.court.said("check", &words, self.dir)?;
        if let Some(verdict) = ended_oddly(&l, &r) {
            return Ok(verdict);
        }
        let both = format!("{} here, {} there", l.summary(), r.summary());
        let broken = matches!(r.ending, Ending::Exit(1 | 2)) && readable;
        match l.ending {
            Ending::Exit(1) if answer(&l).is_none() => self.refused(&l, r.success()),
            Ending::Exit(0) if broken => disagree("missed", both),
            Ending::Exit(0) if readable && spoil.field.name.ends_with("checksum") => {
                disagree("missed", "a checksum is wrong".into())
            }
            Ending::Exit(0) if self.overlaps(spoil)? => {
                disagree("missed", "entries name the same place".into())
            }
            Ending::Exit(0..=3) => Ok(Verdict::Agree),
            same if same == r.ending => Ok(Verdict::Agree),
            _ => disagree("exit-code", both),
        }
    }

    /// Whether an entry of a table was spoiled so that two of them lie on each other, by the oracle's own reader; qemu-img
    /// finds nothing wrong with that.
    fn overlaps(&self, spoil: &Spoil) -> Result<bool, HostileError> {
        // The reader needs little more than the format's name: all else is in the image.
        let format = serde_json::from_value(json!({ self.recipe.format: { "block_bits": 20 } }));
        let (true, Ok(format)) = (spoil.field.name.ends_with("-entry"), format) else {
            return Ok(false);
        };
        let disk = Disk::read_in(&format, self.dir)?;
        Ok(disk.is_some_and(|disk| disk.problems.iter().any(|problem| problem.field == "overlap")))
    }

    /// Of a refusal: exit code 1, one line, nothing changed.
    fn refused(&self, ran: &Ran, accepted: bool) -> Result<Verdict, HostileError> {
        let image = self.dir.join(IMAGE);
        let after = std::fs::read(&image).map_err(HostileError::io(&image))?;
        match () {
            () if ran.ending != Ending::Exit(1) => disagree("exit-code", ran.summary()),
            // A log is replayed before there is anything to refuse, and whoever must not is told in several lines.
            () if self.recipe.is_unclean() => Ok(if accepted { Verdict::Stricter } else { Verdict::Agree }),
            () if after != self.bytes => disagree("touched", ran.summary()),
            () if ran.stderr.trim().lines().count() != 1 => disagree("lines", ran.stderr.clone()),
            () if accepted => Ok(Verdict::Stricter),
            () => Ok(Verdict::Agree),
        }
    }

    fn resize(&self, size: &str, before: Option<&Seen>) -> Result<Verdict, HostileError> {
        let ran = run(self.court.instar, self.dir, "resize", &self.words(&["--shrink"], &[size]))?;
        if let Some(verdict) = ended_oddly(&ran, &ran) {
            return Ok(verdict);
        }
        if !ran.success() {
            return self.refused(&ran, before.is_some());
        }
        let Some(before) = before else {
            return disagree("accepted", "qemu-img does not read the image".into());
        };
        let Some(after) = self.seen()? else {
            return disagree("unreadable", "qemu-img does not read the image any more".into());
        };
        let wanted = match size::parse(size) {
            Some(Asked::Absolute(wanted)) => wanted,
            _ => 0,
        };
        if !(wanted..wanted + ROUNDING).contains(&after.size) {
            return disagree("size", format!("{} bytes, {size} asked for", after.size));
        }
        let (was, is) = (before.content.as_deref(), after.content.as_deref());
        match was.zip(is).and_then(|(was, is)| runs::first_difference(was, is)) {
            Some(sector) => disagree("content", format!("sector {sector} of what is preserved")),
            None => Ok(Verdict::Agree),
        }
    }
}
