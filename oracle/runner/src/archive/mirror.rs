//! Which Debian mirror this machine uses, from apt's own source files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

/// Where apt keeps its sources.
const APT: &str = "/etc/apt";

/// The address of the mirror that this machine gets Debian from.
///
/// # Errors
/// No source names one.
pub fn configured() -> Result<String> {
    let mut files = vec![Path::new(APT).join("sources.list")];
    files.extend(parts());
    let mirror = files.iter().find_map(|file| mirror_in(&fs::read_to_string(file).ok()?));
    mirror.ok_or_else(|| {
        anyhow!("no Debian mirror in {APT}/sources.list or {APT}/sources.list.d: name one with --mirror")
    })
}

fn parts() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(APT).join("sources.list.d"));
    let files = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> = files.filter(|file| is_source(file)).collect();
    files.sort();
    files
}

fn is_source(file: &Path) -> bool {
    file.extension().is_some_and(|kind| kind == "list" || kind == "sources")
}

/// The first Debian mirror in a source file of either form.
fn mirror_in(text: &str) -> Option<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(one_line);
    let stanzas = text.split("\n\n").filter_map(stanza);
    lines.chain(stanzas).find(|uri| is_debian(uri))
}

/// `deb [options] URI suite components`
fn one_line(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
    rest.split_whitespace().next().map(str::to_owned)
}

/// A stanza of fields, one of which is `URIs`.
fn stanza(text: &str) -> Option<String> {
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let enabled = field("Enabled").is_none_or(|value| value != "no");
    let binary = field("Types")?.split_whitespace().any(|kind| kind == "deb");
    if !enabled || !binary {
        return None;
    }
    field("URIs")?.split_whitespace().next().map(str::to_owned)
}

/// By convention a mirror holds the archive in a directory of this name; security updates and others have another one.
fn is_debian(uri: &str) -> bool {
    uri.trim_end_matches('/').ends_with("/debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_a_mirror() {
        let stanzas = "Types: deb\nURIs: https://m.example/debian-security\nSuites: x\n\n\
                       Types: deb deb-src\n# a comment\nURIs: https://m.example/debian/\nSuites: x\n";
        assert_eq!(mirror_in(stanzas).as_deref(), Some("https://m.example/debian/"));
        let lines = "# deb https://old.example/debian x main\ndeb [arch=amd64 signed-by=/k] https://n.example/debian x main\n";
        assert_eq!(mirror_in(lines).as_deref(), Some("https://n.example/debian"));
    }

    #[test]
    fn others_are_not_mirrors() {
        for text in [
            "Types: deb\nURIs: https://m.example/node\n",
            "Types: deb-src\nURIs: https://m.example/debian\n",
            "Enabled: no\nTypes: deb\nURIs: https://m.example/debian\n",
            "deb-src https://m.example/debian x main\n",
        ] {
            assert_eq!(mirror_in(text), None, "{text}");
        }
    }
}
