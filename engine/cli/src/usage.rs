//! From words to a command: clap's findings in the words of `qemu-img`.

use crate::args::{Cli, Command};
use crate::argv::{expand, possibilities, split_decrement};
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
        /// How that is told.
        told: Told,
    },
}

/// How an error of usage is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// With the command before it and a line that says where help is: words that are no options of it.
    ByCommand,
    /// With that line.
    WithHelp,
    /// Alone: a value that means nothing.
    Alone,
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
        return Request::Error { command: None, text, told: Told::WithHelp };
    }
    let rest = words.split_off(1.min(words.len()));
    words.extend(match cli.find_subcommand(name) {
        Some(command) => expand(command, rest),
        None => rest,
    });
    let mut decrement = None;
    if let Some(resize) = cli.find_subcommand("resize").filter(|_| name == "resize") {
        let rest = words.split_off(1);
        let (rest, found) = split_decrement(resize, rest);
        words.extend(rest);
        decrement = found;
    }
    let known = cli.find_subcommand(name).map(|_| name.to_owned());
    let all = std::iter::once(OsString::from("instar")).chain(words.clone());
    let parsed = cli.try_get_matches_from_mut(all).and_then(|m| Cli::from_arg_matches(&m));
    match parsed {
        Ok(cli) => Request::Run(Box::new(cli.command), decrement),
        Err(e) => from_clap(&e, known, &words),
    }
}

fn from_clap(error: &clap::Error, command: Option<String>, words: &[OsString]) -> Request {
    if error.kind() == ErrorKind::DisplayVersion {
        return Request::Version;
    }
    if error.kind() == ErrorKind::DisplayHelp {
        return Request::Text(error.render().to_string());
    }
    let (text, told) = match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            ("Not enough arguments".to_owned(), Told::WithHelp)
        }
        ErrorKind::InvalidSubcommand => {
            let name = context(error, ContextKind::InvalidSubcommand);
            (format!("Command not found: {name}"), Told::WithHelp)
        }
        ErrorKind::UnknownArgument => {
            (unknown_option(error, command.as_deref().unwrap_or_default()), Told::ByCommand)
        }
        ErrorKind::InvalidValue => invalid_value(error, words),
        ErrorKind::TooManyValues => {
            let option = option_name(error);
            (format!("option '{option}' doesn't allow an argument"), Told::ByCommand)
        }
        _ => (first_line(error), Told::WithHelp),
    };
    Request::Error { command, text, told }
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

fn unknown_option(error: &clap::Error, command: &str) -> String {
    let word = context(error, ContextKind::InvalidArg);
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or_default();
        let all: String = possibilities(command, name).iter().map(|known| format!(" '--{known}'")).collect();
        if !all.is_empty() {
            return format!("option '--{long}' is ambiguous; possibilities:{all}");
        }
        return format!("unrecognized option '--{long}'");
    }
    match word.strip_prefix('-').and_then(|s| s.chars().next()) {
        Some(letter) => format!("invalid option -- '{letter}'"),
        None => format!("Unexpected argument: {word}"),
    }
}

fn invalid_value(error: &clap::Error, words: &[OsString]) -> (String, Told) {
    let option = option_name(error);
    let value = context(error, ContextKind::InvalidValue);
    match (option.as_str(), value.as_str()) {
        (_, "") if !is_given_empty(words, &option) => (missing_value(&option, words), Told::ByCommand),
        ("--output", v) => (format!("--output expects 'human' or 'json' not '{v}'"), Told::WithHelp),
        ("--engine", v) => (format!("--engine expects 'kvm' or 'in-process' not '{v}'"), Told::WithHelp),
        ("--preallocation", v) => (format!("Invalid preallocation mode '{v}'"), Told::Alone),
        (o, v) => (format!("invalid value '{v}' for {o}"), Told::WithHelp),
    }
}

/// Whether the long `option` has an empty value, and not none.
fn is_given_empty(words: &[OsString], option: &str) -> bool {
    let mut words = words.iter().map(|word| word.to_string_lossy()).peekable();
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((&*word, None), |(name, value)| (name, Some(value)));
        let next = || words.peek().is_some_and(|next| next.is_empty());
        if name == option && value.map_or_else(next, str::is_empty) {
            return true;
        }
    }
    false
}

/// What is said of an option at the end that lacks its value.
fn missing_value(option: &str, words: &[OsString]) -> String {
    let last = words.last().map(|word| word.to_string_lossy()).unwrap_or_default();
    match last.chars().next_back().filter(|_| last.starts_with('-') && !last.starts_with("--")) {
        Some(letter) => format!("option requires an argument -- '{}'", printable(&letter.to_string())),
        None => format!("option '{option}' requires an argument"),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    printable(line.strip_prefix("error: ").unwrap_or(line))
}
