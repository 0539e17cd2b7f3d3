//! From words to a command: clap's findings in the words of `qemu-img`.

use crate::args::{Cli, Command};
use crate::argv::split_decrement;
use crate::message::printable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};
use std::ffi::OsString;

/// Commands of `qemu-img` that `instar` does not have.
const FOREIGN_COMMANDS: [&str; 11] = [
    "amend", "bench", "bitmap", "commit", "compare", "convert", "dd", "map", "measure", "rebase", "snapshot",
];

/// What a command line asks for.
#[derive(Debug)]
pub enum Request {
    /// A command, with the decrement of `resize` that clap does not see.
    Run(Box<Command>, Option<OsString>),
    /// Help, for standard output.
    Text(String),
    /// The version, for standard output.
    Version,
    /// An error of usage, with the command whose help would tell.
    Error {
        /// The command, if one was recognised.
        command: Option<String>,
        /// What is wrong.
        text: String,
    },
}

/// Understands `words`: the program's name and what follows.
pub fn understand(words: impl IntoIterator<Item = OsString>) -> Request {
    let mut words: Vec<OsString> = words.into_iter().skip(1).collect();
    let mut cli = Cli::command();
    cli.build();
    let command = words.first().and_then(|w| w.to_str()).map(str::to_owned);
    let name = command.as_deref().unwrap_or_default();
    if FOREIGN_COMMANDS.contains(&name) {
        let text = format!("Command '{name}' is qemu-img's; instar does not have it");
        return Request::Error { command: None, text };
    }
    let mut decrement = None;
    if let Some(resize) = cli.find_subcommand("resize").filter(|_| name == "resize") {
        let rest = words.split_off(1);
        let (rest, found) = split_decrement(resize, rest);
        words.extend(rest);
        decrement = found;
    }
    let known = cli.find_subcommand(name).map(|_| name.to_owned());
    let all = std::iter::once(OsString::from("instar")).chain(words);
    let parsed = cli.try_get_matches_from_mut(all).and_then(|m| Cli::from_arg_matches(&m));
    match parsed {
        Ok(cli) => Request::Run(Box::new(cli.command), decrement),
        Err(e) => from_clap(&e, known),
    }
}

fn from_clap(error: &clap::Error, command: Option<String>) -> Request {
    if error.kind() == ErrorKind::DisplayVersion {
        return Request::Version;
    }
    if error.kind() == ErrorKind::DisplayHelp {
        return Request::Text(error.render().to_string());
    }
    let text = match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "Not enough arguments".to_owned()
        }
        ErrorKind::InvalidSubcommand => {
            let name = context(error, ContextKind::InvalidSubcommand);
            format!("Command not found: {name}")
        }
        ErrorKind::UnknownArgument => unknown_option(error),
        ErrorKind::InvalidValue => invalid_value(error),
        ErrorKind::TooManyValues => {
            let option = option_name(error);
            format!("option '{option}' doesn't allow an argument")
        }
        _ => first_line(error),
    };
    Request::Error { command, text }
}

fn context(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(s)) => printable(s),
        _ => String::new(),
    }
}

/// The option at fault, without the name of its value.
fn option_name(error: &clap::Error) -> String {
    let text = context(error, ContextKind::InvalidArg);
    let end = text.find([' ', '=']).unwrap_or(text.len());
    text[..end].to_owned()
}

fn unknown_option(error: &clap::Error) -> String {
    let word = context(error, ContextKind::InvalidArg);
    if let Some(long) = word.strip_prefix("--") {
        return format!("unrecognized option '--{long}'");
    }
    match word.strip_prefix('-').and_then(|s| s.chars().next()) {
        Some(letter) => format!("invalid option -- '{letter}'"),
        None => format!("Unexpected argument: {word}"),
    }
}

fn invalid_value(error: &clap::Error) -> String {
    let option = option_name(error);
    let value = context(error, ContextKind::InvalidValue);
    match (option.as_str(), value.as_str()) {
        (_, "") => format!("option '{option}' requires an argument"),
        ("--output", v) => format!("--output expects 'human' or 'json' not '{v}'"),
        ("--engine", v) => format!("--engine expects 'kvm' or 'in-process' not '{v}'"),
        ("--preallocation", v) => format!("Invalid preallocation mode '{v}'"),
        (o, v) => format!("invalid value '{v}' for {o}"),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    printable(line.strip_prefix("error: ").unwrap_or(line))
}
