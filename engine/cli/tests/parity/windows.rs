//! Raw layers that are a part of a file, alone and below a format: both programs say the same, and leave the same bytes in
//! front of the part and the same length.

use crate::fixture::Fixtures;
use crate::pair::{Engine, instar, qemu_img, same};
use crate::{Verdict, trial};
use libtest_mimic::{Failed, Trial};
use std::fs;
use std::path::Path;

/// Where `w.img` has its image, in bytes.
const OFFSET: usize = 1 << 16;
/// The image in `w.img`.
const LAYERED: &str = "driver=qcow2,file.driver=raw,file.offset=64k,file.file.filename=w.img";

/// Options of raw layers of a file of 3 MiB.
const RAW: [&str; 14] = [
    "driver=raw,offset=1M,file.filename=r.img",
    "driver=raw,offset=1M,size=1M,file.filename=r.img",
    "driver=raw,size=512k,file.filename=r.img",
    "driver=raw,size=0,file.filename=r.img",
    "driver=raw,offset=1000,file.filename=r.img",
    "driver=raw,offset=3145000,file.filename=r.img",
    "driver=raw,offset=4M,file.filename=r.img",
    "driver=raw,offset=2M,size=2M,file.filename=r.img",
    "driver=raw,size=1000,file.filename=r.img",
    "driver=raw,size=-1,file.filename=r.img",
    "driver=raw,offset=abc,file.filename=r.img",
    "driver=raw,file.driver=raw,file.offset=1M,file.file.filename=r.img",
    "driver=raw,offset=512k,file.driver=raw,file.offset=1M,file.file.filename=r.img",
    "driver=raw,file.driver=raw,file.offset=64k,file.filename=r.img",
];
/// The same as names.
const JSON: [&str; 4] = [
    r#"json:{"driver":"raw","offset":1048576,"file":{"driver":"file","filename":"r.img"}}"#,
    r#"json:{"driver":"raw","offset":"1M","size":512,"file":{"driver":"file","filename":"r.img"}}"#,
    r#"json:{"driver":"raw","offset":-1,"file":{"driver":"file","filename":"r.img"}}"#,
    r#"json:{"driver":"qcow2","file":{"driver":"raw","offset":65536,"file":{"driver":"file","filename":"w.img"}}}"#,
];
/// What a resize of them is asked for.
const RESIZES: [&str; 9] = [
    "driver=raw,offset=1M,file.filename=r.img +1M",
    "driver=raw,offset=1M,file.filename=r.img 1M",
    "--shrink driver=raw,offset=1M,file.filename=r.img 1M",
    "--preallocation=falloc driver=raw,offset=1M,file.filename=r.img +1M",
    "--preallocation=full driver=raw,offset=1000,file.filename=r.img +1",
    "driver=raw,offset=1M,size=512k,file.filename=r.img 1M",
    "driver=raw,offset=1M,size=512k,file.filename=r.img 100k",
    "--shrink driver=raw,offset=1M,size=512k,file.filename=r.img 100k",
    "--preallocation=full driver=raw,size=512k,file.filename=r.img 512k",
];
/// The same of the image in `w.img`: whether both files must have the same length, and the arguments.
const LAYERED_RESIZES: [(bool, &str); 4] =
    [(true, "2M"), (false, "10G"), (false, "--preallocation=metadata 2M"), (false, "--shrink 512k")];

pub fn trials(engine: Engine) -> Vec<Trial> {
    let name = |what: &str| format!("{}: a part of a file: {what}", engine.name());
    let raw = RAW
        .iter()
        .chain(&[LAYERED])
        .map(|opts| trial(name(&opts.replace(',', " ")), move |f| looks(f, engine, &["--image-opts", opts])));
    let json = JSON
        .iter()
        .enumerate()
        .map(|(n, text)| trial(name(&format!("json {n}")), move |f| looks(f, engine, &[text])));
    let resized = RESIZES.iter().map(|line| {
        trial(name(&format!("resize {}", line.replace(',', " "))), move |f| resizes(f, engine, line, true))
    });
    let layered = LAYERED_RESIZES.iter().map(|(same_len, line)| {
        let line = match line.rsplit_once(' ') {
            Some((options, size)) => format!("{options} {LAYERED} {size}"),
            None => format!("{LAYERED} {line}"),
        };
        trial(name(&format!("resize {}", line.replace(',', " "))), move |f| {
            resizes(f, engine, &line, *same_len)
        })
    });
    let full = trial(name("there is no room behind it"), move |f| no_room(f, engine));
    raw.chain(json).chain(resized).chain(layered).chain([full]).collect()
}

