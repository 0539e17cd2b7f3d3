//! The divergences that are known, each with its reason and a case that shows it.

use crate::subject::{Family, Subject};
use crate::verdict::{Class, Direction, Kind};
use crate::{JudgeError, Version};
use oracle_case::{Case, Outcome, Preallocation, Refusal, Tweak, WriteKind, expected_steps};
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
    /// The fixture has an autoclear feature bit that nobody knows.
    UnknownAutoclear,
    /// The fixture has compressed clusters.
    Compressed,
    /// The image has extended L2 entries.
    ExtendedL2,
    /// A resize asks for `metadata`.
    Metadata,
    /// The fixture has bitmaps.
    Bitmaps,
    /// The fixture has internal snapshots.
    Snapshots,
    /// The fixture has the dirty bit.
    Dirty,
    /// A resize preallocates, or has to because the data file is a raw one.
    Preallocated,
    /// A grow of a version 2 image over a longer backing file must be refused.
    RefusedOverBacking,
    /// The image grows in front of a longer backing file.
    OverLongerBacking,
    /// The file is longer than its clusters.
    TrailingBytes,
    /// The image is encrypted.
    Encrypted,
    /// Zeros were written to it by metadata.
    Zeros,
    /// The image has lazy refcounts.
    LazyRefcounts,
    /// A new L1 table needs more refcount blocks than a refcount table of one cluster names.
    NewRefcountTable,
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

macro_rules! case {
    ($id:literal) => {
        ($id, include_str!(concat!("../../../corpus/cases/known/", $id, ".json")))
    };
}

/// The committed case of every entry, by id.
const CASES: &[(&str, &str)] = &[
    case!("shrink-leaves-no-empty-tables"),
    case!("shrink-moves-no-refcount-table"),
    case!("boundary-tail-is-zero"),
    case!("compressed-boundary-is-unpacked"),
    case!("compressed-edge-stays"),
    case!("compressed-edge-of-subclusters"),
    case!("zero-edge-stays"),
    case!("reused-clusters-are-zero"),
    case!("bitmaps-stay-where-they-are"),
    case!("copies-come-first"),
    case!("preallocated-clusters-lie-elsewhere"),
    case!("new-tables-lie-together"),
    case!("repairs-lie-behind"),
    case!("encrypted-tail-is-noise"),
    case!("encrypted-growth-is-noise"),
    case!("encrypted-edge-has-no-place"),
    case!("preallocation-beside-trailing-bytes"),
    case!("new-refcount-table-is-no-longer"),
    case!("refused-grow-leaves-nothing"),
    case!("no-change-writes-nothing"),
    case!("header-is-patched"),
];

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

    /// Whether this entry excuses a finding of that class between two subjects. Entries speak of an
    /// instar on the left and a qemu-img on the right; with the sides changed over a finding is read
    /// the other way round, and between any others nothing is excused.
    #[must_use]
    pub fn excuses_between(
        &self,
        class: &Class,
        case: &Case,
        left: &dyn Subject,
        right: &dyn Subject,
    ) -> bool {
        match (left.family(), right.family()) {
            (Family::Instar, Family::Qemu) => self.excuses(class, case, right.version()),
            (Family::Qemu, Family::Instar) => {
                let mirrored = Class { kind: class.kind.mirrored(), ..class.clone() };
                self.excuses(&mirrored, case, left.version())
            }
            _ => false,
        }
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
            Self::UnknownAutoclear => {
                let tweaks = &case.fixture.tweaks;
                tweaks.iter().any(|tweak| matches!(tweak, Tweak::AutoclearBit { .. }))
            }
            Self::Metadata => {
                case.resizes.iter().any(|resize| resize.preallocation == Preallocation::Metadata)
            }
            Self::Bitmaps => !case.fixture.bitmaps.is_empty(),
            Self::Snapshots => !case.fixture.snapshots.is_empty(),
            Self::Zeros => {
                let zeros = |kind| matches!(kind, WriteKind::Zero | WriteKind::Unmap);
                case.fixture.writes.iter().any(|write| zeros(write.kind))
            }
            Self::Encrypted => case.fixture.format.is_encrypted(),
            Self::ExtendedL2 => case.fixture.format.qcow2().is_some_and(|q| q.extended_l2),
            Self::LazyRefcounts => case.fixture.format.qcow2().is_some_and(|q| q.lazy_refcounts),
            Self::NewRefcountTable => case.features().contains("grow-refcount-table"),
            Self::OverLongerBacking => grows_over_longer_backing(case),
            Self::TrailingBytes => {
                let tweaks = &case.fixture.tweaks;
                tweaks.iter().any(|tweak| matches!(tweak, Tweak::TrailingBytes { .. }))
            }
            Self::Dirty => case.fixture.tweaks.iter().any(|tweak| matches!(tweak, Tweak::Dirty { .. })),
            Self::Preallocated => {
                let raw = case.fixture.data_file.is_some_and(|file| file.raw);
                raw || case.resizes.iter().any(|resize| resize.preallocation != Preallocation::Off)
            }
            Self::RefusedOverBacking => {
                let refused = Outcome::Refused(Refusal::ZeroClusters);
                expected_steps(case).iter().any(|step| step.outcome == refused)
            }
            Self::Compressed => case.fixture.writes.iter().any(|write| write.kind == WriteKind::Compressed),
        }
    }
}

/// Whether a resize of `case` makes the disk longer that is shorter than what is behind it.
fn grows_over_longer_backing(case: &Case) -> bool {
    let Some(backing) = &case.fixture.backing else { return false };
    let steps = expected_steps(case);
    let sizes = std::iter::once(case.fixture.size).chain(steps.iter().map(|step| step.content.size()));
    let sizes: Vec<u64> = sizes.collect();
    sizes.windows(2).any(|pair| pair[0] < pair[1] && pair[0] < backing.virtual_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_case_and_every_case_an_entry() {
        let known = known().unwrap();
        for (id, _) in CASES {
            assert!(known.iter().any(|entry| entry.id == *id), "{id} has no entry");
        }
        assert_eq!(known.len(), CASES.len());
    }

    #[test]
    fn the_document_lists_what_the_list_does() {
        let document = include_str!("../../../docs/divergences.md");
        let headings = document.lines().filter_map(|line| line.strip_prefix("## "));
        let documented: Vec<&str> = headings.collect();
        let known = known().unwrap();
        let listed: Vec<&str> = known.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(documented, listed);
    }

    #[test]
    fn an_entry_excuses_nothing_beside_what_it_says() {
        let known = known().unwrap();
        let entry = known.iter().find(|k| k.id == "shrink-leaves-no-empty-tables").unwrap();
        let class = |kind| Class {
            oracle: "check",
            format: "qcow2",
            field: "image-end-offset".into(),
            direction: Direction::Shrink,
            kind,
        };
        assert!(entry.excuses(&class(Kind::Less), &entry.case, None));
        assert!(!entry.excuses(&class(Kind::More), &entry.case, None));
        let grow = Class { direction: Direction::Grow, ..class(Kind::Less) };
        assert!(!entry.excuses(&grow, &entry.case, None));
    }
}
