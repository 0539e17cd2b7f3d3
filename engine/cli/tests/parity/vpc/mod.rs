//! VHD: what both programs say and make of new images, what ours says of damaged ones, and what other readers
//! make of an image that was resized, which qemu-img does not do.

mod damage;
mod readers;

use crate::Verdict;
use crate::pair::{Answer, Engine, instar, qemu_img};
use libtest_mimic::Trial;
use std::path::Path;

/// Options of new images.
const OPTIONS: &[&str] = &["subformat=dynamic", "force_size=on", FIXED, FIXED_EXACT];
const FIXED: &str = "subformat=fixed";
const FIXED_EXACT: &str = "subformat=fixed,force_size=on";

/// Sizes of new images: about the limits of geometries and of the format.
const SIZES: &[&str] = &[
    "0",
    "1",
    "1M",
    "3M",
    "64M",
    "100M",
    "136M",
    "248M",
    "500M",
    "1G",
    "10G",
    "32G",
    "127G",
    "136899993600",
    "136899993601",
    "136900000000",
    "128G",
    "200G",
    "1T",
    "2040G",
    "2190433320961",
    "2041G",
];

/// Options and sizes that both refuse, or that say something else than the rest.
const REFUSED: &[(&str, &str)] = &[
    ("subformat=flat", "1M"),
    ("force_size=maybe", "1M"),
    ("block_size=1M", "1M"),
    ("backing_file=x", "1M"),
    ("preallocation=metadata", "1M"),
    ("preallocation=maybe", "1M"),
    ("preallocation=full,force_size,subformat=fixed", "1M"),
    ("preallocation=falloc", "1M"),
];

/// Options of the image behind an overlay, and sizes of that before and after.
const OVERLAYS: &[(&str, &str, &str)] = &[
    ("force_size=on", "30M", "63M"),
    ("force_size=on", "60929K", "61M"),
    ("subformat=dynamic", "1M", "100M"),
    (FIXED_EXACT, "61M", "62M"),
];

/// An overlay hides what a VHD image behind it has in the new area, and keeps what that has in the old one.
fn overlaid(dir: &Path, engine: Engine, options: &str, overlay: &str, size: &str) -> Verdict {
    done(&qemu_img(dir, &["create", "-q", "-f", "vpc", "-o", options, "x.vhd", "64M"])?)?;
    readers::io(dir, &["write -P 1 60M 2M", "write -P 2 0 64k", "write -P 3 21M 4M", "write -P 4 40M 1M"])?;
    for name in ["ours.qcow2", "theirs.qcow2"] {
        done(&qemu_img(dir, &["create", "-q", "-f", "qcow2", "-b", "x.vhd", "-F", "vpc", name, overlay])?)?;
    }
    let before = std::fs::read(dir.join("x.vhd"))?;
    let mode = "--preallocation=full";
    done(&instar(dir, engine, &["resize", mode, "ours.qcow2", size])?)?;
    done(&qemu_img(dir, &["resize", mode, "theirs.qcow2", size])?)?;
    done(&qemu_img(dir, &["check", "ours.qcow2"])?)?;
    done(&qemu_img(dir, &["compare", "ours.qcow2", "theirs.qcow2"])?)?;
    if std::fs::read(dir.join("x.vhd"))? == before {
        Ok(())
    } else {
        Err("the image behind it has changed".into())
    }
}

/// The trials for `engine`.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let mut trials: Vec<Trial> = Vec::new();
    let mut add = |name: String, body: Box<dyn FnOnce(&Path) -> Verdict + Send>| {
        trials.push(Trial::test(format!("{} vpc: {name}", engine.name()), move || {
            body(tempfile::tempdir()?.path())
        }));
    };
    for options in OPTIONS {
        let all = move |dir: &Path| SIZES.iter().try_for_each(|size| created(dir, engine, options, size));
        add(format!("create {options}"), Box::new(all));
    }
    for (options, size) in REFUSED {
        add(
            format!("create {options} {size}"),
            Box::new(move |dir| {
                created(dir, engine, options, size)?;
                let none = ["create", "-f", "vpc", "-b", "x", "-F", "raw", "x.vhd", size];
                same_words(&instar(dir, engine, &none)?, &qemu_img(dir, &none)?)
            }),
        );
    }
    for (name, spoil) in damage::ALL {
        add(format!("damaged: {name}"), Box::new(move |dir| damage::judged(dir, engine, spoil)));
    }
    add("a fixed disk by its footer".to_owned(), Box::new(move |dir| probed(dir, engine)));
    add("check -r of a resize that was cut short".to_owned(), Box::new(move |dir| mended(dir, engine)));
    add("2040 GiB".to_owned(), Box::new(move |dir| largest(dir, engine)));
    for (options, overlay, size) in OVERLAYS {
        add(
            format!("an overlay of {overlay} in front of {options} grows to {size}"),
            Box::new(move |dir| overlaid(dir, engine, options, overlay, size)),
        );
    }
    trials.extend(readers::trials(engine));
    trials
}

/// An image of both programs: the same words, the same description, the same bytes but for its identity.
fn created(dir: &Path, engine: Engine, options: &str, size: &str) -> Verdict {
    let args = ["create", "-f", "vpc", "-o", options, "x.vhd", size];
    let theirs = qemu_img(dir, &args)?;
    let looked = ["info", "-f", "vpc", "x.vhd"];
    let their_info = plain(qemu_img(dir, &looked)?);
    let their_bytes = ends(dir);
    // A fixed image is not overwritten by the other program, but made anew.
    drop(std::fs::remove_file(dir.join("x.vhd")));
    let ours = instar(dir, engine, &args)?;
    same_words(&ours, &theirs)?;
    if theirs.code != Some(0) {
        return Ok(());
    }
    // A fixed disk of nothing begins with its footer, and qemu-img takes that for a dynamic one's.
    if size != "0" || !options.contains(FIXED) {
        same_words(&plain(instar(dir, engine, &looked)?), &their_info)?;
    }
    same_words(&plain(qemu_img(dir, &looked)?), &their_info)?;
    if ends(dir) != their_bytes {
        return Err(format!("{options} {size}: the bytes differ").into());
    }
    done(&instar(dir, engine, &["check", "-f", "vpc", "x.vhd"])?)
}

