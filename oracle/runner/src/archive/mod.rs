//! `oracle archive`: the versions of qemu-img that instar is compared with.
//!
//! An archive is a directory with one directory per version. A version is either `qemu-img` (and `qemu-io`) themselves,
//! put there by hand, or `root/`, unpacked from a distribution's packages and run through its own loader, so that nothing
//! of it touches the system. The qemu-img in `PATH` counts as one more version.

mod add;
mod apt;
mod fetch;
mod install;
mod mirror;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

pub use store::{Archive, Entry};

/// Arguments of `oracle archive`.
#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// Where the archived versions are [default: instar-oracle/archive in the user's cache directory].
    #[arg(long, value_name = "DIR", global = true)]
    archive: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    command: ArchiveCommand,
}

/// What to do with the archive.
#[derive(Debug, Subcommand)]
enum ArchiveCommand {
    /// Show every version there is.
    List,
    /// Add a qemu-img that is on this machine.
    Add(add::AddArgs),
    /// Get Debian's versions from its packages, without installing anything.
    Fetch(fetch::FetchArgs),
}

/// Runs `oracle archive`.
///
/// # Errors
/// What was asked for could not be done; nothing half-done is left in the archive.
pub fn run(args: &ArchiveArgs) -> Result<ExitCode> {
    let archive = Archive::at(args.archive.as_deref())?;
    match &args.command {
        ArchiveCommand::List => list(&archive)?,
        ArchiveCommand::Add(args) => add::add(&archive, args)?,
        ArchiveCommand::Fetch(args) => fetch::fetch(&archive, args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(archive: &Archive) -> Result<()> {
    let entries = archive.entries()?;
    for entry in &entries {
        println!("{entry}");
    }
    if entries.is_empty() {
        println!("no qemu-img in PATH or in {}: run `oracle archive fetch`", archive.dir().display());
    }
    Ok(())
}
