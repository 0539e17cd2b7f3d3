//! While one program has an image open, the other one keeps away from it.

use crate::pair::{Answer, Engine, instar};
use crate::{Verdict, fixture::Fixtures, trial};
use libtest_mimic::{Failed, Trial};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Bytes that a pipe holds before a writer waits (pipe(7)).
const PIPE_CAPACITY: usize = 65536;

/// How `qemu-io` holds an image, what `instar` is asked then, and what it answers.
const CASES: &[(&str, &str, Option<&str>)] = &[
    ("-f qcow2 q.img", "resize -f qcow2 q.img 8M", Some("Failed to get \"write\" lock")),
    ("-f qcow2 q.img", "info q.img", Some("Failed to get shared \"write\" lock")),
    ("-f qcow2 q.img", "info -U q.img", None),
    ("-f qcow2 q.img", "check q.img", Some("Failed to get shared \"write\" lock")),
    ("-f qcow2 q.img", "check --force-share q.img", None),
    ("-f qcow2 q.img", "create -f qcow2 q.img 1M", Some("Failed to get \"write\" lock")),
    ("-r -f qcow2 q.img", "resize -f qcow2 q.img 8M", Some("Failed to get \"write\" lock")),
    ("-r -f qcow2 q.img", "info q.img", None),
    ("-r -f qcow2 q.img", "check q.img", None),
    ("-f raw raw.img", "info -f raw raw.img", None),
    ("-f raw raw.img", "resize -f raw raw.img 2M", Some("Failed to get shared \"write\" lock")),
];

/// What the others are asked while `instar resize` has an image, and what they answer.
const OTHERS: &[(&str, Option<&str>)] = &[
    ("qemu-img resize -f qcow2 q.img 8M", Some("Failed to get \"write\" lock")),
    ("qemu-img info q.img", Some("Failed to get shared \"write\" lock")),
    ("qemu-img info -U q.img", None),
    ("qemu-io -f qcow2 -c quit q.img", Some("Failed to get \"write\" lock")),
];

/// One trial for each, and one for the other direction.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let name = format!("{} resize keeps the others away", engine.name());
    let other = trial(name, move |f| keeps_others_away(f, engine));
    let each = CASES.iter().map(|&(held, line, refusal)| {
        let name = format!("{} while qemu-io {held}: {line}", engine.name());
        trial(name, move |f| while_held(f, engine, held, line, refusal))
    });
    each.chain([other]).collect()
}

fn while_held(fixtures: &Fixtures, engine: Engine, held: &str, line: &str, refusal: Option<&str>) -> Verdict {
    let args: Vec<&str> = line.split(' ').collect();
    let holder = Holder::start(fixtures.path(), held)?;
    let answer = instar(fixtures.path(), engine, &args)?;
    holder.stop()?;
    match refusal {
        None if answer.code == Some(0) => {}
        Some(text) if refused(&answer, text) => {}
        _ => return Err(format!("{line}: {answer:?}").into()),
    }
    // And nothing is left locked.
    let after = instar(fixtures.path(), engine, &args)?;
    match after.code {
        Some(0) => Ok(()),
        _ => Err(format!("{line} afterwards: {after:?}").into()),
    }
}

fn refused(answer: &Answer, text: &str) -> bool {
    let lines: Vec<&str> = answer.err.lines().collect();
    answer.code == Some(1)
        && answer.out.lines().all(|l| l.starts_with("Formatting "))
        && matches!(lines[..], [first, second] if first.ends_with(text)
            && second.starts_with("Is another process using the image ["))
}

/// A `qemu-io` that has an image open until it is told to quit.
pub struct Holder(Child);

impl Holder {
    /// Opens an image as these words say.
    pub fn start(dir: &Path, args: &str) -> Result<Self, Failed> {
        let mut child = Command::new("qemu-io")
            .args(args.split(' '))
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // The image is open when the first command is answered.
        let stdin = child.stdin.as_mut().ok_or("no stdin")?;
        stdin.write_all(b"length\n")?;
        stdin.flush()?;
        let stdout = child.stdout.as_mut().ok_or("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self(child))
    }

    /// Closes it.
    pub fn stop(mut self) -> Verdict {
        drop(self.0.stdin.take());
        self.0.wait()?;
        Ok(())
    }
}

/// `instar` says that it is done while it still has the image. If nobody reads that, it waits.
fn keeps_others_away(fixtures: &Fixtures, engine: Engine) -> Verdict {
    let (mut reader, mut writer) = std::io::pipe()?;
    writer.write_all(&[b'\n'; PIPE_CAPACITY])?;
    let mut instar = Command::new(env!("CARGO_BIN_EXE_instar"))
        .args(["resize", "--engine", engine.name(), "q.img", "16M"])
        .current_dir(fixtures.path())
        .stdout(writer)
        .spawn()?;
    wait_for_lock(&fixtures.path().join("q.img"))?;
    let verdict =
        OTHERS.iter().try_for_each(|&(line, refusal)| other_answers(fixtures.path(), line, refusal));
    let mut said = String::new();
    reader.read_to_string(&mut said)?;
    let status = instar.wait()?;
    verdict?;
    match status.success() && said.trim() == "Image resized." {
        true => Ok(()),
        false => Err(format!("{status}: {said:?}").into()),
    }
}

fn other_answers(dir: &Path, line: &str, refusal: Option<&str>) -> Verdict {
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).current_dir(dir).output()?;
    let err = String::from_utf8_lossy(&output.stderr);
    match refusal {
        None if output.status.success() => Ok(()),
        Some(text) if err.contains(text) => Ok(()),
        _ => Err(format!("{line}: {output:?}").into()),
    }
}

/// Waits until a writer has all its locks: bytes 100 and 101 are one range, 103, 201 and 203 are
/// one each. What the writer asks after that takes it no time.
fn wait_for_lock(path: &Path) -> Verdict {
    let inode = format!(":{} ", path.metadata()?.ino());
    for _ in 0..1000 {
        let ranges = std::fs::read_to_string("/proc/locks")?.matches(&inode).count();
        std::thread::sleep(Duration::from_millis(10));
        if ranges >= 4 {
            return Ok(());
        }
    }
    Err("nobody took a lock".into())
}
