//! Running a command line through both programs.

use libtest_mimic::Failed;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Which engine `instar` is to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    InProcess,
    Kvm,
}

impl Engine {
    pub const fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Kvm => "kvm",
        }
    }

    /// Why this engine cannot be had here, if it cannot.
    pub fn missing(self) -> Option<&'static str> {
        let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
        (self == Self::Kvm && device.is_err()).then_some("no usable /dev/kvm")
    }
}

/// Why there is nothing to compare with, if there is nothing.
pub fn missing_qemu_img() -> Option<&'static str> {
    let help = Command::new("qemu-img").args(["resize", "--help"]).output();
    match help {
        Err(_) => Some("no qemu-img on PATH"),
        Ok(o) if o.status.success() => None,
        Ok(_) => Some("qemu-img older than 10.1"),
    }
}

/// What a program answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: without_hint(&text(output.stderr)) }
    }
}

impl Answer {
    /// The same with the lines on standard error in alphabetical order.
    pub fn sorted(mut self) -> Self {
        let mut lines: Vec<&str> = self.err.split_inclusive('\n').collect();
        lines.sort_unstable();
        self.err = lines.concat();
        self
    }
}

/// The line that says where help is differs between releases of `qemu-img`.
pub fn without_hint(err: &str) -> String {
    let lines = err.lines().filter(|l| !l.starts_with("Try 'qemu-img "));
    lines.flat_map(|l| [l, "\n"]).collect()
}

/// Runs `instar` under the name of `qemu-img`, so that messages begin alike.
pub fn instar(dir: &Path, engine: Engine, args: &[&str]) -> Result<Answer, Failed> {
    let (command, rest) = args.split_at(1.min(args.len()));
    let engine = match command.first() {
        Some(&"resize" | &"info" | &"check" | &"create") => Some(format!("--engine={}", engine.name())),
        _ => None,
    };
    let mut run = Command::new(env!("CARGO_BIN_EXE_instar"));
    run.arg0("qemu-img").args(command).args(engine).args(rest);
    answer(&mut run, dir)
}

/// Runs the installed `qemu-img`.
pub fn qemu_img(dir: &Path, args: &[&str]) -> Result<Answer, Failed> {
    answer(Command::new("qemu-img").args(args), dir)
}

fn answer(command: &mut Command, dir: &Path) -> Result<Answer, Failed> {
    let output = command.current_dir(dir).env("TZ", "UTC").stdin(Stdio::null()).output()?;
    Ok(output.into())
}

/// Fails unless both answers are the same.
pub fn same(args: &[&str], ours: &Answer, theirs: &Answer) -> Result<(), Failed> {
    if ours == theirs {
        return Ok(());
    }
    Err(format!("{args:?}\ninstar:   {ours:?}\nqemu-img: {theirs:?}").into())
}
