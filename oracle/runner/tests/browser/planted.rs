//! A few cases of the committed baselines, in one of which a version is made to have answered otherwise.

use libtest_mimic::Failed;
use oracle_baseline::{Label, Store};
use std::path::{Path, PathBuf};

/// The version; no package provides it, so that it comes from its baseline wherever the test runs.
pub const VERSION: &str = "8.1.0";
/// The class of what instar then seems to do wrong.
pub const CLASS: &str = "baseline-info/raw/info.virtual-size/grow/less";
/// How many cases of each format are kept.
const CASES: usize = 3;

/// The committed baselines.
fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../baselines")
}

/// Every version that the baselines know.
pub fn versions() -> Result<Vec<String>, Failed> {
    Ok(Store::load(&committed())?.labels().iter().map(ToString::to_string).collect())
}

/// Writes the first cases of each format into `into`: by [`VERSION`] the first growing raw file became one byte more.
pub fn baselines(into: &Path) -> Result<(), Failed> {
    let all = Store::load(&committed())?;
    let (mut few, mut planted) = (Store::default(), false);
    let mut count = std::collections::BTreeMap::new();
    for entry in all.entries() {
        let count = count.entry(entry.case.format.clone()).or_insert(0);
        *count += 1;
        if *count > CASES {
            continue;
        }
        for answer in &entry.answers {
            for label in &answer.versions {
                let mut outcome = answer.outcome.clone();
                if !planted && entry.case.format == "raw" && *label == VERSION.parse::<Label>()? {
                    let size = outcome["info"]["virtual-size"].as_u64().ok_or("no size")?;
                    outcome["info"]["virtual-size"] = (size + 1).into();
                    planted = true;
                }
                few.set(&entry.case, label.clone(), outcome);
            }
        }
    }
    few.save(into)?;
    if planted { Ok(()) } else { Err(format!("{VERSION} answers no raw case").into()) }
}
