//! Asking a tool for an answer that is kept: none that was cut short.

use crate::BaselineError;
use oracle_case::child::{Ending, Tool};
use oracle_judge::subject::{Ran, run_tool_within};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// How long a tool may take: so much more than the slowest needs that no busy machine makes an answer of it.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs `tool` in `dir` to its end.
///
/// # Errors
/// [`BaselineError::Late`] if it does not end, and [`BaselineError::Judge`] if it cannot be started.
pub fn ask<A: Into<OsString>>(
    tool: &Tool,
    dir: &Path,
    args: impl IntoIterator<Item = A>,
) -> Result<Ran, BaselineError> {
    ask_within(PATIENCE, tool, dir, args)
}

fn ask_within<A: Into<OsString>>(
    patience: Duration,
    tool: &Tool,
    dir: &Path,
    args: impl IntoIterator<Item = A>,
) -> Result<Ran, BaselineError> {
    let ran = run_tool_within(patience, tool, dir, args)?;
    if ran.ending == Ending::TimedOut {
        let program = tool.program.display().to_string();
        return Err(BaselineError::Late { program, seconds: patience.as_secs() });
    }
    Ok(ran)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_end_has_given_no_answer() {
        let shell = Tool::new("/bin/sh");
        let dir = Path::new("/");
        let late = ask_within(Duration::from_millis(50), &shell, dir, ["-c", "echo half; exec sleep 60"]);
        assert!(matches!(late, Err(BaselineError::Late { .. })), "{late:?}");
        let ended = ask(&shell, dir, ["-c", "echo whole; exit 3"]).unwrap();
        assert_eq!((ended.ending, ended.stdout.as_str()), (Ending::Exit(3), "whole\n"));
    }
}
