//! Making an image, letting instar resize it, and describing the result as the records do.

use crate::record::{Case, Resize};
use oracle_case::child::{Ending, Tool};
use oracle_judge::qcow2::Header;
use oracle_judge::sparse::fingerprint;
use oracle_judge::subject::{Ran, run_tool};
use oracle_judge::text::normalised;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What the image is called, so that messages quote the name that the records have.
const IMAGE: &str = "disk.img";
/// Keys of a record's header and the names of the specification.
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

/// What went wrong, for a person.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs `case` with an engine of instar, and returns what came of it in the form of the recorded
/// `outcome`: of the optional parts those that it has.
pub fn examine(case: &Case, engine: &str, outcome: &Value) -> Result<Value, Failure> {
    let place = tempfile::Builder::new().prefix("observed-").tempdir()?;
    let bench = Bench { dir: place.path(), case, engine };
    bench.make()?;
    let resizes = case.resizes.iter().map(|resize| bench.resize(resize)).collect::<Result<_, _>>()?;
    let mut found = Map::new();
    let mut put = |key: &str, value| found.insert(key.into(), value);
    put("resizes", Value::Array(resizes));
    put("info", info(&bench.qemu_img("info", &["--output=json"])?)?);
    put("check", check(&bench.qemu_img("check", &["--output=json"])?)?);
    put("instar-info", info(&bench.instar("info", &["--output=json", "--qemu-version=10.0"])?)?);
    put("instar-check", check(&bench.instar("check", &["--output=json"])?)?);
    put("host", json!({"length": File::open(bench.image())?.metadata()?.len()}));
    if let Some(header) = outcome.get("header") {
        put("header", bench.header(header)?);
    }
    if outcome.get("map").is_some() {
        put("map", map(&bench.qemu_img("map", &["--output=json"])?)?);
    }
    if outcome.get("content_sha256").is_some() {
        put("content_sha256", bench.content()?.into());
    }
    Ok(Value::Object(found))
}

/// The recorded outcome in the same form: program names and neighbouring extents of one kind do not
/// matter, no refusal may change the file, and instar's own answers must be those of qemu-img.
pub fn expected(outcome: &Value) -> Value {
    let mut outcome = outcome.clone();
    for part in ["info", "check"] {
        outcome[format!("instar-{part}")] = outcome[part].clone();
    }
    for part in ["check", "instar-check"] {
        outcome[part]["err"] = words(outcome[part]["err"].as_str().unwrap_or_default());
    }
    for resize in outcome["resizes"].as_array_mut().into_iter().flatten() {
        resize["err"] = words(resize["err"].as_str().unwrap_or_default());
        resize["file_changed_on_refusal"] = false.into();
    }
    if let Some(Value::Array(extents)) = outcome.get("map") {
        outcome["map"] = joined(extents.iter().map(|e| (number(&e[0]), number(&e[1]), e[2].clone())));
    }
    outcome
}

/// A directory with one image in it.
struct Bench<'a> {
    dir: &'a Path,
    case: &'a Case,
    engine: &'a str,
}

impl Bench<'_> {
    fn image(&self) -> std::path::PathBuf {
        self.dir.join(IMAGE)
    }

    fn make(&self) -> Result<(), Failure> {
        let options = self.case.create_options();
        let mut args = vec!["create", "-q", "-f", &self.case.format];
        if !options.is_empty() {
            args.extend(["-o", &options]);
        }
        let size = self.case.start.to_string();
        args.extend([IMAGE, &size]);
        succeeded(run_tool(&Tool::new("qemu-img"), self.dir, args)?)?;
        let mut args = vec!["-f".to_string(), self.case.format.clone(), IMAGE.into()];
        for (byte, offset, len) in &self.case.writes {
            args.extend(["-c".into(), format!("write -q -P {byte} {offset} {len}")]);
        }
        if !self.case.writes.is_empty() {
            succeeded(run_tool(&Tool::new("qemu-io"), self.dir, args)?)?;
        }
        Ok(())
    }

    fn resize(&self, resize: &Resize) -> Result<Value, Failure> {
        let before = fingerprint(&self.image())?;
        let mut words = vec!["resize", "--engine", self.engine, "-f", &self.case.format];
        words.extend(resize.flags.iter().map(String::as_str));
        words.extend([IMAGE, &resize.size]);
        let ran = run_tool(&instar(), self.dir, words)?;
        let changed = !ran.success() && before != fingerprint(&self.image())?;
        let (out, err) = (ran.stdout.trim_end(), self::words(&ran.stderr));
        Ok(json!({"rc": code(&ran), "out": out, "err": err, "file_changed_on_refusal": changed}))
    }

    fn instar(&self, verb: &str, options: &[&str]) -> Result<Ran, Failure> {
        let engine = ["--engine", self.engine];
        Ok(run_tool(&instar(), self.dir, self.call(verb, &[options, &engine].concat()))?)
    }

    fn qemu_img(&self, verb: &str, options: &[&str]) -> Result<Ran, Failure> {
        Ok(run_tool(&Tool::new("qemu-img"), self.dir, self.call(verb, options))?)
    }

    fn call(&self, verb: &str, options: &[&str]) -> Vec<String> {
        [&[verb, "-f", &self.case.format], options, &[IMAGE]].concat().into_iter().map(Into::into).collect()
    }

    /// As many fields of the header as `recorded` has: a version 2 header has fewer.
    fn header(&self, recorded: &Value) -> Result<Value, Failure> {
        let header = Header::read(&File::open(self.image())?)?;
        let value = |name| match name {
            // A version 2 header does not say how long it is.
            "header_length" => header.length,
            name => header.get(name),
        };
        let known = HEADER.iter().filter(|(key, _)| recorded.get(key).is_some());
        Ok(known.map(|(key, name)| ((*key).to_string(), json!(value(name)))).collect())
    }

    /// The SHA-256 of what a guest sees.
    fn content(&self) -> Result<String, Failure> {
        let args = ["convert", "-f", &self.case.format, "-O", "raw", IMAGE, "content"];
        succeeded(run_tool(&Tool::new("qemu-img"), self.dir, args)?)?;
        hash(&self.dir.join("content"))
    }
}