/// Length, the first and the last 64 KiB of the image, without what tells it from others.
fn ends(dir: &Path) -> Option<(usize, Vec<u8>)> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::open(dir.join("x.vhd")).ok()?;
    let len = file.metadata().ok()?.len();
    let mut bytes = vec![0; usize::try_from(len.min(128 << 10)).ok()?];
    let (head, tail) = bytes.split_at_mut(usize::try_from(len.min(64 << 10)).ok()?);
    file.read_exact_at(head, 0).ok()?;
    file.read_exact_at(tail, len - tail.len() as u64).ok()?;
    let footers = [Some(0), bytes.len().checked_sub(512)];
    for at in footers.into_iter().flatten() {
        if !bytes[at..].starts_with(b"conectix") {
            continue;
        }
        // Time stamp; checksum and unique id.
        bytes[at + 24..at + 28].fill(0);
        bytes[at + 64..at + 84].fill(0);
    }
    Some((usize::try_from(len).ok()?, bytes))
}

/// A fixed disk is known by its footer, even if its data begins like one; and can be taken for a raw one.
fn probed(dir: &Path, engine: Engine) -> Verdict {
    use std::os::unix::fs::FileExt;
    let made = ["create", "-q", "-f", "vpc", "-o", FIXED_EXACT, "x.vhd", "4M"];
    done(&instar(dir, engine, &made)?)?;
    let image = std::fs::File::options().write(true).open(dir.join("x.vhd"))?;
    for data in [&b"nothing"[..], b"conectix"] {
        image.write_all_at(data, 0)?;
        let info = instar(dir, engine, &["info", "x.vhd"])?;
        if !info.out.contains("file format: vpc\nvirtual size: 4 MiB (4194304 bytes)") {
            return Err(format!("{info:?}").into());
        }
    }
    done(&instar(dir, engine, &["resize", "x.vhd", "6M"])?)?;
    done(&instar(dir, engine, &["resize", "-f", "raw", "--shrink", "x.vhd", "5M"])?)
}

/// What is left when only the footer in front has the new size, and what a repair makes of it.
fn mended(dir: &Path, engine: Engine) -> Verdict {
    use std::os::unix::fs::FileExt;
    done(&qemu_img(dir, &["create", "-q", "-f", "vpc", "-o", "force_size=on", "x.vhd", "64M"])?)?;
    readers::io(dir, &["write -P 7 0 1M"])?;
    let mut old = [0; 512];
    std::fs::File::open(dir.join("x.vhd"))?.read_exact_at(&mut old, 0)?;
    done(&instar(dir, engine, &["resize", "-f", "vpc", "x.vhd", "300M"])?)?;
    let image = std::fs::File::options().write(true).open(dir.join("x.vhd"))?;
    let end = image.metadata()?.len();
    image.write_all_at(&old, end - 512)?;
    let checked = |args: &[&str], code: i32| -> Verdict {
        let answer = instar(dir, engine, &[&["check", "-f", "vpc"], args, &["x.vhd"]].concat())?;
        if answer.code == Some(code) { Ok(()) } else { Err(format!("{answer:?}").into()) }
    };
    checked(&[], 2)?;
    checked(&["-r", "leaks"], 2)?;
    checked(&["-r", "all"], 0)?;
    checked(&[], 0)?;
    readers::io(dir, &["read -P 7 0 1M", "read -P 0 64M 236M"])
}

/// From 1 GiB to the largest size there is, and a byte more is refused.
fn largest(dir: &Path, engine: Engine) -> Verdict {
    done(&qemu_img(dir, &["create", "-q", "-f", "vpc", "x.vhd", "1G"])?)?;
    readers::io(dir, &["write -P 7 0 1M", "write -P 8 1000M 1M"])?;
    done(&instar(dir, engine, &["resize", "-f", "vpc", "x.vhd", "2040G"])?)?;
    readers::io(dir, &["read -P 7 0 1M", "read -P 8 1000M 1M", "read -P 0 1023M 2M", "write -P 9 2039G 1M"])?;
    readers::io(dir, &["read -P 9 2039G 1M", "read -P 8 1000M 1M"])?;
    done(&instar(dir, engine, &["check", "-f", "vpc", "x.vhd"])?)?;
    let refused = instar(dir, engine, &["resize", "-f", "vpc", "x.vhd", "+1"])?;
    let text = "qemu-img: The image size is too large for file format 'vpc'\n";
    same_words(&refused, &Answer { code: Some(1), out: String::new(), err: text.to_owned() })
}

/// What is left of an answer without what the same image may have twice.
fn plain(mut answer: Answer) -> Answer {
    let kept = answer.out.lines().filter(|line| !line.contains("disk size: "));
    answer.out = kept.flat_map(|line| [line, "\n"]).collect();
    answer
}

fn same_words(ours: &Answer, theirs: &Answer) -> Verdict {
    if ours == theirs { Ok(()) } else { Err(format!("{ours:?}\nnot {theirs:?}").into()) }
}

fn done(answer: &Answer) -> Verdict {
    if answer.code == Some(0) { Ok(()) } else { Err(format!("{answer:?}").into()) }
}
