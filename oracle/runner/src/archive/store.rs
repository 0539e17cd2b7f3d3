//! What is in the archive, and which of it a word selects.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use oracle_case::child::Tool;
use oracle_judge::Version;

/// How long `qemu-img --version` may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// The file in a version's directory that says where it came from, in one line.
pub const ORIGIN: &str = "origin";

/// The directory in a version's directory that packages were unpacked to.
pub const ROOT: &str = "root";

/// One version of qemu-img.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the binary says it is.
    pub version: Version,
    /// qemu-img.
    pub qemu_img: Tool,
    /// qemu-io of the same version, if there is one.
    pub qemu_io: Option<Tool>,
    /// Where it came from, for people.
    pub origin: String,
    /// The binary, or the directory that holds the version.
    pub path: PathBuf,
}

impl Entry {
    /// Asks the qemu-img at `path` for its version; the qemu-io next to it belongs to it.
    ///
    /// # Errors
    /// It does not start, or does not say a version.
    pub fn of_binary(path: &Path, origin: &str) -> Result<Self> {
        let qemu_img = Tool::new(path);
        let io = path.with_file_name("qemu-io");
        Ok(Self {
            version: ask(&qemu_img)?,
            qemu_img,
            qemu_io: io.is_file().then(|| Tool::new(io)),
            origin: origin.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Reads the directory of one version.
    ///
    /// # Errors
    /// It holds no qemu-img that runs.
    pub fn of_directory(dir: &Path) -> Result<Self> {
        let origin = fs::read_to_string(dir.join(ORIGIN)).unwrap_or_default();
        let origin = if origin.is_empty() { "added by hand" } else { origin.trim() };
        let root = dir.join(ROOT);
        if !root.is_dir() {
            let entry = Self::of_binary(&dir.join("qemu-img"), origin)?;
            return Ok(Self { path: dir.to_owned(), ..entry });
        }
        let qemu_img = in_root(&root, "usr/bin/qemu-img")?;
        Ok(Self {
            version: ask(&qemu_img)?,
            qemu_img,
            qemu_io: in_root(&root, "usr/bin/qemu-io").ok(),
            origin: origin.to_owned(),
            path: dir.to_owned(),
        })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.to_string();
        write!(f, "{version:<9} {}, {}", self.path.display(), self.origin)?;
        if self.qemu_io.is_none() {
            write!(f, ", without qemu-io")?;
        }
        Ok(())
    }
}

/// A directory of versions.
#[derive(Debug, Clone)]
pub struct Archive {
    dir: PathBuf,
}

impl Archive {
    /// The archive in `dir`, or in the user's cache directory. It need not exist.
    ///
    /// # Errors
    /// No directory is given and the environment names no cache or home directory.
    pub fn at(dir: Option<&Path>) -> Result<Self> {
        let dir = match dir {
            Some(dir) => std::path::absolute(dir)?,
            None => cache_directory()?.join("instar-oracle").join("archive"),
        };
        Ok(Self { dir })
    }

    /// Where the versions are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where `version` is or would be.
    pub fn place(&self, version: &Version) -> PathBuf {
        self.dir.join(version.to_string())
    }

    /// Every version, oldest first, `PATH`'s among them. Of two with the same number the archived one stays.
    ///
    /// # Errors
    /// The directory cannot be read, or one of its versions does not run.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = self.archived()?;
        entries.extend(in_path()?);
        entries.sort_by(|one, other| one.version.cmp(&other.version));
        entries.dedup_by(|later, earlier| later.version == earlier.version);
        Ok(entries)
    }

    /// The versions in the archive's directory.
    ///
    /// # Errors
    /// As [`Archive::entries`].
    pub fn archived(&self) -> Result<Vec<Entry>> {
        let names = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            names => names.with_context(|| self.dir.display().to_string())?,
        };
        let mut entries = Vec::new();
        for name in names {
            let name = name?;
            // What is being fetched or added is in a directory whose name is no version.
            if name.file_name().to_string_lossy().parse::<Version>().is_ok() {
                entries.push(Entry::of_directory(&name.path())?);
            }
        }
        Ok(entries)
    }

    /// What `word` means: `all`, the path of a qemu-img, or a version whose newest match is taken (8.2 is 8.2.7).
    ///
    /// # Errors
    /// There is no such version; the message lists those there are.
    pub fn select(&self, word: &str) -> Result<Vec<Entry>> {
        if word == "all" {
            return self.entries();
        }
        if word.contains('/') {
            let path = std::path::absolute(word)?;
            return Ok(vec![Entry::of_binary(&path, "given by its path")?]);
        }
        let wanted: Version = word.parse().map_err(|error: String| anyhow!(error))?;
        let entries = self.entries()?;
        match entries.iter().rfind(|entry| entry.version.matches(&wanted)) {
            Some(entry) => Ok(vec![entry.clone()]),
            None => bail!(absent(word, &entries)),
        }
    }
}

fn absent(word: &str, entries: &[Entry]) -> String {
    if entries.is_empty() {
        return format!("there is no qemu-img {word}, and no other: run `oracle archive fetch`");
    }
    let versions: Vec<String> = entries.iter().map(|entry| entry.version.to_string()).collect();
    format!(
        "there is no qemu-img {word}; there is {} (`oracle archive fetch` and `oracle archive add` get more)",
        versions.join(", ")
    )
}

/// A tool of an unpacked root, started by the root's own loader and with its libraries only.
fn in_root(root: &Path, tool: &str) -> Result<Tool> {
    let program = root.join(tool);
    if !program.is_file() {
        bail!("{}: no such file", program.display());
    }
    let libraries = library_directories(root)?;
    let loader = libraries.iter().find_map(|dir| loader_in(dir));
    let loader = loader.ok_or_else(|| anyhow!("{}: no loader", root.display()))?;
    let path = std::env::join_paths(&libraries)?;
    let leading_args = vec!["--inhibit-cache".into(), "--library-path".into(), path, program.into()];
    Ok(Tool { program: loader, leading_args })
}

/// `lib/TRIPLET` and `usr/lib/TRIPLET`, as far as they are there.
fn library_directories(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for lib in [root.join("lib"), root.join("usr/lib")] {
        // In a root with a merged /usr, `lib` may be a link to `usr/lib`.
        if !lib.is_dir() || lib.is_symlink() {
            continue;
        }
        for entry in fs::read_dir(&lib)? {
            let path = entry?.path();
            if path.is_dir() && path.to_string_lossy().ends_with("-linux-gnu") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn loader_in(dir: &Path) -> Option<PathBuf> {
    let names = fs::read_dir(dir).ok()?.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut names = names.filter(|name| name.to_string_lossy().starts_with("ld-linux"));
    Some(dir.join(names.next()?))
}

/// The qemu-img in `PATH`.
fn in_path() -> Result<Option<Entry>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|dir| dir.join("qemu-img"));
    files.find(|file| file.is_file()).map(|file| Entry::of_binary(&file, "in PATH")).transpose()
}

fn ask(tool: &Tool) -> Result<Version> {
    let shown = tool.leading_args.last().map_or(tool.program.clone(), PathBuf::from);
    let output = tool.run(["--version"], DEADLINE).with_context(|| shown.display().to_string())?;
    Version::from_banner(&output.stdout_text())
        .ok_or_else(|| anyhow!("{} says no version: {}", shown.display(), output.stderr_text().trim()))
}

fn cache_directory() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .ok_or_else(|| anyhow!("neither XDG_CACHE_HOME nor HOME is set: name a directory with --archive"))
}

#[cfg(test)]
mod tests;
