//! Running the oracle.

use std::io::Result;
use std::path::Path;
use std::process::Command;

/// What a run of the oracle left behind.
pub struct Run {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its report.
    pub stdout: String,
    /// Its complaints.
    pub stderr: String,
}

/// Runs the oracle with what `prepare` gives it. Findings are kept in `dir`, the archive is empty.
pub fn oracle(dir: &Path, prepare: impl FnOnce(&mut Command)) -> Result<Run> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oracle"));
    prepare(&mut command);
    command.arg("--archive").arg(dir.join("archive")).arg("--keep").arg(dir.join("findings"));
    let output = command.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}
