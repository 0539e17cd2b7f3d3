//! VHDX: what both programs say and make of new images and damaged ones, what a resize leaves for other readers, and
//! what qemu-img makes of every state that a crash of one can leave.

mod crash;
mod damage;
mod image;
mod readers;

use crate::Verdict;
use crate::pair::{Answer, Engine, instar, qemu_img};
use libtest_mimic::Trial;
use std::path::Path;

/// Options and size of new images.
const CREATED: &[(&str, &str)] = &[
    ("subformat=dynamic", "1M"),
    ("subformat=dynamic", "64M"),
    ("subformat=dynamic", "1G"),
    ("subformat=dynamic", "1025M"),
    ("subformat=dynamic", "100G"),
    ("subformat=dynamic", "101G"),
    ("subformat=dynamic", "32T"),
    ("subformat=dynamic", "33T"),
    ("subformat=dynamic", "64T"),
    ("block_size=1M", "1T"),
    ("block_size=1500000", "1G"),
    ("block_size=257M,log_size=1", "1000"),
    ("block_state_zero=off", "10G"),
    ("log_size=3000000", "64M"),
    ("subformat=fixed", "65M"),
    ("subformat=fixed,block_state_zero=off", "65M"),
    ("subformat=dynamic", "0"),
    ("block_size=1M", "0"),
    ("block_size=3M", "1G"),
    ("log_size=0,block_size=3M", "1G"),
    ("log_size=0", "65T"),
    ("log_size=4G", "1G"),
    ("subformat=flat,block_size=3M", "65T"),
    ("cluster_size=64k", "1G"),
    ("block_state_zero=maybe", "1G"),
];

/// The trials for `engine`.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let mut trials: Vec<Trial> = Vec::new();
    let mut add = |name: String, body: Box<dyn FnOnce(&Path) -> Verdict + Send>| {
        trials.push(Trial::test(format!("{} vhdx: {name}", engine.name()), move || {
            body(tempfile::tempdir()?.path())
        }));
    };
    for (options, size) in CREATED {
        add(format!("create {options} {size}"), Box::new(move |dir| created(dir, engine, options, size)));
    }
    for (name, spoil) in damage::ALL {
        add(format!("damage: {name}"), Box::new(move |dir| damage::judged(dir, engine, *spoil)));
    }
    add("a log is replayed".to_owned(), Box::new(move |dir| damage::replayed(dir, engine)));
    trials.extend(readers::trials(engine));
    if engine == Engine::InProcess {
        trials.extend(crash::trials());
    }
    trials
}

/// The same words and code, a file of the same length, and of an image that both say the same of.
fn created(dir: &Path, engine: Engine, options: &str, size: &str) -> Verdict {
    let words = ["create", "-f", "vhdx", "-o", options, "x.vhdx", size];
    let theirs = qemu_img(dir, &words)?;
    let looks: [&[&str]; 4] = [
        &["info", "x.vhdx"],
        &["info", "--output=json", "x.vhdx"],
        &["check", "x.vhdx"],
        &["check", "--output=json", "x.vhdx"],
    ];
    let look = |answers: &mut Vec<Answer>, ours: bool| -> Verdict {
        for words in looks {
            let answer = if ours { instar(dir, engine, words)? } else { qemu_img(dir, words)? };
            answers.push(image::plain(answer));
        }
        Ok(())
    };
    let image = dir.join("x.vhdx");
    let len = || std::fs::metadata(&image).map(|meta| meta.len()).unwrap_or(0);
    let (mut want, mut of_theirs, mut of_ours) = (Vec::new(), Vec::new(), Vec::new());
    let their_len = len();
    if theirs.code == Some(0) {
        look(&mut want, false)?;
        look(&mut of_theirs, true)?;
        std::fs::remove_file(&image)?;
    }
    let ours = instar(dir, engine, &words)?;
    crate::pair::same(&words, &ours, &theirs)?;
    if theirs.code == Some(0) {
        image::equal("length", &len(), &their_len)?;
        look(&mut of_ours, false)?;
        look(&mut of_ours, true)?;
        image::equal("what is said of qemu-img's image", &of_theirs, &want)?;
        image::equal("what is said of ours", &of_ours, &[&want[..], &want[..]].concat())?;
    }
    Ok(())
}
