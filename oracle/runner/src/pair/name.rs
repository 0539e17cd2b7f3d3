//! How a user names a subject.

use anyhow::{Result, anyhow, bail};
use oracle_judge::Version;
use std::path::PathBuf;

/// What may be named, for people.
const NAMES: &str =
    "qemu-img, qemu-img@VERSION, instar, instar@kvm, instar@in-process, or the path of a program (./NAME)";

/// A subject as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The newest qemu-img of this version, or of all.
    QemuImg(Option<Version>),
    /// instar with this engine, or with the best that runs.
    Instar(Option<&'static str>),
    /// A program with qemu-img's command line.
    Program(PathBuf),
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// It names nothing that could be compared.
    pub fn parse(word: &str) -> Result<Self> {
        if word.contains('/') {
            return Ok(Self::Program(word.into()));
        }
        let (who, which) = word.split_once('@').map_or((word, None), |(who, which)| (who, Some(which)));
        match (who, which) {
            ("qemu-img", None) => Ok(Self::QemuImg(None)),
            ("qemu-img", Some(version)) => {
                let version = version.parse().map_err(|e: String| anyhow!("{word}: {e}"))?;
                Ok(Self::QemuImg(Some(version)))
            }
            ("instar", None) => Ok(Self::Instar(None)),
            ("instar", Some("kvm")) => Ok(Self::Instar(Some("kvm"))),
            ("instar", Some("in-process")) => Ok(Self::Instar(Some("in-process"))),
            _ => bail!("there is no subject '{word}': {NAMES}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let version = |text: &str| Some(text.parse().unwrap());
        assert_eq!(Name::parse("qemu-img").unwrap(), Name::QemuImg(None));
        assert_eq!(Name::parse("qemu-img@8.2").unwrap(), Name::QemuImg(version("8.2")));
        assert_eq!(Name::parse("instar@in-process").unwrap(), Name::Instar(Some("in-process")));
        assert_eq!(Name::parse("./qemu-img@8").unwrap(), Name::Program("./qemu-img@8".into()));
        for bad in ["", "qemu", "qemu-img@all", "instar@", "instar@xen", "imgtool"] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }
}
