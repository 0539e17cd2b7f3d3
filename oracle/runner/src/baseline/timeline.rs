//! `oracle baseline timeline`.

use anyhow::Result;
use clap::Args;
use oracle_baseline::{Label, Store, changes};
use oracle_judge::text::Difference;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

/// Characters of a value that are shown.
const MAX_VALUE: usize = 60;

/// What to show of the timeline.
#[derive(Debug, Args)]
pub struct TimelineArgs {
    /// Only cases of this format; may be repeated.
    #[arg(long, value_name = "FORMAT")]
    format: Vec<String>,
    /// One line for every case, instead of one example for all cases with the same change.
    #[arg(long)]
    cases: bool,
}

/// A change of one field in one release, in one format.
type Key = (Label, String, String);

/// The cases that show it, each with its values.
type Shown = BTreeMap<String, String>;

/// Prints at which release which field of which answers changed.
pub fn timeline(dir: &Path, args: &TimelineArgs) -> Result<ExitCode> {
    let store = Store::load(dir)?;
    let mut found: BTreeMap<Key, Shown> = BTreeMap::new();
    for entry in store.entries().filter(|e| args.format.is_empty() || args.format.contains(&e.case.format)) {
        for change in changes(entry) {
            for difference in &change.differences {
                let key = (change.to.clone(), entry.case.format.clone(), difference.path.clone());
                let shown = found.entry(key).or_default();
                shown.entry(entry.case.name()).or_insert_with(|| values(difference));
            }
        }
    }
    let releases: BTreeSet<&Label> = found.keys().map(|(label, ..)| label).collect();
    for release in releases {
        println!("{release}");
        for ((_, format, path), cases) in found.iter().filter(|((label, ..), _)| label == release) {
            print(format, path, cases, args.cases);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(format: &str, path: &str, cases: &Shown, all: bool) {
    let count = cases.len();
    for (name, values) in cases.iter().take(if all { count } else { 1 }) {
        let how_many = if all || count == 1 { String::new() } else { format!(" in {count} cases, such as") };
        println!("  {format:<10}{path}:{how_many} {name}: {values}");
    }
}

fn values(difference: &Difference) -> String {
    let show = |value: &Option<serde_json::Value>| {
        let text = value.as_ref().map_or("nothing".into(), ToString::to_string);
        match text.char_indices().nth(MAX_VALUE) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    };
    format!("{} -> {}", show(&difference.left), show(&difference.right))
}
