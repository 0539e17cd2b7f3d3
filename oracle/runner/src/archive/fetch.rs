//! `oracle archive fetch`: Debian's versions of qemu-img, from Debian's packages.

use anyhow::{Result, bail};
use clap::Args;
use oracle_judge::Version;

use super::apt::{Apt, field, unpack};
use super::install::Staging;
use super::mirror;
use super::store::{Archive, Entry, ROOT};

/// The package that has qemu-img and qemu-io.
const PACKAGE: &str = "qemu-utils";

/// A suite of Debian and the version that it has.
struct Suite {
    /// Its name.
    name: &'static str,
    /// Suites that its packages depend on.
    base: Option<&'static str>,
    /// The version's first numbers.
    version: &'static str,
}

/// What is fetched, oldest first.
const SUITES: [Suite; 4] = [
    Suite { name: "bullseye", base: None, version: "5.2" },
    Suite { name: "bookworm", base: None, version: "7.2" },
    Suite { name: "trixie", base: None, version: "10.0" },
    Suite { name: "trixie-backports", base: Some("trixie"), version: "11.1" },
];

/// Arguments of `oracle archive fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// Only these of 5.2, 7.2, 10.0 and 11.1.
    versions: Vec<Version>,
    /// Get the packages from this Debian mirror instead of the one that apt uses.
    #[arg(long, value_name = "URI")]
    mirror: Option<String>,
}

/// Fetches what is missing. One that fails does not keep the others from being fetched.
pub fn fetch(archive: &Archive, args: &FetchArgs) -> Result<()> {
    let mut failures = Vec::new();
    for suite in selected(&args.versions)? {
        if let Some(entry) = present(archive, suite)? {
            println!("{entry}");
            continue;
        }
        match fetch_suite(archive, suite, args.mirror.as_deref()) {
            Ok(entry) => println!("{entry}"),
            Err(error) => failures.push(format!("{} ({}): {error:#}", suite.version, suite.name)),
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    bail!("not fetched: {}", failures.join("\nnot fetched: "))
}

fn selected(versions: &[Version]) -> Result<Vec<&'static Suite>> {
    let named = |version: &Version| {
        SUITES.iter().find(|suite| version.to_string() == suite.version).ok_or_else(|| {
            let known: Vec<_> = SUITES.iter().map(|suite| suite.version).collect();
            anyhow::anyhow!("Debian has no {version} to fetch; it has {}", known.join(", "))
        })
    };
    if versions.is_empty() { Ok(SUITES.iter().collect()) } else { versions.iter().map(named).collect() }
}

/// The version of this suite that was fetched before.
fn present(archive: &Archive, suite: &Suite) -> Result<Option<Entry>> {
    let from = format!("({})", suite.name);
    Ok(archive.archived()?.into_iter().find(|entry| entry.origin.ends_with(&from)))
}

fn fetch_suite(archive: &Archive, suite: &Suite, mirror: Option<&str>) -> Result<Entry> {
    let uri = match mirror {
        Some(uri) => uri.to_owned(),
        None => mirror::configured()?,
    };
    eprintln!("fetching {} from {uri} {}", suite.version, suite.name);
    let suites: Vec<&str> = suite.base.into_iter().chain([suite.name]).collect();
    let apt = Apt::new(&uri, &suites)?;
    let packages = apt.download(&format!("{PACKAGE}/{}", suite.name))?;
    let staging = Staging::begin(archive)?;
    let root = staging.path().join(ROOT);
    let mut origin = None;
    for package in &packages {
        unpack(package, &root)?;
        if field(package, "Package")? == PACKAGE {
            origin = Some(format!("Debian's {PACKAGE} {} ({})", field(package, "Version")?, suite.name));
        }
    }
    let Some(origin) = origin else { bail!("apt downloaded no {PACKAGE}") };
    staging.finish(archive, &origin)
}
