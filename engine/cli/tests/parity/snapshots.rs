//! Damaged tables of internal snapshots: both programs say the same of them, and `check -r all` of both leaves an image
//! in which the other one finds nothing.

use crate::fixture::{Fixtures, run};
use crate::pair::{Engine, instar, qemu_img, same};
use crate::{Verdict, trial};
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;

/// Bytes of an entry in front of its extra data; where it says how long that is; extra data of `qemu-img`.
const FIXED: usize = 40;
const EXTRA_LEN: usize = 36;
const EXTRA: usize = 24;

/// What is done to the image, whose table begins where the second argument says.
type Damage = (&'static str, fn(&mut [u8], usize));

const DAMAGE: [Damage; 9] = [
    ("nothing", |_, _| ()),
    ("no extra data", |b, at| extra(b, at, 0)),
    ("8 bytes of extra data", |b, at| extra(b, at, 8)),
    ("16 bytes of extra data", |b, at| extra(b, at, 16)),
    ("1024 bytes of extra data", |b, at| extra(b, at, 1024)),
    ("1025 bytes of extra data", |b, at| extra(b, at, 1025)),
    ("no extra data and a leak", |b, at| {
        extra(b, at, 0);
        b[2 * 65536 + 2 * 5 + 1] += 1;
    }),
    ("one more snapshot", |b, _| b[63] += 1),
    ("an offset and no snapshots", |b, _| {
        b[63] = 0;
        b[71] = 8;
    }),
];
const COMMANDS: [&[&str]; 5] = [
    &["check", "s.img"],
    &["check", "-r", "leaks", "s.img"],
    &["check", "-r", "all", "s.img"],
    &["info", "s.img"],
    &["resize", "s.img", "8M"],
];

/// Gives the first entry `len` bytes of extra data.
fn extra(b: &mut [u8], table: usize, len: usize) {
    let rest = b[table + FIXED + EXTRA..table + 4096 - FIXED - 1025].to_vec();
    b[table + EXTRA_LEN..table + FIXED].copy_from_slice(&u32::try_from(len).expect("short").to_be_bytes());
    let old = b[table + FIXED..table + FIXED + EXTRA].to_vec();
    let data: Vec<u8> = old.into_iter().chain(std::iter::repeat(0xee)).take(len).collect();
    // The second entry begins at a multiple of 8, as the first one's id and name still end 6 bytes behind.
    let names = rest[..6].to_vec();
    let second = rest[8..].to_vec();
    let mut entries = [data, names].concat();
    entries.resize(entries.len().next_multiple_of(8), 0);
    entries.extend(second);
    b[table + FIXED..table + FIXED + entries.len()].copy_from_slice(&entries);
}

pub fn trials(engine: Engine) -> Vec<Trial> {
    let name = |what: &str| format!("{}: snapshot table: {what}", engine.name());
    DAMAGE.iter().map(|damage| trial(name(damage.0), move |f| both(f, engine, damage))).collect()
}

fn both(fixtures: &Fixtures, engine: Engine, damage: &Damage) -> Verdict {
    let dir = fixtures.path();
    for line in [
        "qemu-img create -q -f qcow2 s.img 4M",
        "qemu-io -c write\u{a0}-P\u{a0}1\u{a0}0\u{a0}200k s.img",
        "qemu-img snapshot -c first s.img",
        "qemu-io -c write\u{a0}-P\u{a0}2\u{a0}0\u{a0}64k s.img",
        "qemu-img snapshot -c other s.img",
        "qemu-io -c write\u{a0}-P\u{a0}3\u{a0}1M\u{a0}64k s.img",
    ] {
        run(dir, line)?;
    }
    let mut bytes = fs::read(dir.join("s.img"))?;
    let table = u64::from_be_bytes(bytes[64..72].try_into()?);
    (damage.1)(&mut bytes, usize::try_from(table)?);
    for args in COMMANDS {
        let (ours, theirs) = (dir.join("ours"), dir.join("theirs"));
        for copy in [&ours, &theirs] {
            fs::create_dir_all(copy)?;
            fs::write(copy.join("s.img"), &bytes)?;
        }
        let repairs = args.contains(&"-r");
        same(args, &instar(&ours, engine, args)?, &qemu_img(&theirs, args)?)?;
        if repairs && args.contains(&"all") {
            clean(&ours, &["check", "s.img"], engine)?;
            clean(&theirs, &["check", "s.img"], engine)?;
            let args = ["snapshot", "-l", "s.img"];
            same(&args, &qemu_img(&ours, &args)?, &qemu_img(&theirs, &args)?)?;
        }
    }
    Ok(())
}

/// That both find nothing, or refuse the image alike.
fn clean(dir: &Path, args: &[&str], engine: Engine) -> Verdict {
    let (ours, theirs) = (instar(dir, engine, args)?, qemu_img(dir, args)?);
    same(args, &ours, &theirs)?;
    match ours.code {
        Some(0 | 1) => Ok(()),
        _ => Err(format!("{args:?}: {ours:?}").into()),
    }
}