/// The SHA-256 of a file, computed once for all files with the same bytes: most of a record's content
/// is holes, which take long to hash and which records share.
fn hash(path: &Path) -> Result<String, Failure> {
    static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let fingerprint = fingerprint(path)?;
    if let Some(hash) = known().get(&fingerprint) {
        return Ok(hash.clone());
    }
    let (mut file, mut sha, mut buf) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buf)? {
            0 => break,
            len => sha.update(&buf[..len]),
        }
    }
    let hash: String = sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    known().insert(fingerprint, hash.clone());
    Ok(hash)
}

/// The instar that is built into the oracle.
fn instar() -> Tool {
    Tool { program: env!("CARGO_BIN_EXE_oracle").into(), leading_args: vec!["__instar".into()] }
}

fn succeeded(ran: Ran) -> Result<Ran, Failure> {
    if ran.success() { Ok(ran) } else { Err(format!("{ran:?}").into()) }
}

fn code(ran: &Ran) -> Value {
    match ran.ending {
        Ending::Exit(code) => code.into(),
        ending => format!("{ending:?}").into(),
    }
}

fn words(message: &str) -> Value {
    normalised(message).join("\n").into()
}

fn info(ran: &Ran) -> Result<Value, Failure> {
    let mut value: Value = serde_json::from_str(&ran.stdout).map_err(|e| format!("{e}: {ran:?}"))?;
    hide_allocation(&mut value);
    Ok(value)
}

/// The records do not tell how much space the file took.
fn hide_allocation(value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| match key.as_str() {
            "actual-size" => *value = "*".into(),
            _ => hide_allocation(value),
        }),
        Value::Array(values) => values.iter_mut().for_each(hide_allocation),
        _ => {}
    }
}

fn check(ran: &Ran) -> Result<Value, Failure> {
    let json = match ran.stdout.trim() {
        "" => Value::Null,
        text => serde_json::from_str(text).map_err(|e| format!("{e}: {ran:?}"))?,
    };
    Ok(json!({"rc": code(ran), "err": words(&ran.stderr), "json": json}))
}

fn map(ran: &Ran) -> Result<Value, Failure> {
    let extents: Vec<Value> = serde_json::from_str(&ran.stdout).map_err(|e| format!("{e}: {ran:?}"))?;
    let flag = |e: &Value, key: &str, letter| if e[key] == true { letter } else { '-' };
    let kind = |e: &Value| format!("{}{}{}", flag(e, "data", 'd'), flag(e, "zero", 'z'), e["depth"]).into();
    Ok(joined(extents.iter().map(|e| (number(&e["start"]), number(&e["length"]), kind(e)))))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(u64::MAX)
}

/// `[start, length, kind]` of every extent, neighbours of one kind as one: where in the file they
/// lie, which splits them, is an allocator's choice.
fn joined(extents: impl Iterator<Item = (u64, u64, Value)>) -> Value {
    let mut found: Vec<(u64, u64, Value)> = Vec::new();
    for (start, length, kind) in extents {
        match found.last_mut() {
            Some(last) if last.2 == kind => last.1 += length,
            _ => found.push((start, length, kind)),
        }
    }
    json!(found)
}
