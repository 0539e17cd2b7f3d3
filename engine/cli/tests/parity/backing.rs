//! Images that name other files: which are opened, which are not, and what is said of it.

use crate::pair::{Answer, Engine, instar, qemu_img, same};
use crate::{Verdict, fixture::Fixtures, trial};
use libtest_mimic::{Failed, Trial};
use std::os::unix::fs::symlink;
use std::path::Path;

/// How to make the images, with `qemu-img`.
const RECIPES: &[&str] = &[
    "create -q -f raw base.raw 2M",
    "create -q -f qcow2 base.qcow2 2M",
    "create -q -f qcow2 -b base.raw -F raw middle.qcow2 2M",
    "create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2 2M",
    "create -q -f qcow2 -b sub/in.raw -F raw -u in.qcow2 2M",
    "create -q -f qcow2 -b sub/link.raw -F raw -u link.qcow2 2M",
    "create -q -f qcow2 -b nosuch.img -F raw -u lost.qcow2 2M",
    "create -q -f qcow2 -b lost.qcow2 -F qcow2 -u lost2.qcow2 2M",
    "create -q -f qcow2 -b base.raw -F qcow2 -u wrong.qcow2 2M",
    "create -q -f qcow2 -b loop2.qcow2 -F qcow2 -u loop1.qcow2 2M",
    "create -q -f qcow2 -b loop1.qcow2 -F qcow2 -u loop2.qcow2 2M",
    "create -q -f qcow2 -b fifo -F raw -u fifo.qcow2 2M",
    "create -q -f qcow2 -o data_file=beside.raw beside.qcow2 2M",
    "create -q -f qcow2 -o data_file=gone.raw gone.qcow2 2M",
    "create -q -f qcow2 -o data_file=away.raw sub/away.qcow2 2M",
    "create -q -f qcow2 -F raw -u json.qcow2 -b json:{\"driver\":\"raw\",\"file.filename\":\"nosuch.img\"} 2M",
];

/// Command lines that both refuse in the same words.
const REFUSED: &[&str] = &[
    "resize -f qcow2 lost.qcow2 4M",
    "resize -f qcow2 --shrink lost.qcow2 1M",
    "resize -f qcow2 lost2.qcow2 4M",
    "resize -f qcow2 wrong.qcow2 4M",
    "resize -f qcow2 gone.qcow2 4M",
    "resize -f qcow2 json.qcow2 4M",
    "resize -f qcow2 sub/away.qcow2 4M",
    "info --backing-chain lost.qcow2",
];

/// What is behind an overlay of 1,000 KiB whose first new cluster is copied up from there: commands that
/// make `back.img` and what it needs, and its format.
const BEHIND: &[(&str, &[&str], &str)] = &[
    ("a raw disk", &["qemu-img create -q -f raw back.img 3M", FILL_RAW], "raw"),
    ("a raw disk that ends before", &["qemu-img create -q -f raw back.img 900000", "true"], "raw"),
    ("qcow2", &["qemu-img create -q -f qcow2 back.img 3M", FILL], "qcow2"),
    (
        "extended L2 entries",
        &[
            "qemu-img create -q -f qcow2 -o extended_l2=on back.img 3M",
            "qemu-io -f qcow2 -c write\u{a0}-P\u{a0}7\u{a0}995k\u{a0}9k back.img",
        ],
        "qcow2",
    ),
    ("zlib clusters", &["true", "qemu-img convert -c -O qcow2 text.raw back.img"], "qcow2"),
    (
        "zstd clusters",
        &["true", "qemu-img convert -c -O qcow2 -o compression_type=zstd,cluster_size=2M text.raw back.img"],
        "qcow2",
    ),
    (
        "a chain of three",
        &[
            "qemu-img create -q -f qcow2 -b text.raw -F raw lower.img 3M",
            "qemu-img create -q -f qcow2 -b lower.img -F qcow2 back.img 3M",
        ],
        "qcow2",
    ),
    (
        "an external data file",
        &["qemu-img create -q -f qcow2 -o data_file=back.data,data_file_raw=on back.img 3M", FILL],
        "qcow2",
    ),
];

/// Writes to all of `back.img`.
const FILL: &str = "qemu-io -f qcow2 -c write\u{a0}-P\u{a0}7\u{a0}0\u{a0}3M back.img";
const FILL_RAW: &str = "qemu-io -f raw -c write\u{a0}-P\u{a0}7\u{a0}0\u{a0}3M back.img";

/// Options of the overlay, and how it is resized.
const RESIZES: &[(&str, &str)] = &[
    ("compat=1.1", "5M"),
    ("compat=1.1", "--preallocation metadata 5M"),
    ("compat=0.10", "--preallocation falloc 5M"),
    ("compat=1.1,extended_l2=on", "5M"),
    ("compat=1.1", "--shrink 500K"),
];

