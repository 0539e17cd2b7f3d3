//! Making the image of a case.

use crate::ask::ask;
use crate::observe::{code, message};
use crate::{BaselineError, Case};
use oracle_case::Tools;
use oracle_case::child::Tool;
use oracle_judge::subject::{IMAGE, Ran};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The backing file's name, and the byte that fills it.
const BACKING: (&str, u8) = ("base.raw", 0x77);
/// The external data file's name.
pub const DATA_FILE: &str = "data.raw";

/// The passphrase of encrypted images, as tools are told.
const SECRET: [&str; 2] = ["--object", "secret,id=sec0,data=pw"];
/// Milliseconds that deriving a key from it may take: what a benchmark makes of them is in no outcome.
const ITER_TIME: &str = "iter-time=10";
/// How often an encrypted image is tried: the benchmark fails now and then on a busy machine.
const ATTEMPTS: usize = 5;

/// The words by which a tool that takes `-f` opens the image of `case`, but for its name, and that name.
pub fn opened(case: &Case) -> (Vec<String>, String) {
    if !case.is_encrypted() {
        return (vec!["-f".into(), case.format.clone()], IMAGE.into());
    }
    let key = if case.format == "luks" { "key-secret" } else { "encrypt.key-secret" };
    let words = [SECRET[0], SECRET[1], "--image-opts"].map(Into::into).into();
    (words, format!("driver={},{key}=sec0,file.filename={IMAGE}", case.format))
}

/// Makes the image of `case` in `dir`, which is empty, and returns the parts of the outcome that tell how that went.
/// If `create.rc` is not 0 there is no image. A fresh image is made by `instar`, a program and its engine, if there is one.
///
/// # Errors
/// A tool cannot be started.
pub fn make(
    case: &Case,
    dir: &Path,
    tools: &Tools,
    instar: Option<(&Tool, &str)>,
) -> Result<Map<String, Value>, BaselineError> {
    let maker = Maker { case, dir, tools, instar: instar.filter(|_| case.is_fresh()) };
    let mut told = Map::new();
    maker.backing()?;
    let mut created = maker.create()?;
    let mut left = if case.is_encrypted() { ATTEMPTS } else { 1 };
    while !created.success() && left > 1 {
        left -= 1;
        created = maker.create()?;
    }
    told.insert("create".into(), json!({"rc": code(&created), "err": message(&created.stderr)}));
    if !created.success() {
        return Ok(told);
    }
    let written = maker.writes(&case.writes)?;
    if !written.is_empty() {
        told.insert("write_errors".into(), written.into());
    }
    for setup in &case.setup {
        match setup.as_str() {
            "snapshot" => {
                let ran = ask(&tools.qemu_img, dir, ["snapshot", "-c", "s1", IMAGE])?;
                told.insert("snapshot_rc".into(), code(&ran));
            }
            "bitmap" => {
                let ran = ask(&tools.qemu_img, dir, ["bitmap", "--add", IMAGE, "b0"])?;
                told.insert("bitmap".into(), json!({"rc": code(&ran), "err": message(&ran.stderr)}));
            }
            "overwrite" => {
                maker.writes(&[(0x11, 0, 64 << 10)])?;
            }
            _ => {}
        }
    }
    Ok(told)
}

struct Maker<'a> {
    case: &'a Case,
    dir: &'a Path,
    tools: &'a Tools,
    instar: Option<(&'a Tool, &'a str)>,
}

impl Maker<'_> {
    fn backing(&self) -> Result<(), BaselineError> {
        let Some(size) = self.case.backing() else {
            return Ok(());
        };
        let (name, fill) = BACKING;
        ask(&self.tools.qemu_img, self.dir, ["create", "-q", "-f", "raw", name, size])?;
        let write = format!("write -q -P {fill} 0 {size}");
        ask(&self.tools.qemu_io, self.dir, ["-f", "raw", "-c", &write, name])?;
        Ok(())
    }

    fn create(&self) -> Result<Ran, BaselineError> {
        let (tool, mut words) = match self.instar {
            Some((tool, engine)) => (tool, vec!["create", "--engine", engine]),
            None => (&self.tools.qemu_img, vec!["create"]),
        };
        let args = self.create_args();
        words.extend(args.iter().map(String::as_str));
        ask(tool, self.dir, words)
    }

    /// What follows the verb.
    fn create_args(&self) -> Vec<String> {
        let mut args: Vec<String> = ["-q", "-f", &self.case.format].map(Into::into).into();
        let mut options = self.case.create_options();
        if self.case.is_encrypted() {
            args.extend(SECRET.map(Into::into));
            let comma = if options.is_empty() { "" } else { "," };
            options += comma;
            options += &match self.case.format.as_str() {
                "luks" => format!("key-secret=sec0,{ITER_TIME}"),
                _ => format!("encrypt.format=luks,encrypt.key-secret=sec0,encrypt.{ITER_TIME}"),
            };
        }
        let raw = self.case.has("data_file_raw");
        if raw || self.case.has("data_file") {
            let comma = if options.is_empty() { "" } else { "," };
            options += &format!("{comma}data_file={DATA_FILE}{}", if raw { ",data_file_raw=on" } else { "" });
        }
        if !options.is_empty() {
            args.extend(["-o".into(), options]);
        }
        if self.case.backing().is_some() {
            args.extend(["-b", BACKING.0, "-F", "raw"].map(Into::into));
        }
        args.extend([IMAGE.into(), self.case.start.to_string()]);
        args
    }

    /// What qemu-io complained about.
    fn writes(&self, writes: &[(u8, u64, u64)]) -> Result<Vec<String>, BaselineError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let (mut args, image) = opened(self.case);
        for (byte, offset, len) in writes {
            args.extend(["-c".into(), format!("write -q -P {byte} {offset} {len}")]);
        }
        args.push(image);
        let Ran { stdout, stderr, .. } = ask(&self.tools.qemu_io, self.dir, args)?;
        Ok((stdout + &stderr).lines().map(Into::into).collect())
    }
}
