//! apt with a state of its own: it resolves, downloads and checks packages as usual, and the system's own lists, caches
//! and package database stay as they are.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use oracle_case::child::{self, Output};
use tempfile::TempDir;

/// How long one call may take: a mirror may be slow.
const DEADLINE: Duration = Duration::from_secs(600);

/// Debian's keys, where its keyring package puts them. Without it, apt's own trusted keys decide.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Settings of the machine that say how to reach a mirror. No other is taken over: what apt accepts is its default.
const TRANSPORT: [&str; 2] = ["Acquire::http::", "Acquire::https::"];

/// An apt whose state is a temporary directory.
pub struct Apt {
    dir: TempDir,
}

impl Apt {
    /// An apt that knows `suites` of the mirror at `uri`.
    ///
    /// # Errors
    /// apt is not there, or cannot get the lists: its own words are in the error, a refusal of an expired or unsigned
    /// list among them.
    pub fn new(uri: &str, suites: &[&str]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("oracle-apt-").tempdir()?;
        // apt downloads as a user of its own, who must get in.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let apt = Self { dir };
        for part in ["state/lists/partial", "cache/archives/partial", "log"] {
            fs::create_dir_all(apt.path(part))?;
        }
        fs::write(apt.path("status"), "")?;
        fs::write(apt.path("mirror.sources"), sources(uri, suites))?;
        fs::write(apt.path("apt.conf"), apt.configuration()?)?;
        apt.get(&["update"])?;
        Ok(apt)
    }

    /// Downloads `package` (`name` or `name/suite`) with all it depends on, and returns the files.
    ///
    /// # Errors
    /// apt cannot resolve or get it.
    pub fn download(&self, package: &str) -> Result<Vec<PathBuf>> {
        self.get(&["install", "--yes", "--no-install-recommends", "--download-only", package])?;
        let files = fs::read_dir(self.path("cache/archives"))?;
        let files = files.filter_map(|file| Some(file.ok()?.path()));
        let mut files: Vec<_> =
            files.filter(|file| file.extension().is_some_and(|kind| kind == "deb")).collect();
        files.sort();
        Ok(files)
    }

    fn get(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new("apt-get");
        command.env("APT_CONFIG", self.path("apt.conf")).env("LC_ALL", "C");
        command.arg("--quiet=2").args(args);
        call(command, "is this a Debian machine?").map(drop)
    }

    fn path(&self, part: &str) -> PathBuf {
        self.dir.path().join(part)
    }

    fn configuration(&self) -> Result<String> {
        let dir = self.dir.path().display();
        let mut text = format!(
            "Dir::State \"{dir}/state\";\n\
             Dir::State::status \"{dir}/status\";\n\
             Dir::Cache \"{dir}/cache\";\n\
             Dir::Log \"{dir}/log\";\n\
             Dir::Etc::main \"/dev/null\";\n\
             Dir::Etc::parts \"/dev/null\";\n\
             Dir::Etc::sourcelist \"{dir}/mirror.sources\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferences \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n\
             Acquire::Languages \"none\";\n\
             APT::Update::Error-Mode \"any\";\n"
        );
        let dump = call(command("apt-config", ["dump"]), "is this a Debian machine?")?;
        for line in dump.stdout_text().lines() {
            if TRANSPORT.iter().any(|prefix| line.starts_with(prefix)) {
                text += line;
                text.push('\n');
            }
        }
        Ok(text)
    }
}

/// Unpacks a package into `root`.
///
/// # Errors
/// dpkg-deb is not there or refuses.
pub fn unpack(package: &Path, root: &Path) -> Result<()> {
    let command = command("dpkg-deb", ["-x".as_ref(), package.as_os_str(), root.as_os_str()]);
    call(command, "is this a Debian machine?").map(drop)
}

/// One field of a package.
///
/// # Errors
/// As [`unpack`].
pub fn field(package: &Path, name: &str) -> Result<String> {
    let command = command("dpkg-deb", ["-f".as_ref(), package.as_os_str(), name.as_ref()]);
    Ok(call(command, "is this a Debian machine?")?.stdout_text().trim().to_owned())
}

fn sources(uri: &str, suites: &[&str]) -> String {
    let mut text = format!("Types: deb\nURIs: {uri}\nSuites: {}\nComponents: main\n", suites.join(" "));
    if Path::new(KEYRING).exists() {
        text += &format!("Signed-By: {KEYRING}\n");
    }
    text
}

fn command<A: AsRef<std::ffi::OsStr>, const N: usize>(program: &str, args: [A; N]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Runs a command that must succeed; its own words are the error.
fn call(command: Command, hint: &str) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = child::run(command, DEADLINE).with_context(|| format!("{program} ({hint})"))?;
    if !output.success() {
        bail!("{program}: {:?}\n{}", output.ending, output.stderr_text().trim());
    }
    Ok(output)
}
