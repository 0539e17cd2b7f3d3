//! VMDK: new images in both programs' words, and what `qemu-img` makes of resized ones, which it cannot make itself.

mod extents;
mod readers;

use crate::Verdict;
use crate::fixture::run;
use crate::pair::{Answer, Engine, instar, qemu_img, same};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Subformats that can be resized.
const RESIZABLE: [&str; 4] =
    ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"];
/// Sizes before and after: in the same table, in the gap, at the end of the file, with another directory.
const SIZES: [(&str, &str); 5] =
    [("50M", "64M"), ("64M", "200M"), ("64M", "1G"), ("1G", "4609M"), ("2049M", "8G")];
/// Options of new images and their sizes; a name that is none of the lists' is an error in both.
const NEW: [(&str, &str); 12] = [
    ("subformat=monolithicSparse", "64M"),
    ("adapter_type=lsilogic", "1000000"),
    ("adapter_type=legacyESX,hwversion=10,toolsversion=7", "3G"),
    ("compat6=on,zeroed_grain=on", "5G"),
    ("subformat=monolithicFlat", "3G"),
    ("subformat=twoGbMaxExtentSparse", "4097M"),
    ("subformat=twoGbMaxExtentFlat,adapter_type=buslogic", "4097M"),
    ("subformat=foo", "1M"),
    ("adapter_type=foo", "1M"),
    ("compat6=on,hwversion=9", "1M"),
    ("subformat=monolithicFlat,zeroed_grain=on", "1M"),
    ("cluster_size=4k", "1M"),
];

pub fn trials(engine: Engine) -> Vec<Trial> {
    let name = |what: &str| format!("vmdk::{what}::{}", engine.name());
    let mut all = vec![
        Trial::test(name("new"), move || new_images(engine)),
        Trial::test(name("overlay"), move || overlays(engine)),
        Trial::test(name("damage"), move || damage(engine)),
        Trial::test(name("files"), move || files(engine)),
    ];
    for subformat in RESIZABLE {
        all.push(Trial::test(name(&format!("grow::{subformat}")), move || grow(engine, subformat)));
        all.push(Trial::test(name(&format!("shrink::{subformat}")), move || shrink(engine, subformat)));
        all.push(Trial::test(name(&format!("fill::{subformat}")), move || fill(engine, subformat)));
    }
    all.extend(extents::trials(engine));
    all.extend(readers::trials(engine));
    all
}

/// An answer without what no two images share: content ids, and the space that files take.
fn plain(answer: Answer) -> Answer {
    without(answer, &["cid", "parent-cid", "actual-size"])
}

fn without(answer: Answer, keys: &[&str]) -> Answer {
    let out = match serde_json::from_str(&answer.out) {
        Ok(mut document) => {
            forget(&mut document, keys);
            document.to_string()
        }
        Err(_) => {
            let drops = ["cid", "CID", "disk size", "file length"];
            let keep = |line: &&str| !drops.iter().any(|word| line.contains(word));
            answer.out.lines().filter(keep).collect::<Vec<_>>().join("\n")
        }
    };
    Answer { out, ..answer }
}

fn forget(document: &mut Value, keys: &[&str]) {
    match document {
        Value::Object(map) => {
            map.retain(|key, _| !keys.contains(&key.as_str()));
            map.values_mut().for_each(|value| forget(value, keys));
        }
        Value::Array(all) => all.iter_mut().for_each(|value| forget(value, keys)),
        _ => {}
    }
}

fn listing(dir: &Path) -> Result<BTreeMap<String, u64>, Failed> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry?;
        let text = entry.file_name() == "d.vmdk" && entry.metadata()?.len() < 4096;
        // A descriptor's length depends on its content id.
        Ok((entry.file_name().to_string_lossy().into_owned(), if text { 0 } else { entry.metadata()?.len() }))
    };
    fs::read_dir(dir)?.map(entry).collect()
}

fn new_images(engine: Engine) -> Verdict {
    for (options, size) in NEW {
        let (ours, theirs) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let args = ["create", "-f", "vmdk", "-o", options, "d.vmdk", size];
        same(&args, &instar(ours.path(), engine, &args)?, &qemu_img(theirs.path(), &args)?)?;
        if listing(ours.path())? != listing(theirs.path())? {
            return Err(format!("{options}: {:?}", listing(ours.path())).into());
        }
        for args in [&["info", "d.vmdk"][..], &["info", "--output=json", "d.vmdk"], &["check", "d.vmdk"]] {
            let (one, other) = (instar(ours.path(), engine, args)?, qemu_img(theirs.path(), args)?);
            same(args, &plain(one), &plain(other))?;
            let (one, other) = (instar(theirs.path(), engine, args)?, qemu_img(ours.path(), args)?);
            same(args, &plain(one), &plain(other))?;
        }
    }
    Ok(())
}

