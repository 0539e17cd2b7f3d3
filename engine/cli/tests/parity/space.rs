//! Where there is no space: the same words, an image that is as it was, and a file no longer than before.

use crate::fixture::Fixtures;
use crate::pair::{Answer, Engine, without_hint};
use crate::{Verdict, trial};
use libtest_mimic::{Failed, Trial};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Runs what follows with files of at most 4 MiB (units of 512 bytes), as on a disk that is full.
const LIMITED: &str = "trap '' XFSZ; ulimit -f 8192; exec \"$@\"";

/// Command lines that find no space, and the image they are about.
const LINES: &[(&str, &str)] = &[
    ("resize -f qcow2 --preallocation falloc q.img 16M", "q.img"),
    ("resize -f qcow2 --preallocation full q.img 16M", "q.img"),
    ("resize -f qcow2 --preallocation falloc small.img 16M", "small.img"),
    ("resize -f qcow2 --preallocation full small.img 16M", "small.img"),
];

/// The trials.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let all = LINES.iter().map(|&(line, image)| {
        let name = format!("{} finds no space: {line}", engine.name());
        trial(name, move |fixtures| refused_alike(fixtures, engine, line, image))
    });
    all.collect()
}

fn limited(dir: &Path, program: &str, args: &[&str]) -> Result<Answer, Failed> {
    let mut run = Command::new("sh");
    // The name that messages begin with is that of the program which is run in the end.
    run.arg0("sh").args(["-c", LIMITED, "sh", program]).args(args).current_dir(dir);
    let output = run.output()?;
    let text = |bytes: &[u8]| without_hint(&String::from_utf8_lossy(bytes));
    Ok(Answer { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

fn refused_alike(fixtures: &Fixtures, engine: Engine, line: &str, image: &str) -> Verdict {
    let (dir, theirs) = (fixtures.path(), fixtures.copy()?);
    let args: Vec<&str> = line.split(' ').collect();
    let file = dir.join(image);
    let before = std::fs::read(&file)?;
    let with_engine = [&args[..1], &["--engine", engine.name()], &args[1..]].concat();
    let mut ours = limited(dir, env!("CARGO_BIN_EXE_instar"), &with_engine)?;
    ours.err = ours.err.replace("instar: ", "qemu-img: ");
    let theirs = limited(theirs.path(), "qemu-img", &args)?;
    crate::pair::same(&args, &ours, &theirs)?;
    if ours.code != Some(1) {
        return Err(format!("no refusal: {ours:?}").into());
    }
    let after = std::fs::read(&file)?;
    if after.len() != before.len() {
        return Err(format!("the file has {} bytes, it had {}", after.len(), before.len()).into());
    }
    crate::fixture::run(dir, &format!("qemu-img check -q -f qcow2 {image}"))
}
