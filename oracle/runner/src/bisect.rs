//! `oracle bisect`: the first version whose answer to a case differs from its predecessor's.

use crate::DIVERGED;
use crate::archive::Archive;
use crate::baseline::scratch;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use oracle_baseline::{Case, Entry, Lab, Label, Resizer, Store, changes};
use oracle_case::{FormatOptions, Maker, Preallocation, Tools, WriteKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `bisect`.
#[derive(Debug, Args)]
pub struct BisectArgs {
    /// The case: a file as `baselines/` or `compare` have it, or the key of a baseline's case.
    case: String,
    /// Where the baselines are.
    #[arg(long, value_name = "DIR", default_value = "baselines")]
    baselines: PathBuf,
    /// Where the archived versions of qemu-img are.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
}

/// Asks every version that is here, takes the stored answers of the others, and names each version that answers
/// otherwise than the one before it. The exit code is 1 if there is one.
///
/// # Errors
/// There is no such case, or a version could not be asked.
pub fn bisect(args: &BisectArgs) -> Result<ExitCode> {
    let store = Store::load(&args.baselines)?;
    let case = find(&args.case, &store)?;
    println!("{} {}", case.key(), case.name());
    let mut all = Store::default();
    for answer in store.entry(&case).into_iter().flat_map(|entry| &entry.answers) {
        for label in &answer.versions {
            all.set(&case, label.clone(), answer.outcome.clone());
        }
    }
    for entry in Archive::at(args.archive.as_deref())?.entries()? {
        if let Some(qemu_io) = entry.qemu_io {
            let tools = Tools { qemu_img: entry.qemu_img, qemu_io };
            let lab = Lab { tools, resizer: Resizer::Maker, place: scratch() };
            all.set(&case, Label::from(entry.version), lab.run(&case, &[])?);
        }
    }
    let asked = all.entry(&case).context("no version can be asked")?;
    Ok(tell(asked))
}

fn tell(entry: &Entry) -> ExitCode {
    let changes = changes(entry);
    let mut labels: Vec<&Label> = entry.answers.iter().flat_map(|answer| &answer.versions).collect();
    labels.sort();
    let labels: Vec<String> = labels.into_iter().map(ToString::to_string).collect();
    println!("asked: {}", labels.join(" "));
    for (i, change) in changes.iter().enumerate() {
        let word = if i == 0 { "first changed by" } else { "then by" };
        println!("{word} {} (not {}):", change.to, change.from);
        for difference in &change.differences {
            println!(
                "  {}: {}",
                difference.path,
                difference.values().replace(" here, ", " before, ").replace("there", "now")
            );
        }
    }
    if changes.is_empty() {
        println!("every version answers the same");
        return ExitCode::SUCCESS;
    }
    ExitCode::from(DIVERGED)
}

fn find(word: &str, store: &Store) -> Result<Case> {
    if let Some(entry) = store.entries().find(|entry| entry.case.key() == word) {
        return Ok(entry.case.clone());
    }
    let text = std::fs::read_to_string(Path::new(word)).with_context(|| word.to_string())?;
    if let Ok(case) = serde_json::from_str(&text) {
        return Ok(case);
    }
    converted(&oracle_case::Case::from_json(&text).with_context(|| word.to_string())?)
}

/// A case of `compare` in the words of baselines, if qemu-img alone can make its image.
fn converted(case: &oracle_case::Case) -> Result<Case> {
    let fixture = &case.fixture;
    if fixture.maker == Maker::Own || !fixture.tweaks.is_empty() {
        bail!("no qemu-img makes this case's image: only cases without tweaks can be put to every version");
    }
    if fixture.format.is_encrypted() {
        bail!("baselines have no passphrase");
    }
    if fixture.writes.iter().any(|write| write.kind != WriteKind::Data) {
        bail!("the case has writes of other kinds than data");
    }
    let mut options = BTreeMap::new();
    if let FormatOptions::Qcow2(qcow2) = &fixture.format {
        let words = qcow2.create_options();
        let pairs = words.split(',').filter_map(|word| word.split_once('='));
        options.extend(pairs.map(|(key, value)| (key.to_string(), value.to_string())));
    }
    let writes = fixture.writes.iter().map(|write| (write.pattern, write.offset, write.len));
    let resizes: Result<_> = case.resizes.iter().map(resize).collect();
    Ok(Case {
        format: fixture.format.name().into(),
        options,
        resizes: resizes?,
        setup: Vec::new(),
        start: fixture.size,
        writes: writes.collect(),
    })
}

fn resize(resize: &oracle_case::Resize) -> Result<oracle_baseline::Resize> {
    let mut flags = Vec::new();
    if resize.preallocation != Preallocation::Off {
        let mode = serde_json::to_value(resize.preallocation)?;
        let mode = mode.as_str().ok_or_else(|| anyhow!("a mode without a name"))?.to_string();
        flags.push(format!("--preallocation={mode}"));
    }
    if resize.shrink {
        flags.push("--shrink".into());
    }
    Ok(oracle_baseline::Resize { flags, size: resize.size.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_of_compare_is_put_in_the_words_of_baselines() {
        let text = r#"{"fixture": {"size": 1048576, "format": {"qcow2": {"version": 2, "cluster_bits": 16,
            "refcount_bits": 16}}}, "resizes": [{"size": "+1M", "shrink": true, "preallocation": "falloc"}]}"#;
        let case = converted(&oracle_case::Case::from_json(text).unwrap()).unwrap();
        let name = "qcow2[cluster_size=65536,compat=0.10,refcount_bits=16] 1048576 -> +1M--preallocation=falloc--shrink";
        assert_eq!(case.name(), name);
        let own = text.replace(r#""size": 1048576,"#, r#""size": 1048576, "maker": "own","#);
        assert!(converted(&oracle_case::Case::from_json(&own).unwrap()).is_err());
    }
}