/// Ways to resize an image of 1,000 KiB that is full and has an external data file.
const BESIDE: &[&str] = &[
    "5M",
    "+0",
    "--shrink 700K",
    "--preallocation metadata 5M",
    "--preallocation falloc 5M",
    "--preallocation full 5M",
];

/// Images whose chains both describe.
const CHAINS: &[&str] = &["top.qcow2", "middle.qcow2", "base.raw", "ov.img", "sub/ov.img"];

/// Command lines that `instar` refuses for what the gate says, or for what `qemu-img` never ends with,
/// and a part of what it says.
const GATED: &[(&str, &str)] = &[
    ("resize --backing deny -f qcow2 top.qcow2 4M", "growing an image with a backing file needs that file"),
    ("resize --backing sub -f qcow2 top.qcow2 4M", "'middle.qcow2': --backing does not allow it"),
    ("resize --backing sub -f qcow2 link.qcow2 4M", "'sub/link.raw': --backing does not allow it"),
    ("resize --backing deny -f qcow2 beside.qcow2 4M", "'beside.raw': --backing does not allow it"),
    ("resize --backing nosuch -f qcow2 top.qcow2 4M", "not 'nosuch': No such file or directory"),
    ("resize -f qcow2 loop1.qcow2 4M", "'loop1.qcow2' creates an infinite loop"),
    ("resize -f qcow2 fifo.qcow2 4M", "to be a regular file"),
    ("info --backing-chain --backing deny top.qcow2", "'middle.qcow2': --backing does not allow it"),
    ("info --backing-chain loop1.qcow2", "'loop1.qcow2' creates an infinite loop"),
];

/// The trials.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let mut trials = Vec::new();
    for &line in REFUSED {
        let name = format!("{} refuses alike: {line}", engine.name());
        trials.push(trial(name, move |f| refused_alike(f, engine, line)));
    }
    for &(what, recipes, format) in BEHIND {
        for &(options, resize) in RESIZES {
            let name = format!("{} over {what}: {options}, {resize}", engine.name());
            trials.push(trial(name, move |f| resized_alike(f, engine, (recipes, format), (options, resize))));
        }
    }
    for options in ["data_file=data", "data_file=data,data_file_raw=on"] {
        for &resize in BESIDE {
            let name = format!("{} beside: {options}, {resize}", engine.name());
            trials.push(trial(name, move |f| beside_alike(f, engine, options, resize)));
        }
    }
    for &image in CHAINS {
        let name = format!("{} info --backing-chain: {image}", engine.name());
        trials.push(trial(name, move |f| chain_alike(f, engine, image)));
    }
    for &(line, text) in GATED {
        let name = format!("{} keeps closed: {line}", engine.name());
        trials.push(trial(name, move |f| gated(f, engine, line, text)));
    }
    let name = format!("{} leaves a locked backing file alone", engine.name());
    trials.push(trial(name, move |f| locked(f, engine)));
    trials
}

fn make(fixtures: &Fixtures) -> Verdict {
    let dir = fixtures.path();
    std::fs::write(dir.join("sub/in.raw"), vec![7; 1 << 20])?;
    symlink("../base.raw", dir.join("sub/link.raw"))?;
    for recipe in RECIPES {
        let args: Vec<&str> = recipe.split(' ').collect();
        let made = qemu_img(dir, &args)?;
        if made.code != Some(0) {
            return Err(format!("{recipe}: {made:?}").into());
        }
    }
    for gone in ["gone.raw", "away.raw"] {
        std::fs::remove_file(dir.join(gone))?;
    }
    Ok(())
}

/// Both resize the same overlay to the same content, and change nothing else.
fn resized_alike(
    fixtures: &Fixtures,
    engine: Engine,
    (recipes, format): (&[&str], &str),
    (options, resize): (&str, &str),
) -> Verdict {
    let dir = fixtures.path();
    let words = (0..400_000_u32).flat_map(|n| format!("{n} ").into_bytes());
    std::fs::write(dir.join("text.raw"), words.take(3 << 20).collect::<Vec<_>>())?;
    for recipe in recipes {
        crate::fixture::run(dir, recipe)?;
    }
    let before = contents(dir)?;
    for overlay in ["ours.img", "theirs.img"] {
        let create =
            format!("qemu-img create -q -f qcow2 -o {options} -b back.img -F {format} {overlay} 1000K");
        crate::fixture::run(dir, &create)?;
    }
    let line = |file: &str| format!("resize -f qcow2 {file} {resize}");
    let (ours, theirs) = (line("ours.img"), line("theirs.img"));
    let ours: Vec<&str> = ours.split(' ').collect();
    let answer = instar(dir, engine, &ours)?;
    let theirs = qemu_img(dir, &theirs.split(' ').collect::<Vec<_>>())?;
    same(&ours, &answer, &theirs)?;
    for line in ["qemu-img compare -s ours.img theirs.img", "qemu-img check -q ours.img"] {
        crate::fixture::run(dir, line)?;
    }
    let after = contents(dir)?.into_iter().filter(|(path, _)| before.iter().any(|(old, _)| old == path));
    match answer.code == Some(0) && after.eq(before.iter().cloned()) {
        true => Ok(()),
        false => Err(format!("{answer:?}").into()),
    }
}

