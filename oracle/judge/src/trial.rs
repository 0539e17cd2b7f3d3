//! What is put before an oracle.

use crate::verdict::{Class, Direction, Finding, Kind};
use crate::{Desk, Record, State, Subject};
use oracle_case::{Case, Content, FormatOptions, expected_content, expected_steps};

/// Which records an oracle wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// That of one subject under test.
    Alone,
    /// That of a subject under test and that of a reference.
    Pair,
    /// Those of the same program with two engines.
    Engines,
}

/// One case and what came of it.
pub struct Trial<'a> {
    /// The case.
    pub case: &'a Case,
    /// What was expected of each resize.
    pub expected: Vec<oracle_case::Step>,
    /// Which way the case goes.
    pub direction: Direction,
    /// The subject under test.
    pub left: &'a Record<'a>,
    /// What it is compared with, for all scopes but [`Scope::Alone`].
    pub right: Option<&'a Record<'a>>,
    /// Answers questions.
    pub desk: &'a Desk<'a>,
}

impl<'a> Trial<'a> {
    /// A trial of `left`, against `right` if there is one.
    #[must_use]
    pub fn new(
        case: &'a Case,
        left: &'a Record<'a>,
        right: Option<&'a Record<'a>>,
        desk: &'a Desk<'a>,
    ) -> Self {
        let expected = expected_steps(case);
        let direction = direction(case, &expected);
        Self { case, expected, direction, left, right, desk }
    }

    /// The content that the image should have at the end.
    #[must_use]
    pub fn expected_content(&self) -> Content {
        match self.expected.last() {
            Some(step) => step.content.clone(),
            None => expected_content(&self.case.fixture),
        }
    }

    /// Name of the image's format.
    #[must_use]
    pub fn format(&self) -> &'static str {
        self.case.fixture.format.name()
    }

    /// Whether the image is a qcow2 image.
    #[must_use]
    pub fn is_qcow2(&self) -> bool {
        matches!(self.case.fixture.format, FormatOptions::Qcow2(_))
    }

    /// Both images at the end, if there are two.
    #[must_use]
    pub fn last_states(&self) -> Option<(&'a State, &'a State)> {
        Some((self.left.last(), self.right?.last()))
    }

    /// Who reads both images of a pair.
    #[must_use]
    pub fn reader(&self) -> Option<&'a dyn Subject> {
        self.desk.reader(self.right?.subject)
    }

    /// Names of the subjects, for a person.
    #[must_use]
    pub fn names(&self) -> (&str, &str) {
        (self.left.subject.name(), self.right.map_or("", |right| right.subject.name()))
    }

    /// A finding of `oracle` in this trial.
    #[must_use]
    pub fn finding(
        &self,
        oracle: &'static str,
        field: impl Into<String>,
        kind: Kind,
        detail: impl Into<String>,
    ) -> Finding {
        Finding {
            class: Class {
                oracle,
                format: self.format(),
                field: field.into(),
                direction: self.direction,
                kind,
            },
            detail: detail.into(),
        }
    }
}

/// Which way the accepted resizes of a case go, all in all.
fn direction(case: &Case, steps: &[oracle_case::Step]) -> Direction {
    let mut size = expected_content(&case.fixture).size();
    let (mut grows, mut shrinks) = (false, false);
    for step in steps {
        grows |= step.content.size() > size;
        shrinks |= step.content.size() < size;
        size = step.content.size();
    }
    match (grows, shrinks) {
        (true, true) => Direction::Mixed,
        (true, false) => Direction::Grow,
        (false, true) => Direction::Shrink,
        (false, false) => Direction::Same,
    }
}
