//! Odd values for fields.

use crate::code::Code;
use crate::field::{Field, fields};
use crate::image::cluster;
use oracle_case::seed::SplitMix64;
use std::collections::BTreeSet;
use std::fmt;

/// Single bits that are turned over: the low and high ones of every field, and those in which entries have flags and
/// reserved ranges begin and end.
const BITS: [u32; 16] = [0, 1, 2, 3, 4, 8, 9, 12, 16, 24, 31, 40, 55, 56, 62, 63];

/// Values at and next to the limits of the specification and of QEMU, by the beginning of the field's name.
const LIMITS: [(&str, &[u64]); 24] = [
    ("version", &[1, 2, 3, 4]),
    ("backing-offset", &[4096, 4097, 4095]),
    ("backing-length", &[0, 1022, 1023, 1024, 3960, 3961]),
    ("cluster-bits", &[8, 9, 13, 14, 21, 22]),
    ("size", &[(1 << 63) - 512, 1 << 63, 8 << 20 | 1, (8 << 20) + 512]),
    ("crypt-method", &[1, 2, 3]),
    ("l1-size", &[3, 4, 5, 0x40_0000, 0x40_0001]),
    ("l1-offset", &[0x1000, 0x2000, 0x3008]),
    ("refcount-table-clusters", &[0, 1, 2, 2048, 2049]),
    ("snapshot-count", &[1, 0xffff, 0x1_0000, 0x1_0001]),
    ("incompatible", &[1, 2, 3, 4, 8, 16, 32, 1 << 63]),
    ("refcount-order", &[0, 6, 7]),
    ("header-length", &[72, 96, 103, 104, 105, 112, 4096, 4097, 4104]),
    ("compression-type", &[1, 2]),
    ("snapshot-extra-length", &[0, 8, 15, 16, 23, 24, 1024, 1025]),
    ("snapshot-l1-size", &[0, 0x40_0000, 0x40_0001]),
    ("bitmap-count", &[0, 1, 3, 0xffff, 0x1_0000]),
    ("bitmap-directory-length", &[0, 23, 24, 31, 32, 64 << 20, (64 << 20) + 1]),
    ("bitmap-table-entries", &[0, 2, 0x0800_0000, 0x0800_0001]),
    ("bitmap-flags", &[0, 1, 2, 3, 4, 8]),
    ("bitmap-type", &[0, 2]),
    ("bitmap-granularity", &[8, 9, 31, 32]),
    ("bitmap-name-length", &[0, 1, 1023, 1024]),
    ("bitmap-extra-length", &[1, 8]),
];

/// Bytes of a sector, and of a MiB.
const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;

/// One field of one image with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoil {
    /// The field.
    pub field: Field,
    /// What it held.
    pub was: u64,
    /// What it holds now.
    pub value: u64,
    /// Whether that is a limit or next to one.
    pub limit: bool,
}

impl Spoil {
    /// The image with the odd value.
    #[must_use]
    pub fn apply(&self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        self.field.code.put(&mut bytes, (self.field.at, self.field.width), self.value);
        bytes
    }
}

impl fmt::Display for Spoil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, was, value, .. } = self;
        write!(f, "{} at {:#x}: {was:#x} -> {value:#x}", field.name, field.at)
    }
}

/// Every way of spoiling the image `bytes`.
#[must_use]
pub fn spoils(bytes: &[u8]) -> Vec<Spoil> {
    spoils_of(fields(bytes), bytes)
}

/// Every way of spoiling these fields of the image `bytes`.
#[must_use]
pub fn spoils_of(fields: Vec<Field>, bytes: &[u8]) -> Vec<Spoil> {
    let mut all = Vec::new();
    for field in fields {
        let Some(was) = field.code.get(bytes, (field.at, field.width)) else { continue };
        let limits: BTreeSet<u64> = limits(&field).filter(|value| *value != was).collect();
        let others = values(&field, was, bytes);
        for (value, limit) in
            limits.iter().map(|v| (v, true)).chain(others.difference(&limits).map(|v| (v, false)))
        {
            all.push(Spoil { field: field.clone(), was, value: *value, limit });
        }
    }
    all
}

