//! A case of the matrix: how an image is made, and how it is resized.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How an image is made, and how it is resized. Fields are in the order of their names, which is that of the JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name that `-f` takes.
    pub format: String,
    /// What `create -o` is given.
    pub options: BTreeMap<String, String>,
    /// The resizes, in order; none where only the fresh image matters.
    pub resizes: Vec<Resize>,
    /// What else the image has, in order: `backing:SIZE`, `data_file`, `data_file_raw`, `luks` (qcow2's own
    /// encryption) at creation; `snapshot`, `overwrite`, `bitmap` after the writes.
    pub setup: Vec<String>,
    /// Virtual size at creation, in bytes.
    pub start: u64,
    /// Byte value, offset and length of each write of the guest.
    pub writes: Vec<(u8, u64, u64)>,
}

/// One resize as the command line has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// `--shrink`, `--preallocation=MODE`.
    pub flags: Vec<String>,
    /// The SIZE word.
    pub size: String,
}

impl Case {
    /// A stable name of the case's content: 16 hexadecimal digits.
    #[must_use]
    pub fn key(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        Sha256::digest(text).iter().take(8).fold(String::new(), |mut key, byte| {
            let _ = write!(key, "{byte:02x}");
            key
        })
    }

    /// The case in one line for people, which no other case of a matrix has.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = format!("{}[{}]", self.format, self.create_options());
        for setup in &self.setup {
            name += &format!("+{setup}");
        }
        name += &format!(" {}{}", self.start, if self.writes.is_empty() { "" } else { "+data" });
        for resize in &self.resizes {
            name += &format!(" -> {}{}", resize.size, resize.flags.concat());
        }
        name
    }

    /// The options as `-o` takes them.
    #[must_use]
    pub fn create_options(&self) -> String {
        let options: Vec<String> = self.options.iter().map(|(k, v)| format!("{k}={v}")).collect();
        options.join(",")
    }

    /// The size of the backing file as `create` takes it, if there is one.
    #[must_use]
    pub fn backing(&self) -> Option<&str> {
        self.setup.iter().find_map(|setup| setup.strip_prefix("backing:"))
    }

    /// Whether nobody opens the image without a passphrase.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.format == "luks" || self.has("luks")
    }

    /// Whether only the new image matters, which each side makes for itself.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.resizes.is_empty() && ["vpc", "vhdx", "vmdk"].contains(&self.format.as_str())
    }

    /// Whether the image has this.
    #[must_use]
    pub fn has(&self, setup: &str) -> bool {
        self.setup.iter().any(|s| s == setup)
    }

    /// Whether any of the resizes has this flag.
    #[must_use]
    pub fn has_flag(&self, flag: &str) -> bool {
        self.resizes.iter().any(|resize| resize.flags.iter().any(|f| f == flag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_that_of_the_content_and_stays() {
        let text = r#"{"format":"raw","options":{},"start":512,"setup":[],"writes":[[1,0,512]],
            "resizes":[{"flags":["--shrink"],"size":"0"}]}"#;
        let case: Case = serde_json::from_str(text).unwrap();
        assert_eq!(case.key(), "2da0430c0de23535");
        assert_eq!(case.name(), "raw[] 512+data -> 0--shrink");
        let other = Case { start: 513, ..case.clone() };
        assert_ne!(other.key(), case.key());
    }
}
