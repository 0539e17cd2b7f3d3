//! The part of the grammar that clap cannot express: options cut short, and a SIZE of `resize` that begins with `-`.
//!
//! As in `qemu-img`, `-` followed by a digit is a decrement if FILE came before it; no option of
//! `resize` begins with a digit, so options may stand between the two. Before FILE it is an error,
//! and after `--` every word is an operand anyway.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt as _};

/// The long options of `qemu-img`'s commands that `instar` has, too. One of them may be cut short as there, whatever
/// other options `instar` has that begin alike. Their order is that in which `qemu-img` tells which it might have been.
const LONG: &[(&str, &[&str])] = &[
    ("resize", &["help", "format", "object", "image-opts", "preallocation", "shrink", "quiet"]),
    ("info", &["help", "format", "output", "backing-chain", "object", "image-opts", "force-share"]),
    (
        "check",
        &["help", "format", "cache", "repair", "output", "object", "image-opts", "force-share", "quiet"],
    ),
    (
        "create",
        &["help", "format", "object", "backing", "backing-format", "backing-unsafe", "options", "quiet"],
    ),
];

fn known(command: &str) -> &'static [&'static str] {
    LONG.iter().find(|(name, _)| *name == command).map_or(&[], |(_, known)| known)
}

/// The long options of `command` that `word` might be cut short from, if they are several.
pub fn possibilities(command: &str, word: &str) -> Vec<&'static str> {
    let all: Vec<_> = known(command).iter().copied().filter(|known| known.starts_with(word)).collect();
    if all.len() > 1 { all } else { Vec::new() }
}

/// Spells out long options that are cut short in `words`, which follow the name of `command`.
pub fn expand(command: &clap::Command, words: Vec<OsString>) -> Vec<OsString> {
    let mut out = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let last = word == "--";
        let word = spelled_out(command, &word).unwrap_or(word);
        let value = takes_next_word(command, &word).then(|| words.next());
        out.push(word);
        out.extend(value.flatten());
        if last {
            break;
        }
    }
    out.extend(words);
    out
}

/// The option that `word` is a unique beginning of, with its value.
fn spelled_out(command: &clap::Command, word: &OsStr) -> Option<OsString> {
    let long = word.as_bytes().strip_prefix(b"--").filter(|long| !long.is_empty())?;
    let (name, value) = long.split_at(long.iter().position(|byte| *byte == b'=').unwrap_or(long.len()));
    let is_name = |arg: &clap::Arg| arg.get_long().is_some_and(|long| long.as_bytes() == name);
    let known = known(command.get_name()).iter();
    let mut found = known.filter(|known| known.as_bytes().starts_with(name));
    match (found.next(), found.next()) {
        (Some(only), None) if !command.get_arguments().any(is_name) => {
            Some(OsString::from_vec([b"--", only.as_bytes(), value].concat()))
        }
        _ => None,
    }
}

/// Takes the decrement out of `words` (what follows `resize`), if there is one.
pub fn split_decrement(command: &clap::Command, words: Vec<OsString>) -> (Vec<OsString>, Option<OsString>) {
    let mut rest = Vec::with_capacity(words.len());
    let mut decrement = None;
    let mut seen_file = false;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.push(word);
            break;
        }
        if seen_file && decrement.is_none() && is_decrement(&word) {
            decrement = Some(word);
            continue;
        }
        let value = takes_next_word(command, &word).then(|| words.next());
        seen_file |= !is_option(&word);
        rest.push(word);
        rest.extend(value.flatten());
    }
    rest.extend(words);
    (rest, decrement)
}

fn is_option(word: &OsStr) -> bool {
    matches!(word.as_bytes(), [b'-', _, ..])
}

fn is_decrement(word: &OsStr) -> bool {
    matches!(word.as_bytes(), [b'-', b'0'..=b'9', ..])
}

