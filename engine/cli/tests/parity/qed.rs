//! QED: what both programs say of an image, spoilt or not, and what they make of it, byte by byte.

use crate::fixture::{Fixtures, run};
use crate::pair::{Engine, instar, qemu_img, same};
use crate::{Verdict, trial};
use libtest_mimic::{Failed, Trial};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How to make the images. `x.qed` has its L2 table in cluster 6 and its data in the clusters 5 and 10.
const RECIPES: &[&str] = &[
    "qemu-img create -q -f qed x.qed 4M",
    "qemu-io -f qed -c write\u{a0}-P\u{a0}90\u{a0}0\u{a0}64k -c write\u{a0}-P\u{a0}165\u{a0}2M\u{a0}64k x.qed",
    "qemu-img create -q -f raw short.raw 2M",
    "qemu-img create -q -f raw long.raw 6M",
    "qemu-img create -q -f qcow2 long.qcow2 6M",
    "qemu-img create -q -f qed -b short.raw -F raw short.qed 4M",
    "qemu-img create -q -f qed -b long.raw -F raw long.qed 4M",
    "qemu-img create -q -f qed -b long.qcow2 -F qcow2 probed.qed 4M",
    "qemu-img create -q -f qed -b nosuch.raw -F raw -u lost.qed 4M",
    "qemu-img create -q -f qed -o cluster_size=4k,table_size=2 small.qed 1M",
    "qemu-img create -q -f qcow2 -b x.qed -F qed over.qcow2 3M",
    "qemu-img create -q -f qcow2 not.qed 1M",
];

/// Where fields of the header and entries of the tables stand (QEMU's `qed_spec.txt`), in bytes.
const FEATURES: u64 = 16;
const AUTOCLEAR: u64 = 32;
const AUTOCLEAR_AT: usize = 32;
const L1_OFFSET: u64 = 40;
const IMAGE_SIZE: u64 = 48;
const L1: u64 = 65536;
const L2: u64 = 6 * 65536;

/// Words written over those of `x.qed`.
type Spoil = &'static [(u64, u64)];

/// Ways to spoil it, which both repair alike when it asks to be checked.
const SPOILT: &[(&str, Spoil)] = &[
    ("nothing", &[]),
    ("unknown autoclear bits", &[(AUTOCLEAR, 7)]),
    ("a leak", &[(L2, 0)]),
    ("a zero cluster", &[(L2, 1)]),
    ("data past the end", &[(L2, 1 << 30)]),
    ("data askew", &[(L2, 5 * 65536 + 512), (L2 + 8, 3)]),
    ("a table past the end", &[(L1, 1 << 30)]),
    ("a table that is none", &[(L1, 1)]),
    ("an entry of the L1 table beyond the disk", &[(L1 + 8000, 1 << 60)]),
];

/// Ways that neither repairs.
const SHARED: &[(&str, Spoil)] = &[
    ("data twice", &[(L2, 10 * 65536)]),
    ("data in a table", &[(L2, L1)]),
    ("a table twice", &[(L1 + 8, L2)]),
    ("data beyond the disk", &[(L2 + 800, 5 * 65536)]),
];

/// Ways that keep it from being opened.
const BROKEN: &[(&str, Spoil)] = &[
    ("magic", &[(0, 1)]),
    ("cluster size", &[(0, 0x0001_0001_0044_4551)]),
    ("table size", &[(8, 1 << 32 | 3)]),
    ("tables of one cluster", &[(8, 1 << 32 | 1)]),
    ("features", &[(FEATURES, 0x32)]),
    ("image size", &[(IMAGE_SIZE, 513)]),
    ("table offset", &[(L1_OFFSET, 1 << 30)]),
    ("backing file name", &[(FEATURES, 1), (56, 1 << 32 | 65536)]),
];

/// Resizes of `x.qed` of which both say the same.
const RESIZES: &[&str] = &[
    "8M",
    "+0",
    "64T",
    "4194816",
    "4194305",
    "70368744178176",
    "1M",
    "--shrink 1M",
    "--shrink 1000",
    "--preallocation=metadata 8M",
    "--preallocation=falloc 8M",
    "--preallocation=full 65T",
    "--preallocation=off 8M",
    "--preallocation=full 1M",
    "8E",
];

/// Command lines about the other images.
const OTHERS: &[&str] = &[
    "resize short.qed 8M",
    "resize long.qed 8M",
    "resize long.qed +0",
    "resize --shrink long.qed 1M",
    "resize probed.qed 8M",
    "resize --preallocation=full probed.qed 8M",
    "resize lost.qed 8M",
    "resize small.qed 256M",
    "resize -f qed not.qed 8M",
    "resize over.qcow2 8M",
    "resize --preallocation=full over.qcow2 8M",
];

/// What is only looked at.
const LOOKS: &[&str] = &["short.qed", "long.qed", "probed.qed", "lost.qed", "small.qed", "x.qed"];

