//! What a version of qemu-img is called in baselines.

use oracle_judge::Version;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A version, and which build of it where there is more than one: `7.2.22`, `5.2.0-src`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label {
    /// The version.
    pub version: Version,
    build: String,
}

impl Label {
    /// Whether the word that a person typed means this version: the whole label, or the first numbers of one without
    /// the name of a build.
    #[must_use]
    pub fn is_meant_by(&self, word: &str) -> bool {
        let prefix = || word.parse::<Version>().is_ok_and(|prefix| self.version.matches(&prefix));
        self.to_string() == word || self.build.is_empty() && prefix()
    }
}

impl From<Version> for Label {
    fn from(version: Version) -> Self {
        Self { version, build: String::new() }
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (version, build) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { version: version.parse()?, build: build.into() })
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.to_string()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.build.as_str() {
            "" => self.version.fmt(f),
            build => write!(f, "{}-{build}", self.version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_has_a_label_of_its_own_behind_the_plain_one() {
        let label = |text: &str| text.parse::<Label>().unwrap();
        assert!(label("5.2.0") < label("5.2.0-src") && label("5.2.0-src") < label("6.0.0"));
        assert!(label("2.10.0") < label("10.0.13"));
        assert!(label("5.2.0").is_meant_by("5.2") && !label("5.2.0-src").is_meant_by("5.2"));
        assert!(label("5.2.0-src").is_meant_by("5.2.0-src"));
        assert_eq!(label("5.2.0-src").to_string(), "5.2.0-src");
    }
}
