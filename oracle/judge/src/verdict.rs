//! What an oracle says.

use serde::Serialize;
use std::fmt;

/// What an oracle says of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing differs that should not.
    Agree,
    /// The oracle has nothing to say here, and why.
    Skip(String),
    /// Something differs: each thing that does, never none.
    Disagree(Vec<Finding>),
}

impl Verdict {
    /// [`Verdict::Skip`].
    pub fn skip(why: impl Into<String>) -> Self {
        Self::Skip(why.into())
    }

    /// [`Verdict::Disagree`] if there is anything to disagree about.
    #[must_use]
    pub fn of(findings: Vec<Finding>) -> Self {
        if findings.is_empty() { Self::Agree } else { Self::Disagree(findings) }
    }
}

/// Which way a resize goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Only larger.
    Grow,
    /// Only smaller.
    Shrink,
    /// Nothing changes size.
    Same,
    /// Larger and smaller, one after the other.
    Mixed,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grow => "grow",
            Self::Shrink => "shrink",
            Self::Same => "same",
            Self::Mixed => "mixed",
        })
    }
}

/// What a finding is grouped by: the same for the same defect on another seed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Class {
    /// The oracle that found it.
    pub oracle: &'static str,
    /// The format of the image.
    pub format: &'static str,
    /// The field or region that differs.
    pub field: String,
    /// Which way the resizes go.
    pub direction: Direction,
    /// How it differs.
    pub kind: Kind,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Two values that should be equal are not.
    Differs,
    /// The number under test is the smaller one.
    Less,
    /// The number under test is the larger one.
    More,
    /// Something is there that should not be.
    Extra,
    /// Something is not there that should be.
    Missing,
    /// A byte was written that should not have been.
    Touched,
    /// Only one side refused.
    OneRefused,
    /// A rule of the format or of the tool is broken.
    Broken,
    /// A tool failed where it should not.
    Failed,
    /// A tool did not end in time.
    TimedOut,
}

impl Kind {
    /// How the same differs with the sides changed over.
    #[must_use]
    pub fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::More => Self::Less,
            Self::Extra => Self::Missing,
            Self::Missing => Self::Extra,
            same => same,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Differs => "differs",
            Self::Less => "less",
            Self::More => "more",
            Self::Extra => "extra",
            Self::Missing => "missing",
            Self::Touched => "touched",
            Self::OneRefused => "one-refused",
            Self::Broken => "broken",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
        })
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { oracle, format, field, direction, kind } = self;
        write!(f, "{oracle}/{format}/{field}/{direction}/{kind}")
    }
}

/// A disagreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is grouped by.
    pub class: Class,
    /// One line for a person.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.detail)
    }
}
