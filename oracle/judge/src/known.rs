//! The divergences that are known, each with its reason and a case that shows it.

use crate::verdict::{Class, Direction, Kind};
use crate::{JudgeError, Version};
use oracle_case::Case;
use serde::Deserialize;

/// One known divergence.
#[derive(Debug, Clone)]
pub struct Known {
    /// What it is called.
    pub id: String,
    /// Why it is right to diverge, or why it cannot be helped.
    pub reason: String,
    /// The case that shows it.
    pub case: Case,
    scopes: Vec<Scope>,
}

/// What an entry excuses; every key that is given must match.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Scope {
    oracle: String,
    format: String,
    fields: Vec<String>,
    directions: Vec<Direction>,
    kinds: Vec<Kind>,
    /// The oldest version concerned.
    from: Option<Version>,
    /// The first version no longer concerned.
    before: Option<Version>,
    /// What the case must have.
    #[serde(default)]
    when: Vec<Predicate>,
}

/// Something that a case has or has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Predicate {
    /// A resize without `-f`, so that the format is probed.
    Probed,
    /// Clusters below 64 KiB or refcounts that are not 16 bits: tables move when they grow.
    UnusualGeometry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    known: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    reason: String,
    scope: Vec<Scope>,
}

/// The committed case of every entry, by id.
const CASES: &[(&str, &str)] = &[];

/// The list.
///
/// # Errors
/// [`JudgeError::Known`] if it does not say what it should.
pub fn known() -> Result<Vec<Known>, JudgeError> {
    let bad = |e: String| JudgeError::Known(e);
    let file: File = toml::from_str(include_str!("known.toml")).map_err(|e| bad(e.to_string()))?;
    let with_case = |entry: Entry| {
        let text = CASES.iter().find(|(id, _)| *id == entry.id).map(|(_, text)| text);
        let text = text.ok_or_else(|| bad(format!("{} has no case", entry.id)))?;
        let case = serde_json::from_str(text).map_err(|e| bad(format!("{}: {e}", entry.id)))?;
        Ok(Known { id: entry.id, reason: entry.reason, case, scopes: entry.scope })
    };
    file.known.into_iter().map(with_case).collect()
}

impl Known {
    /// Whether this entry excuses a finding of that class in `case`, against a qemu-img of `version`
    /// where one is involved.
    #[must_use]
    pub fn excuses(&self, class: &Class, case: &Case, version: Option<&Version>) -> bool {
        self.scopes.iter().any(|scope| scope.matches(class, case, version))
    }

    /// Whether any of these versions is one that this entry speaks of.
    #[must_use]
    pub fn concerns(&self, versions: &[&Version]) -> bool {
        self.scopes.iter().any(|scope| versions.iter().any(|v| scope.covers(Some(v))))
    }
}

impl Scope {
    fn matches(&self, class: &Class, case: &Case, version: Option<&Version>) -> bool {
        self.oracle == class.oracle
            && self.format == class.format
            && self.fields.contains(&class.field)
            && self.directions.contains(&class.direction)
            && self.kinds.contains(&class.kind)
            && self.covers(version)
            && self.when.iter().all(|predicate| predicate.holds(case))
    }

    fn covers(&self, version: Option<&Version>) -> bool {
        let Some(version) = version else {
            return self.from.is_none() && self.before.is_none();
        };
        self.from.as_ref().is_none_or(|from| version >= from)
            && self.before.as_ref().is_none_or(|before| version < before)
    }
}

impl Predicate {
    fn holds(self, case: &Case) -> bool {
        match self {
            Self::Probed => case.resizes.iter().any(|r| !r.name_format),
            Self::UnusualGeometry => {
                case.fixture.format.qcow2().is_some_and(|q| q.cluster_bits < 16 || q.refcount_bits != 16)
            }
        }
    }
}