fn limits(field: &Field) -> impl Iterator<Item = u64> + use<> {
    LIMITS
        .iter()
        .find(|(name, _)| *name == field.name)
        .into_iter()
        .flat_map(|(_, values)| values.iter().copied())
}

/// Odd values: the extremes of the field, its neighbours, single bits, and places in and past the file.
fn values(field: &Field, was: u64, bytes: &[u8]) -> BTreeSet<u64> {
    let bits = u32::try_from(8 * field.width).unwrap_or(64);
    let most = u64::MAX >> (64 - bits);
    let (cluster, len) = (cluster(bytes), bytes.len() as u64);
    let mut values: BTreeSet<u64> =
        BITS.iter().filter(|bit| **bit < bits).map(|bit| was ^ 1 << bit).collect();
    values.extend([0, 1, 2, most, most >> 1, was.wrapping_add(1), was.wrapping_sub(1), was << 1, was >> 1]);
    if field.code != Code::Big {
        // Places are counted in sectors or MiB as often as in bytes.
        let ends = [len, len.div_ceil(SECTOR), len.div_ceil(MIB), len.next_multiple_of(MIB)];
        let near = ends.into_iter().flat_map(|end| [end.saturating_sub(1), end, end.saturating_add(1)]);
        values.extend(near);
        values.extend([SECTOR, MIB, was.wrapping_add(SECTOR), was.wrapping_add(MIB), was & !0xfffff | 7]);
    } else if field.width == 8 {
        let end = len.next_multiple_of(cluster);
        values.extend([cluster, was.wrapping_add(cluster), end, end - cluster, 1 << 63 | cluster]);
    }
    values.into_iter().map(|value| value & most).filter(|value| *value != was).collect()
}

/// `most` of `all`, in an order of the seed's: first each limit of each field once, wherever `spoil` finds it first.
#[must_use]
pub fn chosen<T>(all: Vec<T>, most: usize, seed: u64, spoil: impl Fn(&T) -> &Spoil) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let mut first = |one: &T| {
        let Spoil { field, value, limit, .. } = spoil(one);
        *limit && seen.insert((field.name.clone(), *value))
    };
    let (limits, others): (Vec<T>, Vec<T>) = all.into_iter().partition(&mut first);
    let mut rng = SplitMix64::new(seed);
    let mut order = shuffled(limits, &mut rng);
    order.extend(shuffled(others, &mut rng));
    order.truncate(most);
    order
}

fn shuffled<T>(mut all: Vec<T>, rng: &mut SplitMix64) -> Vec<T> {
    for i in (1..all.len()).rev() {
        let other = usize::try_from(rng.below(i as u64 + 1)).unwrap_or(0);
        all.swap(i, other);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_header_is_spoiled() {
        let mut bytes = vec![0; 512];
        Code::Big.put(&mut bytes, (4, 4), 3);
        Code::Big.put(&mut bytes, (20, 4), 16);
        Code::Big.put(&mut bytes, (100, 4), 104);
        let all = spoils(&bytes);
        for (name, value) in [("magic", 1), ("version", 2), ("size", 1 << 62), ("compression-type", 255)] {
            let found = all.iter().any(|spoil| spoil.field.name == name && spoil.value & value != 0);
            assert!(found, "{name}");
        }
        assert!(all.iter().all(|spoil| spoil.apply(&bytes) != bytes), "each changes something");
    }

    #[test]
    fn a_seed_gives_one_order_and_limits_come_first() {
        let field = Field { name: "f".into(), at: 0, width: 8, code: Code::Big };
        let one = |value| Spoil { field: field.clone(), was: 0, value, limit: value == 77 };
        let all: Vec<Spoil> = (0..100).map(one).collect();
        let order = |seed| chosen(all.clone(), 10, seed, |spoil| spoil);
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
        assert_eq!(order(7)[0].value, 77);
    }
}
