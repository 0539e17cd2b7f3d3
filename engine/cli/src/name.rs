//! What a file name on the command line means.
//!
//! As in `qemu-img`, a colon before the first slash ends the name of a protocol. Only `file:` is
//! spoken here.

use crate::message::shown;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What begins a name that is options as JSON.
const JSON: &[u8] = b"json:";

/// An image's name: as given, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    given: OsString,
    path: PathBuf,
    /// Whether it was given by options, and not by its name alone.
    by_options: bool,
    described: Option<String>,
    below: Vec<String>,
}

impl ImageName {
    /// Resolves a name from the command line.
    ///
    /// # Errors
    /// What is wrong with it, without the name itself.
    pub fn new(given: &OsStr) -> Result<Self, String> {
        let bytes = given.as_bytes();
        if bytes.starts_with(JSON) {
            return Err("Unknown protocol 'json'".to_owned());
        }
        let path = match protocol(bytes) {
            Some((b"file", rest)) => rest,
            Some((other, _)) => {
                let other = shown(OsStr::from_bytes(other));
                return Err(format!("Unknown protocol '{other}'"));
            }
            None => bytes,
        };
        Ok(Self {
            by_options: false,
            described: None,
            below: Vec::new(),
            given: given.to_owned(),
            path: PathBuf::from(OsString::from_vec(path.to_vec())),
        })
    }

    /// The file `path`, named by the options `given`.
    #[must_use]
    pub fn from_options(given: &OsStr, path: &OsStr) -> Self {
        Self {
            given: given.to_owned(),
            path: PathBuf::from(path),
            by_options: true,
            described: None,
            below: Vec::new(),
        }
    }

    /// The same, described by more than its path, if there is more to say.
    #[must_use]
    pub fn described(self, described: Option<String>) -> Self {
        Self { described, ..self }
    }

    /// The same above `below`: the file, and raw layers upon it, spelled out from below.
    #[must_use]
    pub fn above(self, below: Vec<String>) -> Self {
        Self { below, ..self }
    }

    /// The raw layers between the file and the image, from below, spelled out.
    pub fn raw_layers(&self) -> impl Iterator<Item = String> {
        self.below.iter().skip(1).map(|layer| format!("json:{layer}"))
    }

    /// The name of the image, as opposed to that of its file, as text for JSON.
    #[must_use]
    pub fn image_text(&self) -> String {
        self.described.clone().unwrap_or_else(|| self.text())
    }

    /// The name that `check` prints as text for JSON: the options, where it was given by them.
    #[must_use]
    pub fn checked(&self) -> String {
        if self.described.is_some() || self.given.as_bytes().starts_with(JSON) {
            return self.given.to_string_lossy().into_owned();
        }
        self.text()
    }

    /// The name of the image where one is guessed about, fit for a message: its file, if it was given by options.
    #[must_use]
    pub fn guessed(&self) -> String {
        if self.by_options { self.shown_path() } else { self.given() }
    }

    /// The name of an image that another one names, fit for a message: its path, or the options that it was given by.
    #[must_use]
    pub fn behind(&self) -> String {
        if self.by_options { self.given() } else { self.shown_path() }
    }

    /// The name as given, fit for a message.
    #[must_use]
    pub fn given(&self) -> String {
        shown(&self.given)
    }

    /// The path, fit for a message.
    #[must_use]
    pub fn shown_path(&self) -> String {
        shown(self.path.as_os_str())
    }

    /// The path, as text for JSON: what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path that a name stored in this image stands for: relative to the image's directory,
    /// unless it is absolute or names a protocol.
    #[must_use]
    pub fn resolve(&self, stored: &[u8]) -> Vec<u8> {
        if stored.first() == Some(&b'/') || protocol(stored).is_some() {
            return stored.to_vec();
        }
        let own = self.path.as_os_str().as_bytes();
        let directory = own.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        [&own[..directory], stored].concat()
    }
}

/// The protocol that a name begins with, and the rest.
fn protocol(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = name.iter().position(|&b| b == b':' || b == b'/')?;
    let (before, rest) = (name.get(..at)?, name.get(at + 1..)?);
    (name.get(at) == Some(&b':')).then_some((before, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(s: &str) -> Result<ImageName, String> {
        ImageName::new(OsStr::new(s))
    }

    #[test]
    fn only_files_are_opened() {
        let path = |s: &str| name(s).map(|n| n.text());
        assert_eq!(path("a.img"), Ok("a.img".to_owned()));
        assert_eq!(path("file:a.img"), Ok("a.img".to_owned()));
        assert_eq!(path("file:a:b"), Ok("a:b".to_owned()));
        assert_eq!(path("./a:b.img"), Ok("./a:b.img".to_owned()));
        assert_eq!(path("-x"), Ok("-x".to_owned()));
        assert_eq!(path("nbd:host:10809"), Err("Unknown protocol 'nbd'".to_owned()));
        assert_eq!(path(":x"), Err("Unknown protocol ''".to_owned()));
        assert!(path("json:{}").is_err_and(|e| e == "Unknown protocol 'json'"));
    }

    #[test]
    fn a_name_that_is_not_text_keeps_its_bytes() {
        let raw = OsStr::from_bytes(b"\xff.img");
        let name = ImageName::new(raw).expect("a file name");
        assert_eq!(name.path().as_os_str(), raw);
        assert_eq!(name.text(), "\u{fffd}.img");
    }

    #[test]
    fn stored_names_are_relative_to_the_image() {
        let overlay = name("sub/ov.img").expect("a file name");
        assert_eq!(overlay.resolve(b"../base.img"), b"sub/../base.img");
        assert_eq!(overlay.resolve(b"/base.img"), b"/base.img");
        assert_eq!(overlay.resolve(b"nbd:x"), b"nbd:x");
        let here = name("file:ov.img").expect("a file name");
        assert_eq!(here.resolve(b"base.img"), b"base.img");
    }
}
