//! Which states a real qemu-img is asked about: it takes as long for one as the rest of the oracle for a hundred.

use std::cmp::Ordering;
use std::mem::{Discriminant, discriminant};
use std::path::Path;
use std::sync::Arc;

use instar_ops::Format;
use oracle_case::Content;
use oracle_case::child::Tool;

use crate::disk::Failure;
use crate::image::Image;
use crate::judge::{Bad, Good, Step};
use crate::opinion::{Expected, second_opinion};
use crate::report::{BadState, Cause};
use crate::states::Part;

/// What kind of state it is: qemu-img is asked about the first of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    format: Discriminant<Format>,
    direction: Ordering,
    made: Made,
    is_new: bool,
    leaks: bool,
    leaks_past_end: bool,
    in_use: bool,
    unclean: bool,
}

/// What was done to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Made {
    /// A crash in the first interval or the last one, or between them, with whole changes only or not.
    Crash(Ordering, bool),
    Fault(Failure),
    End,
}

impl Kind {
    /// The kind of what `cause` left of a resize that flushes `intervals` times.
    #[must_use]
    pub fn of(step: &Step, good: &Good, cause: &Cause, intervals: usize) -> Self {
        let made = match cause {
            Cause::State(state) => {
                let position = match state.interval {
                    0 => Ordering::Less,
                    n if n + 1 < intervals => Ordering::Equal,
                    _ => Ordering::Greater,
                };
                Made::Crash(position, state.arrived.iter().any(|(_, part)| *part != Part::All))
            }
            Cause::Fault { failure, .. } | Cause::GuestFault { failure, .. } => Made::Fault(*failure),
            Cause::End | Cause::Refused | Cause::Engines => Made::End,
        };
        Self {
            format: discriminant(&step.format),
            direction: step.new.cmp(&step.old),
            made,
            is_new: good.is_new,
            leaks: good.leaks > 0,
            leaks_past_end: good.leaks_past_end > 0,
            in_use: good.in_use,
            unclean: good.unclean,
        }
    }
}

/// A good state that a real qemu-img is to be asked about.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its kind.
    pub kind: Kind,
    /// Whether it was drawn, or is only the first of its kind in its case.
    pub drawn: bool,
    pub(crate) resize: usize,
    pub(crate) cause: Cause,
    pub(crate) stem: String,
    pub(crate) image: Image,
    pub(crate) expected: Expected,
    pub(crate) content: Option<Arc<Content>>,
}

impl Question {
    /// Asks `qemu_img` in the empty directory `dir`.
    ///
    /// # Errors
    /// The state is bad in its opinion.
    pub fn ask(&self, qemu_img: &Tool, dir: &Path) -> Result<(), BadState> {
        second_opinion(qemu_img, dir, &self.image, &self.expected, self.content.as_deref())
            .map_err(|bad| self.bad(bad))
    }

    /// That there is no answer, which is as bad.
    #[must_use]
    pub fn unanswered(&self, why: String) -> BadState {
        self.bad(Bad::new("qemu-img", why))
    }

    fn bad(&self, bad: Bad) -> BadState {
        let class = format!("{}/{}", self.stem, bad.kind);
        BadState { resize: self.resize, cause: self.cause.clone(), class, detail: bad.detail }
    }
}
