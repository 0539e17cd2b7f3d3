//! Backing files by names that say more than a path: parts of files, layers, drivers. Both programs describe the same chain,
//! resize the overlay to the same disk, or refuse in the same words and change nothing.

use crate::fixture::{Fixtures, run};
use crate::pair::{Answer, Engine, instar, qemu_img, same};
use crate::{Verdict, trial};
use libtest_mimic::{Failed, Trial};
use std::fs;
use std::path::Path;

/// Where `w.img` has its image, in bytes.
const OFFSET: usize = 1 << 16;
/// A raw part of `r.img`.
const PART: &str = r#"json:{"driver":"raw","offset":1048576,"file":{"driver":"file","filename":"r.img"}}"#;
/// The image in `w.img`.
const WRAPPED: &str = r#"json:{"driver":"qcow2","file":{"driver":"raw","offset":65536,"file":{"driver":"file","filename":"w.img"}}}"#;

/// Names that the overlay has for its backing file, and the format that it says it is in, if any.
const NAMES: &[(&str, &str)] = &[
    (PART, "raw"),
    (PART, ""),
    (r#"json:{"driver":"raw","offset":"1M","size":1048576,"file.filename":"r.img"}"#, "raw"),
    (r#"json:{"driver":"raw","offset":1000,"size":1024,"file":{"driver":"file","filename":"r.img"}}"#, "raw"),
    (
        r#"json:{"driver":"raw","size":512,"file":{"driver":"raw","offset":512,"file":{"filename":"r.img"}}}"#,
        "raw",
    ),
    (r#"json:{"driver":"raw","size":819200,"file":{"driver":"file","filename":"ré.img"}}"#, "raw"),
    (WRAPPED, "qcow2"),
    (WRAPPED, ""),
    // The format counts for more than the driver.
    (WRAPPED, "raw"),
    (r#"json:{"file":{"driver":"raw","offset":65536,"file":{"driver":"file","filename":"w.img"}}}"#, ""),
    (r#"json:{"file":{"driver":"raw","offset":65536,"file":{"driver":"file","filename":"r.img"}}}"#, ""),
    (r#"json:{"offset":65536,"file":{"driver":"file","filename":"w.img"}}"#, ""),
    (r#"json:{"offset":65536,"file":{"driver":"file","filename":"q.img"}}"#, ""),
    (r#"json:{"offset":65536,"file":{"driver":"file","filename":"q.img"}}"#, "qcow2"),
    (r#"json:{"driver":"file","filename":"q.img"}"#, ""),
    (r#"json:{"driver":"file","filename":"q.img"}"#, "file"),
    (r#"json:{"driver":"file","filename":"q.img"}"#, "raw"),
    ("r.img", "file"),
    (r#"json:{"driver":"qcow2","backing":null,"file.filename":"ov.img"}"#, ""),
    (r#"json:{"driver":"raw","read-only":true,"cache.direct":false,"file.filename":"r.img"}"#, ""),
    (r#"json:{"driver":"raw","offset":4194304,"file":{"driver":"file","filename":"r.img"}}"#, "raw"),
    (r#"json:{"driver":"raw","size":1000,"file":{"driver":"file","filename":"r.img"}}"#, "raw"),
    (r#"json:{"driver":"raw","offset":-1,"file":{"driver":"file","filename":"r.img"}}"#, "raw"),
    (r#"json:{"driver":"raw","offset":"x","file":{"driver":"file","filename":"r.img"}}"#, "raw"),
    (r#"json:{"driver":"raw","bogus":1,"file":{"driver":"file","filename":"r.img"}}"#, "raw"),
    (r#"json:{"driver":"raw","file":"node"}"#, ""),
    (r#"json:{"driver":"raw"}"#, ""),
    (r#"json:{"driver":"raw","file.filename":"none"}"#, ""),
    (r#"json:{"driver":"bogus","file.filename":"r.img"}"#, ""),
    ("json:[]", ""),
    ("json:{}", ""),
];

/// What the user says of the backing file of an overlay, with its own name and format.
const TOLD: &[(&str, &str, &str)] = &[
    ("backing.offset=1M", "r.img", "raw"),
    ("backing.offset=4M", "r.img", "raw"),
    ("backing.driver=raw,backing.size=1M,backing.file.filename=r.img", "q.img", "qcow2"),
    ("backing.file.filename=q.img", "r.img", "raw"),
    ("backing.file.filename=q.img", "r.img", ""),
    ("backing.file.driver=raw,backing.file.offset=64k", "w.img", "qcow2"),
    ("backing.file.driver=raw,backing.file.file.filename=w.img", "r.img", "raw"),
    ("backing.driver=file", "r.img", "raw"),
    ("backing.offset=1M", PART, "raw"),
    ("backing.file.offset=1024", WRAPPED, "qcow2"),
    ("backing.file.filename=q.img", WRAPPED, "qcow2"),
    ("backing.backing.offset=512", "between.img", "qcow2"),
    ("backing.bogus=1", "r.img", "raw"),
    ("backing=node", "r.img", "raw"),
];

pub fn trials(engine: Engine) -> Vec<Trial> {
    let name = |what: &str| format!("{} over a named part: {what}", engine.name());
    let stored = NAMES.iter().map(|&(stored, format)| {
        trial(name(&format!("{stored} {format}")), move |f| over(f, engine, (stored, format), None))
    });
    let told = TOLD.iter().map(|&(told, stored, format)| {
        trial(name(&format!("{told} of {stored} {format}")), move |f| {
            over(f, engine, (stored, format), Some(told))
        })
    });
    stored.chain(told).collect()
}

/// Makes what is behind, and two overlays of 1,000 KiB with this name for it.
fn make(dir: &Path, (stored, format): (&str, &str)) -> Verdict {
    let raw: Vec<u8> = (0..3_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    run(dir, "qemu-io -f qcow2 -c write\u{a0}-P\u{a0}7\u{a0}0\u{a0}2M q.img")?;
    fs::write(dir.join("r.img"), &raw)?;
    fs::write(dir.join("ré.img"), &raw)?;
    fs::write(dir.join("w.img"), [vec![0; OFFSET], fs::read(dir.join("q.img"))?].concat())?;
    run(dir, "qemu-img create -q -f qcow2 -b r.img -F raw between.img")?;
    let named = if format.is_empty() { "raw" } else { format };
    let args = ["create", "-q", "-u", "-f", "qcow2", "-b", stored, "-F", named, "ours.img", "1000k"];
    let made = qemu_img(dir, &args)?;
    let mut overlay = fs::read(dir.join("ours.img")).map_err(|e| format!("{e}: {made:?}"))?;
    if format.is_empty() {
        // Another number for the extension that says it (specification, "Header extensions").
        let at = overlay.windows(4).position(|word| word == [0xe2, 0x79, 0x2a, 0xca]);
        overlay[at.ok_or("no format")?] = 0x12;
    }
    fs::write(dir.join("ours.img"), &overlay)?;
    Ok(fs::write(dir.join("theirs.img"), &overlay)?)
}

fn over(fixtures: &Fixtures, engine: Engine, stored: (&str, &str), told: Option<&str>) -> Verdict {
    let dir = fixtures.path();
    make(dir, stored)?;
    if told.is_none() {
        described_alike(dir, engine)?;
    }
    let before = behind(dir)?;
    let overlay = fs::read(dir.join("ours.img"))?;
    let [ours, theirs] = ["ours.img", "theirs.img"].map(|file| match told {
        Some(told) => format!("driver=qcow2,file.filename={file},{told}"),
        None => file.to_owned(),
    });
    let as_options = if told.is_some() { "--image-opts" } else { "-q" };
    let args = ["resize", as_options, &ours, "5M"];
    let answer = instar(dir, engine, &args)?;
    let mut other = qemu_img(dir, &["resize", as_options, &theirs, "5M"])?;
    other.err = other.err.replace("theirs.img", "ours.img");
    same(&args, &answer, &other)?;
    if behind(dir)? != before {
        return Err("a file behind the overlay has changed".into());
    }
    if answer.code == Some(0) {
        let compare: Vec<&str> = match told {
            Some(_) => vec!["compare", "-s", "--image-opts", &ours, &theirs],
            None => vec!["compare", "-s", &ours, &theirs],
        };
        let compared = qemu_img(dir, &compare)?;
        return if compared.code == Some(0) { Ok(()) } else { Err(format!("{compared:?}").into()) };
    }
    match fs::read(dir.join("ours.img"))? == overlay {
        true => Ok(()),
        false => Err(format!("the overlay has changed: {answer:?}").into()),
    }
}

/// Both say the same of the chain, in both forms, and of the overlay alone.
fn described_alike(dir: &Path, engine: Engine) -> Verdict {
    for args in [&["info", "--backing-chain", "ours.img"][..], &["info", "ours.img"]] {
        same(args, &instar(dir, engine, args)?, &qemu_img(dir, args)?)?;
    }
    let args = ["info", "--output=json", "--backing-chain", "ours.img"];
    let json = |answer: &Answer| serde_json::from_str::<serde_json::Value>(&answer.out).ok();
    let (ours, theirs) = (instar(dir, engine, &args)?, qemu_img(dir, &args)?);
    match (ours.code, json(&ours)) == (theirs.code, json(&theirs)) {
        true => Ok(()),
        false => Err(format!("{args:?}\ninstar:   {ours:?}\nqemu-img: {theirs:?}").into()),
    }
}

/// The files behind the overlays.
fn behind(dir: &Path) -> Result<Vec<Vec<u8>>, Failed> {
    let files = ["q.img", "r.img", "ré.img", "w.img", "between.img", "ov.img", "raw.img"];
    files.iter().map(|file| Ok(fs::read(dir.join(file))?)).collect()
}