/// Whether `word` is an option whose value is the word after it.
fn takes_next_word(command: &clap::Command, word: &OsStr) -> bool {
    let Some(word) = word.to_str() else {
        return false;
    };
    if let Some(long) = word.strip_prefix("--") {
        return long_takes_value(command, long);
    }
    let Some(cluster) = word.strip_prefix('-') else {
        return false;
    };
    // In a cluster the first option with a value takes what is left of the word, if anything is.
    match cluster.char_indices().find(|&(_, c)| short_takes_value(command, c)) {
        Some((at, c)) => at + c.len_utf8() == cluster.len(),
        None => false,
    }
}

fn short_takes_value(command: &clap::Command, short: char) -> bool {
    let mut args = command.get_arguments();
    args.any(|a| a.get_short() == Some(short) && a.get_action().takes_values())
}

/// An unambiguous beginning of a long option is that option.
fn long_takes_value(command: &clap::Command, long: &str) -> bool {
    if long.contains('=') {
        return false;
    }
    let mut found = command.get_arguments().filter(|a| a.get_long().is_some_and(|l| l.starts_with(long)));
    match (found.next(), found.next()) {
        (Some(only), None) => only.get_action().takes_values(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::CommandFactory;

    fn split(line: &str) -> (String, Option<String>) {
        let cli = Cli::command();
        let resize = cli.find_subcommand("resize").expect("resize exists");
        let words = line.split(' ').map(OsString::from).collect();
        let (rest, decrement) = split_decrement(resize, words);
        let text = |w: &OsString| w.to_string_lossy().into_owned();
        let rest: Vec<_> = rest.iter().map(text).collect();
        (rest.join(" "), decrement.as_ref().map(text))
    }

    #[test]
    fn a_decrement_follows_the_file() {
        let table = [
            ("a.img -512k", "a.img", Some("-512k")),
            ("--shrink -f raw a.img -5", "--shrink -f raw a.img", Some("-5")),
            ("a.img --shrink -5M", "a.img --shrink", Some("-5M")),
            ("a.img -5M --shrink", "a.img --shrink", Some("-5M")),
            ("-qf raw a.img -5", "-qf raw a.img", Some("-5")),
            ("-fraw a.img -5", "-fraw a.img", Some("-5")),
            ("--form raw a.img -5", "--form raw a.img", Some("-5")),
            ("--format=raw a.img -5", "--format=raw a.img", Some("-5")),
            ("--engine kvm a.img -5 -6", "--engine kvm a.img -6", Some("-5")),
        ];
        for (line, rest, decrement) in table {
            let expected = (rest.to_owned(), decrement.map(str::to_owned));
            assert_eq!(split(line), expected, "{line}");
        }
    }

    #[test]
    fn options_are_cut_short_as_for_qemu_img() {
        let mut cli = Cli::command();
        cli.build();
        let table = [
            ("resize", "--s --o secret,id=s a.img", "--shrink --object secret,id=s a.img"),
            ("resize", "--pre=full -- --s", "--preallocation=full -- --s"),
            ("resize", "--f --s a.img", "--format --s a.img"),
            ("resize", "--stats --en kvm", "--stats --en kvm"),
            ("info", "--b a.img", "--backing-chain a.img"),
            ("info", "--backing deny --out json", "--backing deny --output json"),
            ("info", "--f a.img", "--f a.img"),
            ("create", "--o a --back b", "--o a --back b"),
        ];
        for (name, line, expected) in table {
            let words = line.split(' ').map(OsString::from).collect();
            let command = cli.find_subcommand(name).expect(name);
            let words = expand(command, words).join(OsStr::new(" "));
            assert_eq!(words, expected, "{name} {line}");
        }
    }

    #[test]
    fn anything_else_is_left_alone() {
        let table = [
            "a.img 5M",
            "a.img +5M",
            "-5M a.img",
            "--shrink -f raw -- a.img -512k",
            "a.img -- -512k",
            "-f -5 a.img",
            "a.img -f -5",
            "a.img -.5M",
            "a.img -+2M",
            "a.img --5",
            "a.img -",
        ];
        for line in table {
            assert_eq!(split(line), (line.to_owned(), None), "{line}");
        }
    }
}
