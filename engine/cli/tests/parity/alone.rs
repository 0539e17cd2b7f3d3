//! What needs no `qemu-img` to be judged: hostile names, closed streams, generated documents.

use crate::Verdict;
use libtest_mimic::Trial;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("a name that is no text", odd_name),
        Trial::test("a name that is a terminal's escape", escape_in_name),
        Trial::test("a name like an option", dashed_name),
        Trial::test("a FIFO that nobody writes to", fifo),
        Trial::test("a file that may not grow", file_size_limit),
        Trial::test("a reader that goes away", broken_pipe),
        Trial::test("standard output on a full disk", full_output),
        Trial::test("man pages", man_pages),
    ];
    let shells = ["bash", "zsh", "fish", "elvish", "powershell"];
    trials.extend(
        shells.map(|shell| Trial::test(format!("completions for {shell}"), move || completions(shell))),
    );
    let refusals = [
        ("--image-opts", "Cannot find device='nosuch' nor node-name='nosuch'"),
        ("--object=x", "Parameter 'qom-type' does not accept value 'x'"),
    ];
    trials.extend(
        refusals.map(|(option, why)| Trial::test(format!("refuses {option}"), move || refuses(option, why))),
    );
    trials
}

fn instar() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_instar"));
    command.stdin(Stdio::null());
    command
}

fn one_line(output: &Output, contains: &str) -> Verdict {
    let err = String::from_utf8(output.stderr.clone())?;
    let fine = output.status.code() == Some(1) && err.lines().count() == 1;
    match fine && err.starts_with("instar: ") && err.contains(contains) {
        true => Ok(()),
        false => Err(format!("{output:?}").into()),
    }
}

fn odd_name() -> Verdict {
    let name = OsStr::from_bytes(b"\xff\xfe");
    let output = instar().args(["resize", "-f", "raw"]).arg(name).arg("1M").output()?;
    one_line(&output, "No such file or directory")
}

fn escape_in_name() -> Verdict {
    let output = instar().args(["info", "\u{1b}]0;x\u{7}\n"]).output()?;
    one_line(&output, "\\x1b]0;x\\x07\\x0a")
}

fn dashed_name() -> Verdict {
    let output = instar().args(["info", "--", "-nosuch"]).output()?;
    one_line(&output, "Could not open '-nosuch'")
}

/// `qemu-img info` waits for a writer here.
fn fifo() -> Verdict {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("fifo");
    Command::new("mkfifo").arg(&path).status()?;
    for command in ["info", "check"] {
        let output = instar().arg(command).arg(&path).output()?;
        one_line(&output, "to be a regular file")?;
    }
    Ok(())
}

/// The kernel's signal for this would end the process in the middle of a job.
fn file_size_limit() -> Verdict {
    let dir = tempfile::tempdir()?;
    let image = dir.path().join("raw.img");
    std::fs::write(&image, [7; 512])?;
    let line = "ulimit -f 8; exec \"$0\" resize --engine=in-process -f raw \"$1\" 1M";
    let output = Command::new("sh").args(["-c", line, env!("CARGO_BIN_EXE_instar")]).arg(&image).output()?;
    one_line(&output, "Could not resize file: File too large")?;
    match std::fs::read(&image)? == [7; 512] {
        true => Ok(()),
        false => Err("the image was changed".into()),
    }
}

fn refuses(option: &str, why: &str) -> Verdict {
    let output = instar().args(["resize", option, "nosuch", "1M"]).output()?;
    one_line(&output, why)
}

fn broken_pipe() -> Verdict {
    let mut child = instar().arg("man").stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    match child.wait()?.code() {
        Some(0) => Ok(()),
        code => Err(format!("exit code {code:?}").into()),
    }
}

fn full_output() -> Verdict {
    let full = File::options().write(true).open("/dev/full")?;
    let output = instar().arg("--help").stdout(full).stderr(Stdio::piped()).output()?;
    one_line(&output, "No space left on device")
}

fn man_pages() -> Verdict {
    let output = instar().arg("man").output()?;
    let text = String::from_utf8(output.stdout)?;
    let pages = text.lines().filter(|l| l.starts_with(".TH ")).count();
    match output.status.success() && pages == 7 && text.contains("preallocation") {
        true => Ok(()),
        false => Err(format!("{pages} pages:\n{text}").into()),
    }
}

fn completions(shell: &str) -> Verdict {
    let output = instar().args(["completions", shell]).output()?;
    let text = String::from_utf8(output.stdout)?;
    match output.status.success() && text.contains("preallocation") {
        true => Ok(()),
        false => Err(text.into()),
    }
}
