//! Describing an image, and what a tool said, as parts of an outcome.

use crate::ask::ask;
use crate::make::DATA_FILE;
use crate::{BaselineError, Case, hash};
use oracle_case::child::{Ending, Tool};
use oracle_judge::qcow2::FIELDS;
use oracle_judge::subject::{IMAGE, Ran};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Disks up to this many bytes have their extents recorded.
const MAX_MAPPED: u64 = 1100 << 20;
/// Disks up to this many bytes have their content recorded.
const MAX_READ: u64 = 100 << 20;
/// Keys of an outcome's `header`, and the names of the specification (qcow2.txt, "Header").
const HEADER: [(&str, &str); 15] = [
    ("autoclear", "autoclear_features"),
    ("backing_offset", "backing_file_offset"),
    ("cluster_bits", "cluster_bits"),
    ("compatible", "compatible_features"),
    ("crypt", "crypt_method"),
    ("header_length", "header_length"),
    ("incompatible", "incompatible_features"),
    ("l1_offset", "l1_table_offset"),
    ("l1_size", "l1_size"),
    ("nb_snapshots", "nb_snapshots"),
    ("refcount_order", "refcount_order"),
    ("refcount_table_clusters", "refcount_table_clusters"),
    ("refcount_table_offset", "refcount_table_offset"),
    ("size", "size"),
    ("version", "version"),
];
/// Length in bytes of a version 2 header, which has none of the fields behind it.
const V2_LENGTH: usize = 72;

/// Puts everything that `reader` tells of the image in `dir`, and the image itself, into `found`; of an encrypted one
/// only `info`, which wants no passphrase.
///
/// # Errors
/// A tool cannot be started or the image not be read.
pub fn observe(
    case: &Case,
    dir: &Path,
    reader: &Tool,
    found: &mut Map<String, Value>,
) -> Result<(), BaselineError> {
    let of_format = |verb: &str| ask(reader, dir, [verb, "-f", &case.format, "--output=json", IMAGE]);
    // Probed, as a person would ask: a fixed VHD is then a raw file to older versions.
    let info = json_or_words(&ask(reader, dir, ["info", "--output=json", IMAGE])?);
    let size = info["virtual-size"].as_u64().unwrap_or(u64::MAX);
    found.insert("info".into(), info);
    if case.is_encrypted() {
        return Ok(());
    }
    found.insert("check".into(), check(&of_format("check")?));
    found.insert("host".into(), host(dir)?);
    if case.format == "qcow2" {
        found.insert("header".into(), header(&dir.join(IMAGE))?);
    }
    if size <= MAX_MAPPED {
        let ran = of_format("map")?;
        if ran.success() {
            found.insert("map".into(), map(&ran)?);
        }
    }
    if size <= MAX_READ {
        let read = ask(reader, dir, ["convert", "-f", &case.format, "-O", "raw", IMAGE, "content"])?;
        if read.success() {
            found.insert("content_sha256".into(), hash::sha256(&dir.join("content"))?.into());
        }
    }
    Ok(())
}

/// How a child ended: its exit code, or a word.
pub fn code(ran: &Ran) -> Value {
    match ran.ending {
        Ending::Exit(code) => code.into(),
        ending => format!("{ending:?}").into(),
    }
}

/// A message without the line end at its end.
pub fn message(text: &str) -> Value {
    text.trim_end().into()
}

/// A tool's JSON, or what it said instead.
pub fn json_or_words(ran: &Ran) -> Value {
    let words = || json!({"rc": code(ran), "err": message(&ran.stderr)});
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| words())
}

/// The answer to `check`.
pub fn check(ran: &Ran) -> Value {
    let json: Value = serde_json::from_str(&ran.stdout).unwrap_or(Value::Null);
    json!({"rc": code(ran), "err": message(&ran.stderr), "json": json})
}

fn host(dir: &Path) -> Result<Value, BaselineError> {
    let mut lengths = Map::new();
    for (key, name) in [("length", IMAGE), ("data_file_length", DATA_FILE)] {
        let path = dir.join(name);
        if path.exists() {
            let meta = std::fs::metadata(&path).map_err(BaselineError::io(&path))?;
            lengths.insert(key.into(), meta.len().into());
        }
    }
    Ok(Value::Object(lengths))
}

fn header(path: &Path) -> Result<Value, BaselineError> {
    let mut bytes = [0; 128];
    let file = File::open(path).map_err(BaselineError::io(path))?;
    // A version 2 image may be shorter than that: the rest stays zero.
    let _ = file.read_at(&mut bytes, 0).map_err(BaselineError::io(path))?;
    let number = |at: usize, len: usize| bytes[at..at + len].iter().fold(0, |n, b| n << 8 | u64::from(*b));
    let value = |name| FIELDS.iter().find(|f| f.name == name).map(|f| (f.at, number(f.at, f.len)));
    let v2 = value("version").is_some_and(|(_, version)| version == 2);
    let mut fields = Map::new();
    for (key, name) in HEADER {
        if let Some((at, value)) = value(name)
            && !(v2 && at >= V2_LENGTH)
        {
            fields.insert(key.into(), value.into());
        }
    }
    Ok(Value::Object(fields))
}

/// `[start, length, kind]` of every extent; the kind is `d` for data, `z` for zeros, and the depth.
fn map(ran: &Ran) -> Result<Value, BaselineError> {
    let extents: Vec<Value> =
        serde_json::from_str(&ran.stdout).map_err(|e| BaselineError::Unreadable(format!("map: {e}")))?;
    let flag = |e: &Value, key: &str, letter| if e[key] == true { letter } else { '-' };
    let kind = |e: &Value| format!("{}{}{}", flag(e, "data", 'd'), flag(e, "zero", 'z'), e["depth"]);
    Ok(extents.iter().map(|e| json!([e["start"], e["length"], kind(e)])).collect())
}
