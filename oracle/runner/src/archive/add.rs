//! `oracle archive add`: a qemu-img of this machine becomes a version of the archive.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use oracle_judge::Version;

use super::install::Staging;
use super::store::{Archive, Entry};

/// Arguments of `oracle archive add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The version, such as 8.2.7; the binary must say the same.
    version: Version,
    /// The qemu-img; a qemu-io in the same directory is taken along.
    path: PathBuf,
    /// Link to the binaries instead of copying them, for those that need what lies around them.
    #[arg(long)]
    link: bool,
}

/// Adds one version.
pub fn add(archive: &Archive, args: &AddArgs) -> Result<()> {
    let source = fs::canonicalize(&args.path).with_context(|| args.path.display().to_string())?;
    let found = Entry::of_binary(&source, "")?;
    if !found.version.matches(&args.version) {
        bail!("{} is version {}, not {}", source.display(), found.version, args.version);
    }
    let place = archive.place(&found.version);
    if place.exists() {
        bail!("{} is there already: {}", found.version, place.display());
    }
    let staging = Staging::begin(archive)?;
    for name in ["qemu-img", "qemu-io"] {
        let from = if name == "qemu-img" { source.clone() } else { source.with_file_name(name) };
        if from.is_file() {
            put(&from, &staging.path().join(name), args.link)?;
        }
    }
    println!("{}", staging.finish(archive, &format!("added from {}", source.display()))?);
    Ok(())
}

fn put(from: &Path, to: &Path, link: bool) -> Result<()> {
    let done = if link { std::os::unix::fs::symlink(from, to) } else { fs::copy(from, to).map(drop) };
    done.with_context(|| from.display().to_string())
}