/// Both resize an image with a data file to the same content in files of the same length.
fn beside_alike(fixtures: &Fixtures, engine: Engine, options: &str, resize: &str) -> Verdict {
    let dirs = [fixtures.path().join("ours"), fixtures.path().join("theirs")];
    for dir in &dirs {
        std::fs::create_dir(dir)?;
        let options = options.replace("data_file=data", &format!("data_file={}/data", dir.display()));
        crate::fixture::run(dir, &format!("qemu-img create -q -f qcow2 -o {options} img 1000K"))?;
        crate::fixture::run(dir, "qemu-io -f qcow2 -c write\u{a0}-P\u{a0}7\u{a0}0\u{a0}1000K img")?;
    }
    if resize == "+0" {
        // What a shrink that was cut short has left, or somebody has appended.
        for dir in &dirs {
            let mut file = std::fs::OpenOptions::new().append(true).open(dir.join("data"))?;
            std::io::Write::write_all(&mut file, &[9; 5000])?;
        }
    }
    let [here, there] = &dirs;
    let line = format!("resize -f qcow2 img {resize}");
    let args: Vec<&str> = line.split(' ').collect();
    same(&args, &instar(here, engine, &args)?, &qemu_img(there, &args)?)?;
    for line in ["qemu-img compare ours/img theirs/img", "qemu-img check -q ours/img"] {
        crate::fixture::run(fixtures.path(), line)?;
    }
    let data = |dir: &Path| std::fs::read(dir.join("data"));
    match data(here)? == data(there)? {
        true => Ok(()),
        false => Err("the data files differ".into()),
    }
}

/// All files, to see that nothing was changed.
fn contents(dir: &Path) -> Result<Vec<(std::path::PathBuf, Vec<u8>)>, Failed> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            all.push((entry.path(), std::fs::read(entry.path())?));
        }
    }
    all.sort();
    Ok(all)
}

fn refused_alike(fixtures: &Fixtures, engine: Engine, line: &str) -> Verdict {
    make(fixtures)?;
    let args: Vec<&str> = line.split(' ').collect();
    let before = contents(fixtures.path())?;
    let ours = instar(fixtures.path(), engine, &args)?;
    let unchanged = contents(fixtures.path())? == before;
    let theirs = qemu_img(fixtures.path(), &args)?;
    same(&args, &ours, &theirs)?;
    match theirs.code != Some(0) && unchanged {
        true => Ok(()),
        false => Err(format!("no refusal, or a change: {ours:?}").into()),
    }
}

fn gated(fixtures: &Fixtures, engine: Engine, line: &str, text: &str) -> Verdict {
    make(fixtures)?;
    let args: Vec<&str> = line.split(' ').collect();
    let before = contents(fixtures.path())?;
    let answer = instar(fixtures.path(), engine, &args)?;
    let one_line = answer.err.lines().count() == 1 && answer.err.contains(text);
    match answer.code == Some(1) && one_line && contents(fixtures.path())? == before {
        true => Ok(()),
        false => Err(format!("{line}: {answer:?}").into()),
    }
}

fn chain_alike(fixtures: &Fixtures, engine: Engine, image: &str) -> Verdict {
    make(fixtures)?;
    let args = ["info", "--backing-chain", image];
    same(&args, &instar(fixtures.path(), engine, &args)?, &qemu_img(fixtures.path(), &args)?)?;
    let args = ["info", "--backing-chain", "--output=json", image];
    let parse = |answer: Answer| -> Result<serde_json::Value, Failed> {
        serde_json::from_str(&answer.out).map_err(|e| format!("no JSON ({e}): {answer:?}").into())
    };
    let ours = parse(instar(fixtures.path(), engine, &args)?)?;
    let theirs = parse(qemu_img(fixtures.path(), &args)?)?;
    match ours == theirs {
        true => Ok(()),
        false => Err(format!("instar's:   {ours}\nqemu-img's: {theirs}").into()),
    }
}

/// A backing file that somebody writes is not looked at.
fn locked(fixtures: &Fixtures, engine: Engine) -> Verdict {
    make(fixtures)?;
    let holder = crate::locks::Holder::start(fixtures.path(), "-f qcow2 middle.qcow2")?;
    let args = ["resize", "-f", "qcow2", "top.qcow2", "4M"];
    let (ours, theirs) = (instar(fixtures.path(), engine, &args)?, qemu_img(fixtures.path(), &args)?);
    holder.stop()?;
    same(&args, &ours, &theirs)?;
    match ours.err.contains("Failed to get shared \"write\" lock") {
        true => Ok(()),
        false => Err(format!("{ours:?}").into()),
    }
}