/// An image with data at its beginning, at its end and across the end of its first extent, the last written first.
fn populated(subformat: &str, size: &str) -> Result<TempDir, Failed> {
    let dir = tempfile::tempdir()?;
    run(dir.path(), &format!("qemu-img create -q -f vmdk -o subformat={subformat} d.vmdk {size}"))?;
    let mib: u64 = size.trim_end_matches(['M', 'G']).parse()?;
    let mib = if size.ends_with('G') { mib << 10 } else { mib };
    for (pattern, at) in [(3, mib - 3), (2, mib.min(2049) - 2), (1, 0), (4, mib / 2)] {
        let write = format!("write\u{a0}-P\u{a0}{pattern}\u{a0}{at}M\u{a0}1500k");
        run(dir.path(), &format!("qemu-io -f vmdk -c {write} d.vmdk"))?;
    }
    run(dir.path(), "qemu-img convert -f vmdk -O raw d.vmdk before.raw")?;
    Ok(dir)
}

/// Both say that the image is good, and it holds what `raw` holds, and zeros.
fn holds(dir: &Path, engine: Engine, raw: &str) -> Verdict {
    let args = ["check", "-f", "vmdk", "d.vmdk"];
    same(&args, &instar(dir, engine, &args)?, &qemu_img(dir, &args)?)?;
    run(dir, &format!("qemu-img compare -q -f vmdk -F raw d.vmdk {raw}"))
}

fn resized(dir: &Path, engine: Engine, args: &[&str]) -> Verdict {
    let args = [&["resize", "-f", "vmdk"], args].concat();
    let answer = instar(dir, engine, &args)?;
    let done = Answer { code: Some(0), out: "Image resized.\n".to_owned(), err: String::new() };
    same(&args, &answer, &done)
}

fn grow(engine: Engine, subformat: &str) -> Verdict {
    for (from, to) in SIZES {
        let dir = populated(subformat, from)?;
        let dir = dir.path();
        resized(dir, engine, &["d.vmdk", to])?;
        holds(dir, engine, "before.raw")?;
        let fresh = tempfile::tempdir()?;
        run(fresh.path(), &format!("qemu-img create -q -f vmdk -o subformat={subformat} d.vmdk {to}"))?;
        let args = ["info", "--output=json", "d.vmdk"];
        let size = |answer| without(answer, &["cid", "actual-size", "children"]);
        same(&args, &size(qemu_img(dir, &args)?), &size(qemu_img(fresh.path(), &args)?))?;
        run(dir, &format!("qemu-img resize -q -f raw before.raw {to}"))?;
        for (pattern, at) in [(8, "40M"), (9, to)] {
            for (format, image) in [("vmdk", "d.vmdk"), ("raw", "before.raw")] {
                let at: u64 =
                    at.trim_end_matches(['M', 'G']).parse::<u64>()? << if at.ends_with('G') { 10 } else { 0 };
                let write = format!("write\u{a0}-P\u{a0}{pattern}\u{a0}{}M\u{a0}1M", at - 1);
                run(dir, &format!("qemu-io -f {format} -c {write} {image}"))?;
            }
        }
        holds(dir, engine, "before.raw")?;
    }
    Ok(())
}

fn shrink(engine: Engine, subformat: &str) -> Verdict {
    for (from, to) in [("64M", "31M"), ("4097M", "1G"), ("4097M", "2G"), ("4097M", "2088960k")] {
        let dir = populated(subformat, from)?;
        let dir = dir.path();
        let args = ["resize", "-f", "vmdk", "d.vmdk", to];
        let refused = instar(dir, engine, &args)?;
        if refused.code != Some(1) || !refused.err.contains("--shrink") {
            return Err(format!("{refused:?}").into());
        }
        holds(dir, engine, "before.raw")?;
        resized(dir, engine, &["--shrink", "d.vmdk", to])?;
        run(dir, &format!("qemu-img resize -q -f raw --shrink before.raw {to}"))?;
        holds(dir, engine, "before.raw")?;
        resized(dir, engine, &["d.vmdk", from])?;
        holds(dir, engine, "before.raw")?;
    }
    Ok(())
}

fn fill(engine: Engine, subformat: &str) -> Verdict {
    let dir = populated(subformat, "50M")?;
    let dir = dir.path();
    for (mode, to) in [("falloc", "70M"), ("full", "90M")] {
        resized(dir, engine, &["--preallocation", mode, "d.vmdk", to])?;
        holds(dir, engine, "before.raw")?;
        let space =
            Command::new("du").args(["-sk", "--exclude=before.raw", "."]).current_dir(dir).output()?;
        let space =
            String::from_utf8_lossy(&space.stdout).split_whitespace().next().unwrap_or("0").parse::<u64>()?;
        let least = if mode == "full" { 40 << 10 } else { 20 << 10 };
        if space < least {
            return Err(format!("{mode}: {space} KiB").into());
        }
    }
    Ok(())
}

