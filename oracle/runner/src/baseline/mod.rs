//! `oracle baseline`: what every version of qemu-img answers to a fixed matrix of cases, kept in files.

mod journal;
mod plan;
pub mod recorded;
mod regen;
mod replay;
mod sum;
mod sweep;
mod timeline;
mod verify;

use crate::archive::{Archive, Entry};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use oracle_baseline::Store;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use sweep::{scratch, sweep};

/// Arguments of `oracle baseline`.
#[derive(Debug, Args)]
pub struct BaselineArgs {
    /// Where the baselines are.
    #[arg(long, value_name = "DIR", default_value = "baselines", global = true)]
    baselines: PathBuf,
    /// What to do.
    #[command(subcommand)]
    command: BaselineCommand,
}

/// What to do with the baselines.
#[derive(Debug, Subcommand)]
enum BaselineCommand {
    /// Ask archived versions every case of the matrix, and keep what they answer.
    Regen(LiveArgs),
    /// Ask archived versions again, and fail if one answers otherwise than it is kept.
    Verify(LiveArgs),
    /// Keep answers that were recorded elsewhere.
    Import {
        /// A JSONL file, or a directory of them.
        path: PathBuf,
    },
    /// Do every case of a format that instar resizes once more with instar, and say how many are equal.
    Replay(replay::ReplayArgs),
    /// Show which release changed what.
    Timeline(timeline::TimelineArgs),
}

/// Which versions to ask.
#[derive(Debug, Args)]
pub struct LiveArgs {
    /// Ask this version of the archive; may be repeated.
    #[arg(long, value_name = "VERSION|all", default_value = "all")]
    qemu: Vec<String>,
    /// Only cases of this format; may be repeated.
    #[arg(long, value_name = "FORMAT")]
    format: Vec<String>,
    /// How many cases to run at a time; 0 for one per processor.
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// Where the archived versions of qemu-img are.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Where to note finished cases, so that an interrupted regeneration goes on where it was.
    #[arg(long, value_name = "DIR", default_value = "out/oracle/baseline")]
    journal: PathBuf,
}

/// Runs `oracle baseline`.
///
/// # Errors
/// What was asked for could not be done.
pub fn run(args: &BaselineArgs) -> Result<ExitCode> {
    let dir = &args.baselines;
    match &args.command {
        BaselineCommand::Regen(live) => regen::regen(dir, live),
        BaselineCommand::Verify(live) => verify::verify(dir, live),
        BaselineCommand::Import { path } => import(dir, path),
        BaselineCommand::Replay(args) => replay::replay(dir, args),
        BaselineCommand::Timeline(args) => timeline::timeline(dir, args),
    }
}

fn import(dir: &Path, path: &Path) -> Result<ExitCode> {
    let mut store = Store::load(dir)?;
    let count = oracle_baseline::import(path, &mut store)?;
    store.save(dir)?;
    println!("{count} answers of {} versions imported", store.labels().len());
    Ok(ExitCode::SUCCESS)
}

impl LiveArgs {
    fn entries(&self) -> Result<Vec<Entry>> {
        let archive = Archive::at(self.archive.as_deref())?;
        let mut found = Vec::new();
        for word in &self.qemu {
            // PATH's is not the same everywhere: it is asked only by name.
            found.extend(if word == "all" { archive.archived()? } else { archive.select(word)? });
        }
        found.sort_by(|a, b| a.version.cmp(&b.version));
        found.dedup_by(|a, b| a.version == b.version);
        found.first().context("no qemu-img in the archive: run `oracle archive fetch`")?;
        Ok(found)
    }

    fn wants(&self, format: &str) -> bool {
        self.format.is_empty() || self.format.iter().any(|f| f == format)
    }
}
