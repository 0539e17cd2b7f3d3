//! A program that is neither an instar nor a qemu-img, but speaks qemu-img's command line.

use crate::subject::{Family, IMAGE, Subject, run_tool_within};
use crate::{JudgeError, Version};
use oracle_case::Fixture;
use oracle_case::child::Tool;
use std::path::Path;
use std::time::Duration;

/// Size of the image that a program is tried on.
const SIZE: &str = "1M";

/// Another resizer.
#[derive(Debug, Clone)]
pub struct Other {
    name: String,
    tool: Tool,
    lacks: Vec<&'static str>,
}

impl Other {
    /// Tries in `dir`, on an image that `maker` makes, which subcommands `tool` has; each may take `deadline`.
    ///
    /// # Errors
    /// [`JudgeError`]: one of the two cannot be started.
    pub fn probe(
        name: &str,
        tool: Tool,
        maker: &Tool,
        dir: &Path,
        deadline: Duration,
    ) -> Result<Self, JudgeError> {
        let dir = dir.join("probe");
        std::fs::create_dir_all(&dir).map_err(JudgeError::io(&dir))?;
        let ask = |who: &Tool, words: &[&str]| run_tool_within(deadline, who, &dir, words.iter().copied());
        let mut other = Self { name: name.into(), tool, lacks: Vec::new() };
        if !ask(&other.tool, &["create", "-f", "qcow2", IMAGE, SIZE])?.success() {
            other.lacks.push("create");
        }
        ask(maker, &["create", "-f", "qcow2", IMAGE, SIZE])?;
        for verb in ["info", "check"] {
            let ran = ask(&other.tool, &[verb, "-f", "qcow2", "--output=json", IMAGE])?;
            if !ran.success() || serde_json::from_str::<serde_json::Value>(&ran.stdout).is_err() {
                other.lacks.push(verb);
            }
        }
        std::fs::remove_dir_all(&dir).map_err(JudgeError::io(&dir))?;
        Ok(other)
    }

    /// The subcommands that it does not have and that are therefore not compared.
    #[must_use]
    pub fn lacking(&self) -> &[&'static str] {
        &self.lacks
    }
}

impl Subject for Other {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Option<&Version> {
        None
    }

    fn tool(&self) -> &Tool {
        &self.tool
    }

    fn options(&self) -> &[String] {
        &[]
    }

    fn family(&self) -> Family {
        Family::Other
    }

    fn unable(&self, _: &Fixture) -> Option<String> {
        None
    }

    fn lacks(&self, verb: &str) -> bool {
        self.lacks.contains(&verb)
    }
}
