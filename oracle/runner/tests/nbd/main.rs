//! What instar resized is mounted: exported by qemu-nbd and read through its socket, by a client that is nobody's but this
//! test's. Every written byte, the new area and both ends are held to the model of the content.
//!
//! Without qemu-img, qemu-io or qemu-nbd the trial shows as ignored.

mod client;

use client::Client;
use libtest_mimic::{Arguments, Failed, Trial};
use oracle_case::child::Tool;
use oracle_case::{Case, Content, Outcome, Tools, build, expected_after, expected_content, expected_steps};
use oracle_judge::subject::{IMAGE, resize_args};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Cases that are mounted.
const CASES: usize = 16;
/// Bytes read around each place of interest.
const WINDOW: u64 = 64 << 10;
/// How long the server may take until its socket is there.
const START: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let missing = ["qemu-img", "qemu-io", "qemu-nbd"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err());
    let trial = match missing {
        Some(program) => {
            Trial::test(format!("mounted ({program} is not in PATH)"), || Ok(())).with_ignored_flag(true)
        }
        None => Trial::test("mounted", mounted),
    };
    let faulty = match missing {
        Some(program) => {
            Trial::test(format!("a wrong byte ({program} is not in PATH)"), || Ok(())).with_ignored_flag(true)
        }
        None => Trial::test("a wrong byte", a_wrong_byte),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial, faulty]).exit_code()
}

/// qcow2 cases whose every resize succeeds, and of which nothing from before an earlier shrink may be seen again.
fn cases() -> impl Iterator<Item = (u64, Case)> {
    Case::sequence(1, |case| {
        let steps = expected_steps(case);
        let resized = steps.iter().all(|step| step.outcome == Outcome::Resized && step.stale.is_empty());
        let changed = expected_after(case).size() != expected_content(&case.fixture).size();
        case.fixture.format.qcow2().is_some() && resized && changed
    })
}

fn mounted() -> Result<(), Failed> {
    for (seed, case) in cases().take(CASES) {
        let dir = tempfile::tempdir()?;
        resized(&case, dir.path())?;
        compare(dir.path(), &expected_after(&case))
            .map_err(|e| format!("seed {seed}: {e}\n{}", case.to_json()))?;
    }
    Ok(())
}

/// The comparison finds a byte that is not as it should be.
fn a_wrong_byte() -> Result<(), Failed> {
    let (_, case) = cases().find(|(_, case)| !expected_after(case).extents().is_empty()).ok_or("no case")?;
    let dir = tempfile::tempdir()?;
    resized(&case, dir.path())?;
    let mut content = expected_after(&case);
    let last = *content.extents().last().ok_or("no data")?;
    content.fill(last.offset + last.len - 1, 1, last.byte ^ 1);
    match compare(dir.path(), &content) {
        Err(e) if e.contains("and not") => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// Makes the case's image in `dir` and has instar resize it.
fn resized(case: &Case, dir: &Path) -> Result<(), Failed> {
    let tools = Tools { qemu_img: Tool::new("qemu-img"), qemu_io: Tool::new("qemu-io") };
    std::fs::rename(build(&case.fixture, dir, &tools)?, dir.join(IMAGE))?;
    for resize in &case.resizes {
        let mut instar = Command::new(env!("CARGO_BIN_EXE_oracle"));
        instar.args(["__instar", "resize", "--engine", "in-process"]);
        let output = instar.args(resize_args(&case.fixture.format, resize)).current_dir(dir).output()?;
        if !output.status.success() {
            return Err(format!("{}\n{}", String::from_utf8_lossy(&output.stderr), case.to_json()).into());
        }
    }
    Ok(())
}

/// Exports the image in `dir` and reads it.
fn compare(dir: &Path, content: &Content) -> Result<(), String> {
    let server = Server::start(dir).map_err(|e| e.to_string())?;
    let mut client = server.client().map_err(|e| e.to_string())?;
    if client.size != content.size() {
        return Err(format!("{} bytes exported, {} expected", client.size, content.size()));
    }
    for (at, len) in windows(content) {
        let len = usize::try_from(len).map_err(|e| e.to_string())?;
        let (mut got, mut want) = (vec![0xff; len], vec![0; len]);
        client.read(at, &mut got).map_err(|e| e.to_string())?;
        content.read(at, &mut want);
        if let Some(i) = (0..len).find(|i| got.get(*i) != want.get(*i)) {
            return Err(format!("byte {} is {} and not {}", at + i as u64, got[i], want[i]));
        }
    }
    client.disconnect().map_err(|e| e.to_string())
}

/// Every extent with what surrounds it, and both ends of the disk, in whole sectors and pieces of a mebibyte.
fn windows(content: &Content) -> Vec<(u64, u64)> {
    let size = content.size();
    let mut points = vec![(0, 0), (size, size)];
    points.extend(content.extents().iter().map(|e| (e.offset, e.offset + e.len)));
    let piece = |(start, end): (u64, u64)| {
        let (start, end) = (start.saturating_sub(WINDOW) / 512 * 512, (end + WINDOW).min(size));
        (start..end).step_by(1 << 20).map(move |at| (at, (end - at).min(1 << 20)))
    };
    points.into_iter().flat_map(piece).collect()
}

/// A qemu-nbd that serves one client.
struct Server {
    child: Child,
    socket: PathBuf,
}

impl Server {
    fn start(dir: &Path) -> std::io::Result<Self> {
        let socket = dir.join("nbd.sock");
        let mut command = Command::new("qemu-nbd");
        command.args(["--read-only", "--format=qcow2", "--socket"]).arg(&socket).arg(IMAGE);
        let child = command.current_dir(dir).stdin(Stdio::null()).spawn()?;
        Ok(Self { child, socket })
    }

    fn client(&self) -> std::io::Result<Client> {
        let end = Instant::now() + START;
        loop {
            match Client::connect(&self.socket) {
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                result => return result,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when its client leaves; one that did not come, or had enough, must not keep it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
