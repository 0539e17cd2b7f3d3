//! What was recorded: a line of corpus/observed/*.jsonl.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The files of records, by name.
const FILES: [&str; 2] = ["raw.jsonl", "qcow2.jsonl"];

/// A case and what qemu-img 10.0 made of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub case: Case,
    /// As corpus/observed/README.md describes it.
    pub outcome: Value,
}

/// How an image is made, and how it is resized.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub format: String,
    /// What `create -o` is given.
    pub options: BTreeMap<String, String>,
    /// Virtual size in bytes.
    pub start: u64,
    /// Byte value, offset and length of each write.
    pub writes: Vec<(u8, u64, u64)>,
    pub resizes: Vec<Resize>,
}

/// One resize as the command line has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    pub flags: Vec<String>,
    pub size: String,
}

impl Case {
    /// A name that no other record has, without blanks.
    pub fn name(&self) -> String {
        let mut name = format!("{}[{}]", self.format, self.create_options());
        name += &format!("{}{}", self.start, if self.writes.is_empty() { "" } else { "+data" });
        for resize in &self.resizes {
            name += &format!(":{}{}", resize.size, resize.flags.concat());
        }
        name
    }

    /// The options as `-o` takes them.
    pub fn create_options(&self) -> String {
        let options: Vec<String> = self.options.iter().map(|(k, v)| format!("{k}={v}")).collect();
        options.join(",")
    }
}

/// Every record.
///
/// # Errors
/// A file that cannot be read, or a line that is not a record.
pub fn all() -> Result<Vec<Record>, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/observed");
    let mut records = Vec::new();
    for file in FILES {
        let text = std::fs::read_to_string(dir.join(file)).map_err(|e| format!("{file}: {e}"))?;
        for (i, line) in text.lines().enumerate() {
            let record = serde_json::from_str(line).map_err(|e| format!("{file}:{}: {e}", i + 1))?;
            records.push(record);
        }
    }
    Ok(records)
}
