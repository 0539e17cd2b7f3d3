//! `oracle hostile --answers`: a second run asks qemu-img nothing and judges the same.

use libtest_mimic::{Arguments, Failed, Trial};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// An image of each format, and how many ways to spoil each are tried.
const RECIPES: [&str; 7] = ["plain", "vhd", "vhd-fixed", "vhdx", "vmdk", "qed", "luks"];
const IMAGES: &str = "42";

fn main() -> ExitCode {
    let name = "a second run asks qemu-img nothing and judges the same";
    let trial = match Command::new("qemu-img").arg("--version").output() {
        Ok(_) => Trial::test(name, second_run),
        Err(_) => Trial::test(name, || Ok(())).with_ignored_flag(true).with_kind("no qemu-img in PATH"),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn second_run() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    let (log, program) = (dir.join("log"), dir.join("qemu-img"));
    // What is asked of it is a question with an image in it.
    let script = format!("#!/bin/sh\necho \"$@\" >> '{}'\nexec qemu-img \"$@\"\n", log.display());
    std::fs::write(&program, script)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let first = run(dir, &program)?;
    let asked = questions(&log)?;
    if asked.len() < 100 {
        return Err(format!("only {} questions", asked.len()).into());
    }
    std::fs::remove_file(&log)?;
    let second = run(dir, &program)?;
    let again = questions(&log)?;
    if !again.is_empty() {
        return Err(format!("asked again, {} times: {}", again.len(), again[0]).into());
    }
    if first != second {
        return Err(format!("the first run said\n{first}\nand the second\n{second}").into());
    }
    // What is kept is what is judged by: another answer leads to another verdict.
    let answers = dir.join("answers.json");
    let text = std::fs::read_to_string(&answers)?.replace("8388608", "8388096");
    std::fs::write(&answers, text)?;
    let spoiled = run(dir, &program)?;
    if spoiled == second || !questions(&log)?.is_empty() {
        return Err(format!("kept answers are not what is judged by:\n{spoiled}").into());
    }
    Ok(())
}

/// The report of a run, without what it says of time.
fn run(dir: &Path, program: &Path) -> Result<String, Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oracle"));
    command.args(["hostile", "--images", IMAGES, "--seed", "5"]);
    command.args(RECIPES.iter().flat_map(|name| ["--recipe", name]));
    command.arg("--qemu").arg(program).arg("--answers").arg(dir.join("answers.json"));
    command.arg("--keep").arg(dir.join("kept")).arg("--archive").arg(dir.join("archive"));
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !matches!(output.status.code(), Some(0 | 1)) {
        return Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(text.lines().filter(|line| !line.contains(" s: ")).fold(String::new(), |all, line| all + line + "\n"))
}

/// Of what the program was called with, the questions about a spoiled image.
fn questions(log: &Path) -> Result<Vec<String>, Failed> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let asked =
        |line: &&str| ["info", "check", "resize", "convert"].iter().any(|verb| line.starts_with(verb));
    Ok(text.lines().filter(asked).filter(|line| line.contains("disk.img")).map(String::from).collect())
}
