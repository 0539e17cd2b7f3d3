//! Which of the files that an image names may be opened (`--backing`).
//!
//! An image chooses the names, so a file is first looked at without opening it (`O_PATH`), then judged
//! by where it really lies, and then opened through that very look: whatever takes its place in the
//! meantime is not what is opened.

use crate::message::{errno_text, shown};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What may be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// What `qemu-img` would open: whatever the image names.
    Allow,
    /// Nothing.
    Deny,
    /// What lies below one of these directories, symbolic links resolved.
    Below(Vec<PathBuf>),
}

impl Gate {
    /// The gate that the values of `--backing` describe: `allow`, `deny`, or directories with colons
    /// between them. Of words given twice the last one counts; directories add up.
    ///
    /// # Errors
    /// What to say of a directory that is not there.
    pub fn parse(values: &[OsString]) -> Result<Self, String> {
        let mut gate = Self::Allow;
        for value in values {
            gate = match value.as_bytes() {
                b"allow" => Self::Allow,
                b"deny" => Self::Deny,
                paths => {
                    let mut all = if let Self::Below(all) = gate { all } else { Vec::new() };
                    for path in paths.split(|byte| *byte == b':') {
                        all.push(directory(path)?);
                    }
                    Self::Below(all)
                }
            };
        }
        Ok(gate)
    }

    /// Opens the regular file at `path`, which an image has named.
    ///
    /// # Errors
    /// What to say: it may not be opened, or cannot be.
    pub fn open(&self, path: &Path, write: bool) -> Result<File, String> {
        let name = shown(path.as_os_str());
        let not_opened = |e: io::Error| format!("Could not open '{name}': {}", errno_text(&e));
        let refused = || format!("Could not open '{name}': --backing does not allow it");
        if *self == Self::Deny {
            return Err(refused());
        }
        if path.as_os_str().is_empty() {
            return Err("The 'file' block driver requires a file name".to_owned());
        }
        let look = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path).map_err(not_opened)?;
        if !look.metadata().map_err(not_opened)?.is_file() {
            return Err(format!("'file' driver requires '{name}' to be a regular file"));
        }
        let handle = PathBuf::from(format!("/proc/self/fd/{}", look.as_raw_fd()));
        if let Self::Below(directories) = self {
            let real = handle.read_link().map_err(not_opened)?;
            if !directories.iter().any(|directory| real.starts_with(directory)) {
                return Err(refused());
            }
        }
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        OpenOptions::new().read(true).write(write).custom_flags(flags).open(handle).map_err(not_opened)
    }
}

fn directory(path: &[u8]) -> Result<PathBuf, String> {
    let path = PathBuf::from(OsString::from_vec(path.to_vec()));
    let failed = |why: &str| {
        format!("--backing expects allow, deny or directories, not '{}': {why}", shown(path.as_os_str()))
    };
    match path.canonicalize() {
        Ok(real) if real.is_dir() => Ok(real),
        Ok(_) => Err(failed("Not a directory")),
        Err(e) => Err(failed(&errno_text(&e))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Files inside and outside of a directory, and links from one to the other.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("it is there");
        std::fs::create_dir_all(root.join("in/deep")).expect("made");
        std::fs::create_dir(root.join("in-not")).expect("made");
        for file in ["in/a", "in/deep/b", "out", "in-not/c"] {
            std::fs::write(root.join(file), b"x").expect("written");
        }
        symlink("../out", root.join("in/escape")).expect("linked");
        symlink("in/a", root.join("enter")).expect("linked");
        symlink("in", root.join("door")).expect("linked");
        (dir, root)
    }

    #[test]
    fn only_what_really_lies_below() {
        let (_dir, root) = place();
        let values = [root.join("door").into_os_string()];
        let gate = Gate::parse(&values).expect("a directory");
        for (file, fine) in [
            ("in/a", true),
            ("in/deep/b", true),
            ("enter", true),
            ("in/../in/a", true),
            ("out", false),
            ("in/escape", false),
            ("in/../out", false),
            ("in-not/c", false),
        ] {
            let opened = gate.open(&root.join(file), false);
            assert_eq!(opened.is_ok(), fine, "{file}: {opened:?}");
            assert!(Gate::Allow.open(&root.join(file), false).is_ok(), "{file}");
            assert!(Gate::Deny.open(&root.join(file), false).is_err(), "{file}");
        }
        let nothing = gate.open(&root.join("in/none"), false).expect_err("not there");
        assert!(nothing.ends_with("No such file or directory"), "{nothing}");
        assert!(Gate::Allow.open(&root.join("in"), false).is_err(), "a directory");
    }

    #[test]
    fn words_and_directories() {
        let (_dir, root) = place();
        let both = OsString::from(format!("{0}/in:{0}/in-not", root.display()));
        let parse = |values: &[&str]| Gate::parse(&values.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(parse(&[]), Ok(Gate::Allow));
        assert_eq!(parse(&["deny", "allow"]), Ok(Gate::Allow));
        assert_eq!(parse(&["allow", "deny"]), Ok(Gate::Deny));
        assert_eq!(Gate::parse(&[both]), Ok(Gate::Below(vec![root.join("in"), root.join("in-not")])));
        assert!(parse(&["/nosuch"]).is_err() && parse(&[""]).is_err());
    }
}
