//! Two subjects that a user names, compared with each other: `--left A --right B`.
//!
//! Neither is held to a model: what counts is where they differ, and what both leave is read by a
//! qemu-img that is neither's own.

mod judge;
mod name;
mod patient;

pub use judge::look_at_case;

use crate::archive::{Archive, Entry};
use crate::args::Common;
use crate::equipment::{self, Equipment};
use anyhow::{Context, Result, bail};
use name::Name;
use oracle_case::Tools;
use oracle_case::child::{Ending, Tool};
use oracle_judge::subject::run_tool_within;
use oracle_judge::{Instar, Other, Qemu, Subject};
use patient::Patient;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// How a qemu-img's `--version` begins.
const BANNER: &str = "qemu-img version ";

/// Two subjects.
pub struct Pair {
    /// The one that findings speak of as "here".
    pub left: Patient,
    /// The one that findings speak of as "there".
    pub right: Patient,
    /// The options that name both again, with a space before them.
    pub options: String,
}

impl Pair {
    /// Both names, for a person.
    pub fn title(&self) -> String {
        format!("{} and {}", self.left.name(), self.right.name())
    }
}

/// Looks for the two subjects that `args` names, if it names two.
///
/// # Errors
/// A name means nothing, or what it names is not here.
pub fn find(args: &Common, dir: &Path) -> Result<Option<Equipment>> {
    let (Some(left), Some(right)) = (&args.left, &args.right) else {
        return Ok(None);
    };
    let names = (Name::parse(left)?, Name::parse(right)?);
    let archive = Archive::at(args.archive.as_deref())?;
    let newest = archive.entries()?.into_iter().rev().find(|entry| entry.qemu_io.is_some());
    let newest = newest.context("no qemu-img with a qemu-io in PATH or in the archive: install it (it makes and reads the images), or run `oracle archive fetch`")?;
    let (img, io) = (newest.qemu_img.clone(), newest.qemu_io.clone().context("no qemu-io")?);
    let makers = Tools { qemu_img: img.clone(), qemu_io: io.clone() };
    let search = Search { args, archive: &archive, maker: &img, dir };
    let ((left_is, left_note), (right_is, right_note)) = (search.find(&names.0)?, search.find(&names.1)?);
    let notes = vec![
        format!("left, here    {left_note}"),
        format!("right, there  {right_note}"),
        format!("read by       qemu-img {newest}"),
    ];
    let patient = |subject| Patient::new(subject, search.deadline());
    let options = format!(" --left {} --right {}", quoted(left), quoted(right));
    let pair = Pair { left: patient(left_is), right: patient(right_is), options };
    let qemus = vec![Qemu::probe(img, Some(io), dir)?];
    let elders = equipment::elders(&archive, dir)?;
    Ok(Some(Equipment { instars: Vec::new(), qemus, makers, elders, notes, pair: Some(pair) }))
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@./_+-".contains(c);
    if word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A subject and what to tell a person of it.
type Found = (Box<dyn Subject>, String);

struct Search<'a> {
    args: &'a Common,
    archive: &'a Archive,
    /// The qemu-img that makes images to try a program on.
    maker: &'a Tool,
    dir: &'a Path,
}

impl Search<'_> {
    fn deadline(&self) -> Duration {
        Duration::from_secs(self.args.deadline)
    }

    fn find(&self, name: &Name) -> Result<Found> {
        match name {
            Name::QemuImg(version) => self.qemu(version.as_ref()),
            Name::Instar(engine) => self.instar(*engine),
            Name::Program(path) => self.program(path),
        }
    }

    fn qemu(&self, version: Option<&oracle_judge::Version>) -> Result<Found> {
        let word = version.map_or("all".to_string(), ToString::to_string);
        let newest: Option<Entry> = self.archive.select(&word)?.pop();
        let entry = newest.context("there is no qemu-img: run `oracle archive fetch`")?;
        let note = format!("qemu-img {entry}");
        Ok((Box::new(Qemu::probe(entry.qemu_img, entry.qemu_io, self.dir)?), note))
    }

    fn instar(&self, engine: Option<&'static str>) -> Result<Found> {
        let tool = equipment::instar_tool(self.args)?;
        let mut why = String::new();
        for name in engine.map_or(vec!["kvm", "in-process"], |name| vec![name]) {
            let instar = Instar::new(tool.clone(), name);
            match equipment::unusable(&instar, self.dir)? {
                None => {
                    let note = format!("{}{why}", instar.name());
                    return Ok((Box::new(instar), note));
                }
                Some(reason) => why = format!(" ({}: {reason})", instar.name()),
            }
        }
        bail!("instar does not run here:{why}")
    }

    /// A program by its path: a qemu-img if it says that it is one.
    fn program(&self, path: &Path) -> Result<Found> {
        let shown = path.display().to_string();
        let meta = std::fs::metadata(path).with_context(|| shown.clone())?;
        if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
            bail!("{shown}: not a program");
        }
        let tool = Tool::new(std::path::absolute(path)?);
        let banner = run_tool_within(self.deadline(), &tool, self.dir, ["--version"])?;
        if banner.ending == Ending::TimedOut {
            bail!("{shown}: --version does not end within {} s", self.args.deadline);
        }
        if banner.stdout.starts_with(BANNER) {
            let qemu = Qemu::probe(tool, None, self.dir)?;
            let note = format!("{shown}, says it is {}", qemu.name());
            return Ok((Box::new(qemu.named(shown)), note));
        }
        let other = Other::probe(&shown, tool, self.maker, self.dir, self.deadline())?;
        let lacking = other.lacking().join(", ");
        let note = if lacking.is_empty() { shown } else { format!("{shown}, not compared: {lacking}") };
        Ok((Box::new(other), note))
    }
}
