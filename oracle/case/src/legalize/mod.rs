//! Making any case legal: one that its maker can build, that both sides can carry out and that stays fast.
//!
//! [`Case::legalize`] is idempotent, so that whatever changes a case (a mutator, a shrinker) may call it afterwards.

pub(crate) mod bounds;
mod fixture;
mod writes;

use crate::{
    Case, Fixture, FormatOptions, Preallocation, Refusal, Resize, expected_after, size, target, virtual_size,
};
use bounds::{MAX_RESIZES, PREALLOCATED_GROWTH, growth_cap, shrink_slots};

impl Case {
    /// Makes the case legal; a legal one stays as it is.
    pub fn legalize(&mut self) {
        self.fixture.legalize();
        self.resizes.truncate(MAX_RESIZES);
        let mut current = virtual_size(&self.fixture.format, self.fixture.size);
        for resize in &mut self.resizes {
            resize.legalize(&self.fixture, current);
            if let Ok(new) = target(&self.fixture.format, current, resize) {
                current = virtual_size(&self.fixture.format, new);
            }
        }
        let size = expected_after(self).size();
        writes::legalize_after(&mut self.after, &self.fixture.format, size);
    }
}

impl Resize {
    fn legalize(&mut self, fixture: &Fixture, current: u64) {
        match (target(&fixture.format, current, self), &fixture.format) {
            (Ok(new), format) => {
                let bounded = bounded(format, current, new);
                if bounded != new {
                    self.size = size::spell(bounded);
                }
                self.settle_preallocation(format, bounded.saturating_sub(current));
            }
            // Which of two reasons wins is no question for a generated case.
            (Err(Refusal::Unaligned | Refusal::TooLarge), FormatOptions::Qcow2(_)) => {
                self.preallocation = Preallocation::Off;
            }
            (Err(Refusal::TooLarge), FormatOptions::Raw) => {
                self.size = size::spell(growth_cap(&fixture.format));
                self.legalize(fixture, current);
            }
            (Err(_), _) => {}
        }
    }

    /// A qcow2 image is not preallocated on resize, and a raw one not by much.
    fn settle_preallocation(&mut self, format: &FormatOptions, growth: u64) {
        let raw = format.qcow2().is_none();
        let written = matches!(self.preallocation, Preallocation::Falloc | Preallocation::Full);
        if !raw || (written && growth > PREALLOCATED_GROWTH) {
            self.preallocation = Preallocation::Off;
        }
    }
}

/// `new`, or the nearest size to it that a resize from `current` reaches in good time.
fn bounded(format: &FormatOptions, current: u64, new: u64) -> u64 {
    let new = new.min(growth_cap(format));
    let Some(options) = format.qcow2() else {
        return new;
    };
    let (from, to) = (options.l1_entries(current), options.l1_entries(new));
    let slots = shrink_slots(options);
    if from.saturating_sub(to) > slots { (from - slots) * options.l2_coverage() } else { new }
}
