//! A copy of the sources that faults are planted in, and builds of it.

use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// What goes wrong, for a person.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A copy of the sources with a target directory of its own, which later runs find again.
pub struct Tree {
    root: PathBuf,
    target: PathBuf,
    /// Where the guest's binaries are: engines in process do not need them to have the fault too.
    guest: OsString,
    /// One fault and one build at a time.
    turn: Mutex<()>,
}

/// A place in one file, and what is put there.
pub struct Plant<'a> {
    pub file: &'a str,
    pub find: &'a str,
    pub replace: &'a str,
}

impl Plant<'_> {
    /// The text of the file with the fault.
    pub fn put_into(&self, good: &str) -> Result<String, String> {
        match good.matches(self.find).count() {
            1 => Ok(good.replacen(self.find, self.replace, 1)),
            times => Err(format!("{} has {:?} {times} times", self.file, self.find)),
        }
    }
}

impl Tree {
    /// Copies the sources below `place` and builds them once.
    pub fn prepare(place: &Path) -> Result<Self, Failure> {
        let (root, target) = (place.join("tree"), place.join("target"));
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let files = sources(&ours)?;
        for file in &files {
            write_if_new(&root.join(file), &fs::read(ours.join(file))?)?;
        }
        remove_others(&root, &root, &files)?;
        let mut tree = Self { root, target, guest: OsString::new(), turn: Mutex::new(()) };
        let told = tree.cargo("instar", &["--message-format=json"])?;
        let script = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(guest);
        tree.guest = script.ok_or("the build script of instar-vmm does not say where the guest is")?;
        Ok(tree)
    }

    /// Builds a program, `instar` or `oracle`, with a fault or without one, and returns a copy of it that is `name`'s own.
    pub fn build(&self, program: &str, name: &str, plant: Option<&Plant>) -> Result<PathBuf, Failure> {
        let _turn = self.turn.lock().map_err(|_| "another build panicked")?;
        self.planted(plant, || self.cargo(program, &[]))??;
        // Its own name stays: messages begin with it.
        let to = self.target.with_file_name("built").join(name).join("instar");
        fs::create_dir_all(to.parent().ok_or("a file without a directory")?)?;
        fs::copy(self.target.join("debug").join(program), &to)?;
        Ok(to)
    }

    /// Runs the tests of the planners whose names have `filter` in them, with a fault or without one, and returns how many
    /// there are and the names of those that fail.
    pub fn test(&self, filter: &str, plant: Option<&Plant>) -> Result<(usize, Vec<String>), Failure> {
        let _turn = self.turn.lock().map_err(|_| "another build panicked")?;
        let mut cargo = self.command();
        cargo.args(["test", "--locked", "--offline", "--package", "instar-planner", "--lib", filter]);
        let output = self.planted(plant, || cargo.output())??;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let tests = told.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
        let tests: Vec<_> = tests.collect();
        if tests.is_empty() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let failed = tests.iter().filter(|(_, how)| *how == "FAILED").map(|(name, _)| (*name).to_owned());
        Ok((tests.len(), failed.collect()))
    }

    /// Does something while a fault is in the sources.
    fn planted<T>(&self, plant: Option<&Plant>, run: impl FnOnce() -> T) -> Result<T, Failure> {
        let Some(plant) = plant else {
            return Ok(run());
        };
        let file = self.root.join(plant.file);
        let good = fs::read_to_string(&file)?;
        fs::write(&file, plant.put_into(&good)?)?;
        let done = run();
        fs::write(&file, good)?;
        Ok(done)
    }

    /// Cargo in the copy.
    fn command(&self) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").stdin(Stdio::null());
        cargo
    }

    /// Runs `cargo build` and returns what it says on standard output.
    fn cargo(&self, program: &str, options: &[&str]) -> Result<String, Failure> {
        let mut cargo = self.command();
        cargo.args(["build", "--quiet", "--locked", "--offline", "--bin", program]).args(options);
        if !self.guest.is_empty() {
            cargo.env("INSTAR_GUEST_DIR", &self.guest);
        }
        let output = cargo.output()?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into()),
        }
    }
}

/// Every file that a commit of everything would have.
fn sources(root: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output()?;
    let names = String::from_utf8(output.stdout)?;
    // What git tracks may be gone from the working tree.
    let there = names.split_terminator('\0').filter(|name| root.join(name).is_file());
    Ok(there.map(PathBuf::from).collect())
}

/// Leaves a file that has these bytes alone: its time tells cargo whether to build anew.
fn write_if_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().ok_or("a file without a directory")?)?;
    Ok(fs::write(path, bytes)?)
}

/// Removes what an earlier run left below `dir` and the sources no longer have.
fn remove_others(root: &Path, dir: &Path, files: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(root, &path, files)?;
        } else if !files.contains(path.strip_prefix(root)?) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// The directory that a message of cargo's names as the guest's, if it is the one that does.
fn guest(message: Value) -> Option<OsString> {
    let env = message.get("env")?.as_array()?;
    let pair = env.iter().find(|pair| pair[0] == "INSTAR_GUEST_DIR")?;
    Some(pair[1].as_str()?.into())
}