/// Trials of all of these.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |what: &str, body: Body| {
        trials.push(trial(format!("{} qed: {what}", engine.name()), move |fixtures| body(fixtures)));
    };
    for (what, spoil) in SPOILT.iter().chain(SHARED).chain(BROKEN) {
        add(&format!("info and check: {what}"), Box::new(move |f| looked_at(f, engine, spoil)));
    }
    for (what, spoil) in SPOILT {
        let mended = [spoil, &[(FEATURES, 2)][..]].concat();
        let words = ["resize x.qed 8M", "check -r all x.qed", "check -r leaks --output=json x.qed"];
        add(&format!("need check: {what}"), Box::new(move |f| changed_alike(f, engine, &mended, &words)));
        add(&format!("resize: {what}"), Box::new(move |f| changed_alike(f, engine, spoil, &words)));
    }
    for (what, spoil) in SHARED {
        let words = ["resize x.qed 8M", "check -r all x.qed"];
        add(&format!("resize: {what}"), Box::new(move |f| changed_alike(f, engine, spoil, &words)));
    }
    for words in RESIZES {
        let mut words: Vec<&str> = words.split(' ').collect();
        words.insert(words.len() - 1, "x.qed");
        let line = format!("resize {}", words.join(" "));
        add(&line.clone(), Box::new(move |f| changed_alike(f, engine, &[], &[line.as_str()])));
    }
    for line in OTHERS {
        add(line, Box::new(move |f| changed_alike(f, engine, &[], &[line])));
    }
    for image in LOOKS {
        add(&format!("info: {image}"), Box::new(move |f| described_alike(f, engine, image)));
    }
    add("clusters named twice keep an image asking", Box::new(move |f| asks_on(f, engine)));
    trials
}

type Body = Box<dyn FnOnce(&Fixtures) -> Verdict + Send>;

fn make(fixtures: &Fixtures, spoil: &[(u64, u64)]) -> Result<(), Failed> {
    RECIPES.iter().try_for_each(|line| run(fixtures.path(), line))?;
    let file = File::options().write(true).open(fixtures.path().join("x.qed"))?;
    Ok(spoil.iter().try_for_each(|(at, word)| file.write_all_at(&word.to_le_bytes(), *at))?)
}

/// Nothing that is found is told one by one.
fn looked_at(fixtures: &Fixtures, engine: Engine, spoil: Spoil) -> Verdict {
    make(fixtures, spoil)?;
    described_alike(fixtures, engine, "x.qed")?;
    for line in ["check -f qed x.qed", "check -f qed --output=json x.qed"] {
        alike(fixtures.path(), fixtures.path(), engine, line)?;
    }
    Ok(())
}

fn described_alike(fixtures: &Fixtures, engine: Engine, image: &str) -> Verdict {
    if !fixtures.path().join(image).exists() {
        make(fixtures, &[])?;
    }
    for line in ["info", "info --output=json", "info -f qed"] {
        alike(fixtures.path(), fixtures.path(), engine, &format!("{line} {image}"))?;
    }
    Ok(())
}

/// The same words, and the same bytes in every file.
fn changed_alike(fixtures: &Fixtures, engine: Engine, spoil: &[(u64, u64)], lines: &[&str]) -> Verdict {
    make(fixtures, spoil)?;
    for line in lines {
        let (ours, theirs) = (fixtures.copy()?, fixtures.copy()?);
        alike(ours.path(), theirs.path(), engine, line)?;
        let image = line.split(' ').find(|word| word.ends_with(".qed")).unwrap_or("x.qed");
        // A repair leaves alone what nobody asked it to change, bits that others may know among them.
        let known = |at: usize| line.starts_with("check") && at == AUTOCLEAR_AT;
        let read = |dir: &Path| std::fs::read(dir.join(image));
        let (ours, theirs) = (read(ours.path())?, read(theirs.path())?);
        let mut pairs = ours.iter().zip(&theirs).enumerate();
        let first = pairs.find(|(at, (ours, theirs))| ours != theirs && !known(*at));
        if ours.len() != theirs.len() || first.is_some() {
            return Err(format!("{line}: {} and {} bytes, {first:?}", ours.len(), theirs.len()).into());
        }
    }
    Ok(())
}

/// Where clusters are shared, nothing is repaired, and the image is only grown.
fn asks_on(fixtures: &Fixtures, engine: Engine) -> Verdict {
    make(fixtures, &[(FEATURES, 2), (L2, 10 * 65536), (L2 + 8, 1 << 30)])?;
    let image = fixtures.path().join("x.qed");
    let before = std::fs::read(&image)?;
    let grown = instar(fixtures.path(), engine, &["resize", "x.qed", "8M"])?;
    let after = std::fs::read(&image)?;
    let changed: Vec<_> = (0..before.len()).filter(|at| before.get(*at) != after.get(*at)).collect();
    match (grown.code, changed.as_slice(), before.len() == after.len()) {
        (Some(0), [50], true) => Ok(()),
        _ => Err(format!("{grown:?}: bytes {changed:?} changed").into()),
    }
}

fn alike(ours: &Path, theirs: &Path, engine: Engine, line: &str) -> Verdict {
    let words: Vec<&str> = line.split(' ').collect();
    let mut answers = [instar(ours, engine, &words)?.sorted(), qemu_img(theirs, &words)?.sorted()];
    for answer in &mut answers {
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&answer.out) {
            answer.out = value.to_string();
        }
    }
    same(&words, &answers[0], &answers[1])
}
