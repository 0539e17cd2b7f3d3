//! What there is to compare on this machine: instars, versions of qemu-img, and why one is missing.

use crate::archive::Archive;
use crate::args::{Common, EngineName};
use crate::pair::{self, Pair};
use anyhow::{Context, Result, bail};
use oracle_case::child::Tool;
use oracle_case::{Fixture, Tools};
use oracle_judge::subject::{IMAGE, run_tool};
use oracle_judge::{Instar, Oracle, Qemu, Subject, all, between};
use std::path::Path;

/// The first argument that makes the oracle be the instar that is built into it.
pub const AS_INSTAR: &str = "__instar";

/// What there is to compare.
pub struct Equipment {
    /// instar, once for each engine that runs here.
    pub instars: Vec<Instar>,
    /// Every qemu-img to compare with, oldest first.
    pub qemus: Vec<Qemu>,
    /// What makes the fixtures: the newest qemu-img that has a qemu-io.
    pub makers: Tools,
    /// Every qemu-img that may make fixtures, oldest first, whichever ones are compared.
    pub elders: Vec<Qemu>,
    /// What was found, and what not and why; for people.
    pub notes: Vec<String>,
    /// The two that are compared with each other instead, if two were named; `qemus` then reads what they leave.
    pub pair: Option<Pair>,
}

impl Equipment {
    /// Looks for what `args` asks for, with `dir` to try things in.
    ///
    /// # Errors
    /// Something that was asked for is missing, or nothing is left to compare.
    pub fn find(args: &Common, dir: &Path) -> Result<Self> {
        if let Some(pair) = pair::find(args, dir)? {
            return Ok(pair);
        }
        let mut notes = Vec::new();
        let archive = Archive::at(args.archive.as_deref())?;
        let qemus = qemus(args, &archive, dir, &mut notes)?;
        let makers = makers(&archive, &qemus)?;
        let instars = instars(args, dir, &mut notes)?;
        let elders = elders(&archive, dir)?;
        Ok(Self { instars, qemus, makers, elders, notes, pair: None })
    }

    /// What makes this fixture.
    pub fn makers_of(&self, fixture: &Fixture) -> Tools {
        let able = |qemu: &&Qemu| !fixture.made_by.is_newest() && qemu.unable(fixture).is_none();
        let tools = |qemu: &Qemu| Some(Tools { qemu_img: qemu.tool().clone(), qemu_io: qemu.io()?.clone() });
        self.elders.iter().filter(able).find_map(tools).unwrap_or_else(|| self.makers.clone())
    }

    /// The oracles that are asked.
    pub fn oracles(&self) -> &'static [&'static dyn Oracle] {
        if self.pair.is_some() { between() } else { all() }
    }

    /// The name of what a verdict with this right side compared with.
    pub fn right_name(&self, right: Option<usize>) -> Option<&str> {
        match &self.pair {
            Some(pair) => Some(pair.right.name()),
            None => self.qemus.get(right?).map(Subject::name),
        }
    }
}

fn qemus(args: &Common, archive: &Archive, dir: &Path, notes: &mut Vec<String>) -> Result<Vec<Qemu>> {
    let mut entries = Vec::new();
    for word in &args.qemu {
        entries.extend(archive.select(word)?);
    }
    entries.sort_by(|a, b| a.version.cmp(&b.version));
    entries.dedup_by(|a, b| a.version == b.version);
    // Without a word, only baselines are compared with.
    if entries.is_empty() && !args.qemu.is_empty() {
        bail!("no qemu-img in PATH or in the archive: install it, or run `oracle archive fetch`");
    }
    let mut found = Vec::new();
    for entry in entries {
        notes.push(format!("qemu-img {entry}"));
        found.push(Qemu::probe(entry.qemu_img, entry.qemu_io, dir)?);
    }
    Ok(found)
}

/// Fixtures come from the newest qemu-img of all, whichever ones are compared: the same case then
/// begins with the same bytes.
///
/// # Errors
/// There is none that has a qemu-io.
pub fn makers(archive: &Archive, compared: &[Qemu]) -> Result<Tools> {
    let tools = |img: &Tool, io: Option<&Tool>| Some(Tools { qemu_img: img.clone(), qemu_io: io?.clone() });
    let newest = archive.entries()?;
    let newest = newest.iter().rev().find_map(|e| tools(&e.qemu_img, e.qemu_io.as_ref()));
    let given = || compared.iter().rev().find_map(|q| tools(q.tool(), q.io()));
    newest.or_else(given).context("no qemu-io next to any qemu-img: install it (it makes the fixtures)")
}

/// Every version that has a qemu-io, oldest first.
///
/// # Errors
/// One does not run.
pub fn elders(archive: &Archive, dir: &Path) -> Result<Vec<Qemu>> {
    let entries = archive.entries()?.into_iter().filter(|entry| entry.qemu_io.is_some());
    entries.map(|entry| Ok(Qemu::probe(entry.qemu_img, entry.qemu_io, dir)?)).collect()
}

/// The instar that `args` asks for.
///
/// # Errors
/// Its file cannot be found.
pub fn instar_tool(args: &Common) -> Result<Tool> {
    tool_of(args.instar.as_deref())
}

/// The instar at `path`, or the one that is built into this program.
///
/// # Errors
/// Its file cannot be found.
pub fn tool_of(path: Option<&Path>) -> Result<Tool> {
    Ok(match path {
        Some(path) => Tool::new(std::path::absolute(path)?),
        None => Tool {
            program: std::env::current_exe().context("cannot find this program's own file")?,
            leading_args: vec![AS_INSTAR.into()],
        },
    })
}

fn instars(args: &Common, dir: &Path, notes: &mut Vec<String>) -> Result<Vec<Instar>> {
    let tool = instar_tool(args)?;
    let wants = |engine| args.engine.contains(&engine) || args.engine.contains(&EngineName::All);
    let mut found = Vec::new();
    for (name, engine) in [("kvm", EngineName::Kvm), ("in-process", EngineName::InProcess)] {
        if !args.engine.is_empty() && !wants(engine) {
            continue;
        }
        let instar = Instar::new(tool.clone(), name);
        match unusable(&instar, dir)? {
            None => {
                notes.push(instar.name().to_string());
                found.push(instar);
            }
            Some(why) if args.engine.contains(&engine) => bail!("{}: {why}", instar.name()),
            Some(why) => notes.push(format!("not used: {}: {why}", instar.name())),
        }
    }
    if found.is_empty() {
        bail!("no engine of instar runs here: {}", notes.join("; "));
    }
    Ok(found)
}

/// Why an instar does not run here, if it does not.
///
/// # Errors
/// It cannot be started at all, or `dir` not be written.
pub fn unusable(instar: &Instar, dir: &Path) -> Result<Option<String>> {
    let path = dir.join(IMAGE);
    std::fs::write(&path, [0; 512]).with_context(|| path.display().to_string())?;
    let mut words = vec!["info".to_string()];
    words.extend(instar.options().iter().cloned());
    words.extend(["-f", "raw", "--output=json", IMAGE].map(Into::into));
    let ran = run_tool(instar.tool(), dir, words)?;
    Ok((!ran.success()).then(|| ran.summary()))
}
