//! `info` and `check`: both programs look at the same file and must see the same.

use crate::pair::{Engine, instar, qemu_img, same};
use crate::{Verdict, fixture::Fixtures, trial};
use libtest_mimic::Trial;

/// Images that both describe.
const IMAGES: &[&str] = &[
    "raw.img",
    "odd.raw",
    "nothing.raw",
    "q.img",
    "empty.qcow2",
    "v2.img",
    "ext.img",
    "small.img",
    "sub/ov.img",
    "ov.img",
    "df.img",
    "dirty.img",
    "corrupt.img",
    "file:q.img",
    "./q.img",
    r#"json:{"driver":"qcow2","file":{"driver":"file","filename":"q.img"}}"#,
];

/// Images that both check. Those with a backing file or a data file of their own are not among them.
const CHECKED: &[&str] = &[
    "q.img",
    "empty.qcow2",
    "v2.img",
    "ext.img",
    "small.img",
    "corrupt.img",
    "unref.img",
    "leak.img",
    r#"json:{"file.filename":"q.img"}"#,
];

/// Trials for each image, in both forms of output.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let mut trials = Vec::new();
    let commands = [("info", IMAGES), ("check", CHECKED)];
    for (command, images) in commands {
        for &image in images {
            let name = format!("{} {command}: {image}", engine.name());
            trials.push(trial(name, move |f| text_alike(f, engine, &[command, image])));
            let name = format!("{} {command} --output=json: {image}", engine.name());
            let json = move |f: &Fixtures| json_alike(f, engine, &[command, "--output=json", image]);
            trials.push(trial(name, json));
        }
    }
    let name = format!("{} check -q", engine.name());
    let quiet = move |f: &Fixtures| text_alike(f, engine, &["check", "-q", "leak.img"]);
    trials.push(trial(name, quiet));
    for mode in ["none", "writethrough", "bogus"] {
        let name = format!("{} check -T {mode}", engine.name());
        trials.push(trial(name, move |f| text_alike(f, engine, &["check", "-T", mode, "leak.img"])));
    }
    trials
}

/// What a check finds is told in the order in which it is found; that is nobody's concern.
fn text_alike(fixtures: &Fixtures, engine: Engine, args: &[&str]) -> Verdict {
    let theirs = qemu_img(fixtures.path(), args)?.sorted();
    let ours = instar(fixtures.path(), engine, args)?.sorted();
    same(args, &ours, &theirs)
}

/// The order of keys means nothing.
fn json_alike(fixtures: &Fixtures, engine: Engine, args: &[&str]) -> Verdict {
    let mut theirs = qemu_img(fixtures.path(), args)?.sorted();
    let mut ours = instar(fixtures.path(), engine, args)?.sorted();
    for answer in [&mut theirs, &mut ours] {
        let value: serde_json::Value =
            serde_json::from_str(&answer.out).map_err(|e| format!("no JSON ({e}): {answer:?}"))?;
        answer.out = value.to_string();
    }
    same(args, &ours, &theirs)
}
