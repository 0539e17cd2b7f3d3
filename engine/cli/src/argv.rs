//! The part of `resize`'s grammar that clap cannot express: a SIZE that begins with `-`.
//!
//! As in `qemu-img`, `-` followed by a digit is a decrement if FILE came before it; no option of
//! `resize` begins with a digit, so options may stand between the two. Before FILE it is an error,
//! and after `--` every word is an operand anyway.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

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
