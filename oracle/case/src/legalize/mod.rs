//! Making any case legal: one that its maker can build, that both sides can carry out and that stays fast.
//!
//! [`Case::legalize`] is idempotent, so that whatever changes a case (a mutator, a shrinker) may call it afterwards.

pub(crate) mod bounds;
mod fixture;
mod parts;
mod unresized;
mod writes;

use crate::{
    Case, Fixture, FormatOptions, Preallocation, Refusal, Resize, expected_after, size, target_of,
    virtual_size,
};
use bounds::{
    MAX_RESIZES, PREALLOCATED_CLUSTERS, PREALLOCATED_GROWTH, growth_cap, growth_cap_of, shrink_slots,
};

impl Case {
    /// Makes the case legal; a legal one stays as it is.
    pub fn legalize(&mut self) {
        self.fixture.legalize();
        self.resizes.truncate(MAX_RESIZES);
        let mut current = virtual_size(&self.fixture.format, self.fixture.size);
        for resize in &mut self.resizes {
            resize.legalize(&self.fixture, current);
            if let Ok(new) = target_of(&self.fixture, current, resize) {
                current = virtual_size(&self.fixture.format, new);
            }
        }
        let size = expected_after(self).size();
        writes::legalize_after(&mut self.after, &self.fixture, size);
    }
}

impl Resize {
    fn legalize(&mut self, fixture: &Fixture, current: u64) {
        match (target_of(fixture, current, self), &fixture.format) {
            (Ok(new), format) => {
                let bounded = bounded(fixture, current, new);
                if bounded != new {
                    self.size = size::spell(bounded);
                }
                self.settle_preallocation(format, bounded.saturating_sub(current));
            }
            // Which of two reasons wins is no question for a generated case.
            (
                Err(Refusal::Unaligned | Refusal::TooLarge | Refusal::ZeroClusters),
                FormatOptions::Qcow2(_),
            ) => {
                self.preallocation = Preallocation::Off;
            }
            // Older versions have another limit, and file systems one of their own.
            (Err(Refusal::TooLarge), FormatOptions::Raw | FormatOptions::Luks) => {
                self.size = size::spell(growth_cap(&fixture.format));
                self.legalize(fixture, current);
            }
            (Err(_), _) => {}
        }
    }

    /// Nothing is preallocated by much.
    fn settle_preallocation(&mut self, format: &FormatOptions, growth: u64) {
        let written = matches!(self.preallocation, Preallocation::Falloc | Preallocation::Full);
        let most = match format.qcow2() {
            None if format.is_unresized() => unresized::preallocated_cap(format, self.preallocation),
            Some(options) => PREALLOCATED_GROWTH.min(PREALLOCATED_CLUSTERS * options.cluster_size()),
            None if written => PREALLOCATED_GROWTH,
            None => u64::MAX,
        };
        if growth > most {
            self.preallocation = Preallocation::Off;
        }
    }
}

/// `new`, or the nearest size to it that a resize from `current` reaches in good time.
fn bounded(fixture: &Fixture, current: u64, new: u64) -> u64 {
    let new = new.min(growth_cap_of(fixture));
    let Some(options) = fixture.format.qcow2() else {
        return new;
    };
    let unit = options.resized_by(fixture.backing.is_some());
    let new = if new.is_multiple_of(unit) { new } else { (new / unit * unit).max(unit) };
    let (from, to) = (options.l1_entries(current), options.l1_entries(new));
    let slots = shrink_slots(options);
    if from.saturating_sub(to) > slots { (from - slots) * options.l2_coverage() } else { new }
}
