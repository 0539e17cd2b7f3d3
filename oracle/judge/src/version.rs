//! Versions of QEMU.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A version of QEMU: `10.0.2`. Fewer numbers are a shorter prefix: `8.2` is before `8.2.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(Vec<u32>);

impl Version {
    /// Whether this version begins with the numbers of `prefix`.
    #[must_use]
    pub fn matches(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }

    /// The version in the first line of a tool's `--version`.
    #[must_use]
    pub fn from_banner(text: &str) -> Option<Self> {
        let (_, rest) = text.lines().next()?.split_once("version ")?;
        rest.split([' ', '(', '-', '+']).next()?.parse().ok()
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split('.').map(str::parse).collect::<Result<Vec<_>, _>>();
        match numbers {
            Ok(numbers) => Ok(Self(numbers)),
            Err(_) => Err(format!("'{text}' is not a version such as 8.2 or 10.0.2")),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number_and_matched_by_prefix() {
        let v = |text: &str| text.parse::<Version>().unwrap();
        assert!(v("10.0.2") > v("7.2.22"));
        assert!(v("8.2.7").matches(&v("8.2")) && !v("8.20.1").matches(&v("8.2")));
        let debian = "qemu-img version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright";
        assert_eq!(Version::from_banner(debian), Some(v("10.0.2")));
        assert_eq!(Version::from_banner("qemu-img version 11.1.0-rc1"), Some(v("11.1.0")));
        assert!("ten".parse::<Version>().is_err());
    }
}
