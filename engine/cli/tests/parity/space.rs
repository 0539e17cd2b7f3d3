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

/// Images that `qemu-img` does not resize: format, what makes them, and what the resize says before the size.
const OTHERS: &[(&str, &str, &str)] = &[
    ("vpc", "force_size=on", "--preallocation=metadata"),
    ("vpc", "force_size=on", "--preallocation=full"),
    ("vhdx", "block_size=1M,log_size=1M", "--preallocation=metadata"),
    ("vmdk", "subformat=monolithicSparse", "--preallocation=metadata"),
    ("vmdk", "subformat=monolithicSparse", "--preallocation=full"),
];

/// An image without space is what it was: good, in a file as long as before.
fn others_refused(
    fixtures: &Fixtures,
    engine: Engine,
    (format, options, mode): (&str, &str, &str),
) -> Verdict {
    let (dir, file) = (fixtures.path(), fixtures.path().join("o.img"));
    crate::fixture::run(dir, &format!("qemu-img create -q -f {format} -o {options} o.img 2M"))?;
    let io = |command: &str| crate::fixture::run(dir, &format!("qemu-io -f {format} -c {command} o.img"));
    io("write\u{a0}-P\u{a0}7\u{a0}64k\u{a0}64k")?;
    // Where writing has left it: the end of the file is not what limits the rest.
    let before = std::fs::metadata(&file)?.len();
    let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", before.div_ceil(512) + 4096);
    let args = ["resize", "--engine", engine.name(), "-f", format, mode, "o.img", "40M"];
    let mut run = Command::new("sh");
    run.args(["-c", &limit, "sh", env!("CARGO_BIN_EXE_instar")]).args(args).current_dir(dir);
    let output = run.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() != Some(1) || !said.contains("File too large") {
        return Err(format!("no refusal: {} {said}", output.status).into());
    }
    let after = std::fs::metadata(&file)?.len();
    if after != before {
        return Err(format!("the file has {after} bytes, it had {before}").into());
    }
    let check = crate::pair::instar(dir, engine, &["check", "-f", format, "o.img"])?;
    if check.code != Some(0) {
        return Err(format!("{check:?}").into());
    }
    io("read\u{a0}-P\u{a0}7\u{a0}64k\u{a0}64k")
}

/// The trials.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let all = LINES.iter().map(|&(line, image)| {
        let name = format!("{} finds no space: {line}", engine.name());
        trial(name, move |fixtures| refused_alike(fixtures, engine, line, image))
    });
    let others = OTHERS.iter().map(|&case| {
        let name = format!("{} finds no space: {} {}", engine.name(), case.0, case.2);
        trial(name, move |fixtures| others_refused(fixtures, engine, case))
    });
    all.chain(others).collect()
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