/// Overlays are described and not resized; neither are streams.
fn overlays(engine: Engine) -> Verdict {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    run(dir, "qemu-img create -q -f vmdk base.vmdk 4M")?;
    let args = ["create", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", "o.vmdk"];
    let ours = instar(dir, engine, &args)?;
    same(&args, &ours, &qemu_img(dir, &args)?)?;
    instar(dir, engine, &args)?;
    run(dir, "qemu-io -f vmdk -c read\u{a0}0\u{a0}4M -c write\u{a0}64k\u{a0}64k o.vmdk")?;
    for args in [&["info", "o.vmdk"][..], &["info", "--output=json", "o.vmdk"]] {
        same(args, &plain(instar(dir, engine, args)?), &plain(qemu_img(dir, args)?))?;
    }
    run(dir, "qemu-img create -q -f vmdk -o subformat=streamOptimized s.vmdk 4M")?;
    for image in ["o.vmdk", "s.vmdk"] {
        let before = fs::read(dir.join(image))?;
        let answer = instar(dir, engine, &["resize", "-f", "vmdk", image, "8M"])?;
        if answer.code != Some(1) || answer.err.lines().count() != 1 || fs::read(dir.join(image))? != before {
            return Err(format!("{image}: {answer:?}").into());
        }
    }
    Ok(())
}

/// What `qemu-img check` does not see, and what both refuse to open; nothing is written.
fn damage(engine: Engine) -> Verdict {
    let dir = populated("monolithicSparse", "64M")?;
    let dir = dir.path();
    let good = fs::read(dir.join("d.vmdk"))?;
    // Directory and first table of an image of 64 MiB, in bytes.
    let (directory, redundant, table) = (30 * 512, 21 * 512, 31 * 512);
    let word = |at: usize| u32::from_le_bytes([good[at], good[at + 1], good[at + 2], good[at + 3]]);
    for (at, value, words) in [
        (directory + 4, 0, "names no table"),
        (redundant, 0, "names no table"),
        (directory, 1 << 30, "where no table can be"),
        (table, 5, "cannot be at sector 5"),
        (table + 40, word(table), "something else"),
        (22 * 512, word(table) + 128, "the redundant table"),
        (12, 131_200, "the descriptor says 131072 sectors"),
        (72, word(72) | 1, "not closed properly"),
    ] {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        fs::write(dir.join("d.vmdk"), &bad)?;
        let answer = instar(dir, engine, &["check", "d.vmdk"])?;
        if answer.code != Some(2) || !answer.err.contains(words) || fs::read(dir.join("d.vmdk"))? != bad {
            return Err(format!("{words}: {answer:?}").into());
        }
    }
    for (at, value) in [(0, 1), (4, 9), (20, 0), (20, 0x20_0001), (44, 0), (44, 513), (64, 1 << 20)] {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        fs::write(dir.join("d.vmdk"), &bad)?;
        for args in [&["info", "-f", "vmdk", "d.vmdk"][..], &["check", "-f", "vmdk", "d.vmdk"]] {
            same(args, &instar(dir, engine, args)?, &qemu_img(dir, args)?)?;
        }
    }
    Ok(())
}

/// Files that an image names are its own business up to a point.
fn files(engine: Engine) -> Verdict {
    let dir = populated("twoGbMaxExtentFlat", "4097M")?;
    let dir = dir.path();
    let resize = |args: &[&str]| instar(dir, engine, &[&["resize", "-f", "vmdk"], args].concat());
    let denied = resize(&["--backing", "deny", "d.vmdk", "5G"])?;
    if denied.code != Some(1) || !denied.err.contains("--backing does not allow it") {
        return Err(format!("{denied:?}").into());
    }
    fs::write(dir.join("d-f004.vmdk"), b"mine")?;
    let there = resize(&["d.vmdk", "7G"])?;
    if there.code != Some(1) || fs::read(dir.join("d-f004.vmdk"))? != b"mine" {
        return Err(format!("{there:?}").into());
    }
    // A part of the disk in another directory is not removed.
    fs::create_dir(dir.join("sub"))?;
    fs::rename(dir.join("d-f003.vmdk"), dir.join("sub/x-f003.vmdk"))?;
    let text = fs::read_to_string(dir.join("d.vmdk"))?.replace("d-f003.vmdk", "sub/x-f003.vmdk");
    fs::write(dir.join("d.vmdk"), text)?;
    let cut = resize(&["--shrink", "d.vmdk", "1G"])?;
    if cut.code != Some(0) || !dir.join("sub/x-f003.vmdk").exists() || dir.join("d-f002.vmdk").exists() {
        return Err(format!("{cut:?}").into());
    }
    run(dir, "qemu-img resize -q -f raw --shrink before.raw 1G")?;
    holds(dir, engine, "before.raw")
}
