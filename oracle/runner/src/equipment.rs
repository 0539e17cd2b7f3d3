//! What there is to compare on this machine: instars, versions of qemu-img, and why one is missing.

use crate::args::{Common, EngineName};
use anyhow::{Context, Result, bail};
use oracle_case::Tools;
use oracle_case::child::Tool;
use oracle_judge::subject::{IMAGE, run_tool};
use oracle_judge::{Instar, Qemu, Subject};
use std::path::{Path, PathBuf};

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
    /// What was found, and what not and why; for people.
    pub notes: Vec<String>,
}

impl Equipment {
    /// Looks for what `args` asks for, with `dir` to try things in.
    ///
    /// # Errors
    /// Something that was asked for is missing, or nothing is left to compare.
    pub fn find(args: &Common, dir: &Path) -> Result<Self> {
        let mut notes = Vec::new();
        let qemus = qemus(args, dir, &mut notes)?;
        let maker = qemus.iter().rev().find_map(|q| {
            Some(Tools { qemu_img: q.tool().clone(), qemu_io: q.io()?.clone() })
        });
        let Some(makers) = maker else {
            bail!("no qemu-io next to any qemu-img: fixtures cannot be made (install qemu-utils)");
        };
        let instars = instars(args, dir, &mut notes)?;
        Ok(Self { instars, qemus, makers, notes })
    }
}

fn qemus(args: &Common, dir: &Path, notes: &mut Vec<String>) -> Result<Vec<Qemu>> {
    let mut found = Vec::new();
    for word in &args.qemu {
        if word == "all" {
            found.extend(in_path().map(|(img, io)| Qemu::probe(img, io, dir)).transpose()?);
        } else if Path::new(word).exists() {
            let path = std::path::absolute(word)?;
            found.push(Qemu::probe(Tool::new(&path), beside(&path), dir)?);
        } else {
            bail!("no qemu-img {word}: there is none in PATH");
        }
    }
    found.sort_by(|a, b| a.version().cmp(&b.version()));
    found.dedup_by(|a, b| a.version() == b.version());
    if found.is_empty() {
        bail!("no qemu-img to compare with: install qemu-utils, or run `oracle archive fetch`");
    }
    for qemu in &found {
        notes.push(format!("{} ({})", qemu.name(), place(qemu.tool())));
    }
    Ok(found)
}

fn place(tool: &Tool) -> String {
    let last = tool.leading_args.last().map(PathBuf::from);
    last.unwrap_or_else(|| tool.program.clone()).display().to_string()
}

/// `qemu-img` and `qemu-io` in `PATH`.
fn in_path() -> Option<(Tool, Option<Tool>)> {
    let path = std::env::var_os("PATH")?;
    let img = std::env::split_paths(&path)
        .map(|dir| dir.join("qemu-img"))
        .find(|file| file.is_file())?;
    Some((Tool::new(&img), beside(&img)))
}

/// The `qemu-io` in the directory of a `qemu-img`.
fn beside(img: &Path) -> Option<Tool> {
    let io = img.with_file_name("qemu-io");
    io.is_file().then(|| Tool::new(io))
}

fn instars(args: &Common, dir: &Path, notes: &mut Vec<String>) -> Result<Vec<Instar>> {
    let tool = match &args.instar {
        Some(path) => Tool::new(std::path::absolute(path)?),
        None => Tool {
            program: std::env::current_exe().context("cannot find this program's own file")?,
            leading_args: vec![AS_INSTAR.into()],
        },
    };
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
fn unusable(instar: &Instar, dir: &Path) -> Result<Option<String>> {
    let path = dir.join(IMAGE);
    std::fs::write(&path, [0; 512]).with_context(|| path.display().to_string())?;
    let mut words = vec!["info".to_string()];
    words.extend(instar.options().iter().cloned());
    words.extend(["-f", "raw", "--output=json", IMAGE].map(Into::into));
    let ran = run_tool(instar.tool(), dir, words)?;
    Ok((!ran.success()).then(|| ran.summary()))
}
