//! Lines on the standard streams. Standard output belongs to results, standard error to the rest.

use crate::error::CliError;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;

/// The name that messages begin with.
#[derive(Debug, Clone)]
pub struct Program(String);

impl Program {
    /// The last component of the program's own name, `instar` for none.
    #[must_use]
    pub fn new(arg0: Option<&OsString>) -> Self {
        let name = arg0.and_then(|a| Path::new(a).file_name());
        Self(name.map_or_else(|| "instar".to_owned(), shown))
    }

    /// The name itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Puts an error on standard error.
    pub fn error(&self, error: &CliError) {
        to_stderr(&format!("{}: {error}", self.0));
        if let Some(outcome) = error.outcome() {
            to_stderr(&format!("{}: {outcome}", self.0));
        }
        if let Some(warning) = error.warning() {
            self.warning(warning);
        }
    }

    /// Puts an error of usage on standard error, with a line that says where help is.
    pub fn usage_error(&self, command: Option<&str>, text: &str) {
        to_stderr(&format!("{}: {text}", self.0));
        self.hint(command);
    }

    /// The same of words that are no options, with the command before it.
    pub fn option_error(&self, command: Option<&str>, text: &str) {
        let own = command.map(|c| format!(" {c}")).unwrap_or_default();
        to_stderr(&format!("{}{own}: {text}", self.0));
        self.hint(command);
    }

    fn hint(&self, command: Option<&str>) {
        let command = command.map(|c| format!(" {c}")).unwrap_or_default();
        to_stderr(&format!("Try '{}{command} --help' for more information", self.0));
    }

    /// Puts a warning on standard error.
    pub fn warning(&self, text: &str) {
        to_stderr(&format!("{}: warning: {text}", self.0));
    }
}

/// Puts a line on standard error. That this fails is nothing that could be told anybody.
pub fn to_stderr(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Puts text on standard output as it is.
///
/// # Errors
/// [`CliError::Output`] if it cannot be written. A reader that has gone away is no error: it has
/// what it wanted.
pub fn to_stdout(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(e)),
        _ => Ok(()),
    }
}

/// The kernel's text for an error, without the number that Rust appends.
#[must_use]
pub fn errno_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A file name for a message: one line, nothing that a terminal would obey.
#[must_use]
pub fn shown(name: &OsStr) -> String {
    printable(&name.to_string_lossy())
}

/// Text for a terminal: control characters become escapes. Images choose some of what is shown.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.push_str(&format!("\\x{:02x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_name_is_the_last_component() {
        let name = |s: &str| Program::new(Some(&OsString::from(s))).0;
        assert_eq!(name("/usr/local/bin/qemu-img"), "qemu-img");
        assert_eq!(name("instar"), "instar");
        assert_eq!(Program::new(None).0, "instar");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc\u{9b}"), "a\\x1b[31mb\\x0ac\\x9b");
    }

    #[test]
    fn errno_text_has_no_number() {
        let e = io::Error::from_raw_os_error(libc::ENOSPC);
        assert_eq!(errno_text(&e), "No space left on device");
    }
}