/// Two directories with the same files.
fn files(fixtures: &Fixtures) -> Result<[std::path::PathBuf; 2], Failed> {
    let image = fs::read(fixtures.path().join("q.img"))?;
    let wrapped = [vec![7; OFFSET], image].concat();
    let both = ["ours", "theirs"].map(|name| fixtures.path().join(name));
    for dir in &both {
        fs::create_dir(dir)?;
        fs::write(dir.join("r.img"), vec![9; 3 << 20])?;
        fs::write(dir.join("w.img"), &wrapped)?;
    }
    Ok(both)
}

fn looks(fixtures: &Fixtures, engine: Engine, image: &[&str]) -> Verdict {
    let [here, there] = files(fixtures)?;
    for command in [&["info"][..], &["check"]] {
        let args = [command, image].concat();
        same(&args, &instar(&here, engine, &args)?, &qemu_img(&there, &args)?)?;
    }
    let args = [&["info", "--output=json"], image].concat();
    let json = |out: &str| serde_json::from_str::<serde_json::Value>(out).ok();
    let (ours, theirs) = (instar(&here, engine, &args)?, qemu_img(&there, &args)?);
    match (ours.code, json(&ours.out)) == (theirs.code, json(&theirs.out)) {
        true => Ok(()),
        false => Err(format!("{args:?}\ninstar:   {ours:?}\nqemu-img: {theirs:?}").into()),
    }
}

fn resizes(fixtures: &Fixtures, engine: Engine, line: &str, same_len: bool) -> Verdict {
    let [here, there] = files(fixtures)?;
    let args: Vec<&str> = ["resize", "--image-opts"].into_iter().chain(line.split(' ')).collect();
    let theirs = qemu_img(&there, &args)?;
    same(&args, &instar(&here, engine, &args)?, &theirs)?;
    let name = if line.contains("w.img") { "w.img" } else { "r.img" };
    let (ours, theirs) = (fs::read(here.join(name))?, fs::read(there.join(name))?);
    if ours[..OFFSET] != theirs[..OFFSET] {
        return Err("what lies in front of the part has changed".into());
    }
    if same_len && ours != theirs {
        return Err(format!("{} bytes, qemu-img's has {}", ours.len(), theirs.len()).into());
    }
    if name == "w.img" { sound(&here) } else { Ok(()) }
}

/// That `qemu-img` finds nothing wrong with the image.
fn sound(dir: &Path) -> Verdict {
    let answer = qemu_img(dir, &["check", "--image-opts", LAYERED])?;
    match answer.code {
        Some(0) => Ok(()),
        _ => Err(format!("{answer:?}").into()),
    }
}

/// An image whose part has an end cannot grow past it, and is what it was then.
fn no_room(fixtures: &Fixtures, engine: Engine) -> Verdict {
    let [here, _] = files(fixtures)?;
    let before = fs::read(here.join("w.img"))?;
    let end = (before.len() - OFFSET).next_multiple_of(512) - 512;
    let opts = format!("{LAYERED},file.size={end}");
    let answer = instar(&here, engine, &["resize", "--image-opts", &opts, "100G"])?;
    if answer.code != Some(1) || !answer.err.contains("No space left on device") {
        return Err(format!("{answer:?}").into());
    }
    let after = fs::read(here.join("w.img"))?;
    if after.len() != before.len() || after[..OFFSET] != before[..OFFSET] {
        return Err("the file has become another one outside of the part".into());
    }
    sound(&here)
}
