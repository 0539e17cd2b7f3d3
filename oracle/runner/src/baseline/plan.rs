//! Where each version that was asked for is to be had: here, or from a baseline.

use crate::archive::Archive;
use crate::args::{Common, Source};
use anyhow::{Result, anyhow};
use oracle_baseline::{Label, Store};
use std::collections::BTreeSet;

/// The versions that are asked for and that are compared with from baselines.
pub struct Plan {
    /// What the baselines have.
    pub store: Store,
    /// Words that the archive knows.
    pub live: Vec<String>,
    /// Versions whose stored answers are used.
    pub stored: BTreeSet<Label>,
    /// Whether the matrix is asked of the versions that are here, too.
    pub matrix: bool,
}

impl Plan {
    /// Finds out where each version that `args` asks for is to be had.
    ///
    /// # Errors
    /// There is no such version, or the baselines cannot be read.
    pub fn of(args: &Common) -> Result<Self> {
        let archive = Archive::at(args.archive.as_deref())?;
        let store = Store::load(&args.baselines)?;
        let mut plan = Self { store, live: Vec::new(), stored: BTreeSet::new(), matrix: args.matrix };
        for word in &args.qemu {
            match word.as_str() {
                "live" => plan.live.push("all".into()),
                "all" => plan.add_all(&archive, args.from)?,
                word => plan.add(&archive, args.from, word)?,
            }
        }
        Ok(plan)
    }

    fn add_all(&mut self, archive: &Archive, from: Source) -> Result<()> {
        let here = archive.entries()?.into_iter().map(|entry| Label::from(entry.version));
        let here: BTreeSet<Label> = here.collect();
        if from != Source::Baseline && !here.is_empty() {
            self.live.push("all".into());
        }
        if from != Source::Live {
            let labels = self.store.labels().into_iter();
            let other = |label: &Label| from == Source::Baseline || !here.contains(label);
            self.stored.extend(labels.filter(other));
        }
        Ok(())
    }

    fn add(&mut self, archive: &Archive, from: Source, word: &str) -> Result<()> {
        let live = archive.select(word);
        match (from, live, self.store.select(word)) {
            (Source::Auto | Source::Live, Ok(_), _) => self.live.push(word.into()),
            (Source::Auto | Source::Baseline, _, Some(label)) => {
                self.stored.insert(label);
            }
            (Source::Baseline, _, None) => {
                return Err(anyhow!("no baseline has answers of qemu-img {word}; {}", self.known()));
            }
            (_, Err(e), _) => return Err(anyhow!("{e:#}; {}", self.known())),
        }
        Ok(())
    }

    fn known(&self) -> String {
        let labels: Vec<String> = self.store.labels().iter().map(ToString::to_string).collect();
        format!("the baselines have {}", if labels.is_empty() { "none".into() } else { labels.join(", ") })
    }

    /// What is used of the baselines, for people.
    pub fn notes(&self) -> Vec<String> {
        self.stored
            .iter()
            .map(|label| {
                let cases = self.store.entries().filter(|entry| entry.outcome(label).is_some()).count();
                format!("qemu-img {label:<9} from its baseline of {cases} cases")
            })
            .collect()
    }
}
