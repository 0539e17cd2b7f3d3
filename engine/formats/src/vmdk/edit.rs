//! Changing a descriptor: the sizes of extents and the geometry that follows from them, and nothing else.

use super::descriptor::{Descriptor, Extent, extent, value, word};
use super::text::{Text, decimal, lines};
use super::{Kind, SPLIT_SECTORS};
use core::cmp::Ordering;

/// The entry of the disk data base that a resize changes.
const CYLINDERS: &[u8] = b"ddb.geometry.cylinders";

/// What becomes of the extents of a disk, in its own order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    /// How many stay, at least one; those behind them are no more.
    pub kept: u64,
    /// How many sectors the last one of them has.
    pub last: u64,
    /// How many more there are, named like the last.
    pub added: u64,
    /// How many sectors the very last one has, if there are more; all before it have [`Edit::split`].
    pub added_last: u64,
    /// Sectors of a full extent.
    pub split: u64,
    /// How many sectors the disk has then.
    pub total: u64,
}

impl Edit {
    /// How many sectors the `n`th of the added extents has.
    #[must_use]
    pub const fn sectors(&self, n: u64) -> u64 {
        if n.saturating_add(1) == self.added { self.added_last } else { self.split }
    }
}

/// Writes the text of `old` with what `edit` says to `out`. `None`: it does not fit, or the further extents
/// cannot be named.
pub fn rewrite<'o>(old: &Descriptor<'_>, edit: &Edit, out: &'o mut [u8]) -> Option<&'o [u8]> {
    let mut text = Text::new(out);
    let mut seen = 0_u64;
    for line in lines(old.text()) {
        if let Ok(Some(found)) = extent(line) {
            seen = seen.saturating_add(1);
            match seen.cmp(&edit.kept) {
                Ordering::Less => {
                    text.put(line);
                }
                Ordering::Equal => {
                    resized(&mut text, line, edit.last)?;
                    let names = old.extents().filter_map(Result::ok).map(|extent| extent.name);
                    further(&mut text, &found, (edit, highest(names, found.name)), line)?;
                }
                Ordering::Greater => {}
            }
        } else if let Some(geometry) = geometry(old, line, edit.total) {
            replaced(&mut text, line, value(line, CYLINDERS)?, geometry)?;
        } else {
            text.put(line);
        }
    }
    text.finish()
}

/// The cylinders that the disk shall have, if `line` tells how many it has.
fn geometry(old: &Descriptor<'_>, line: &[u8], total: u64) -> Option<u64> {
    value(line, CYLINDERS).and_then(decimal)?;
    let heads = decimal(old.entry(b"ddb.geometry.heads")?)?;
    let sectors = decimal(old.entry(b"ddb.geometry.sectors")?)?;
    total.checked_div(heads.checked_mul(sectors)?)
}

/// The line with another number of sectors.
fn resized(text: &mut Text<'_>, line: &[u8], sectors: u64) -> Option<()> {
    let (_, rest) = word(line);
    replaced(text, line, word(rest).0, sectors)
}

/// `line` with `number` instead of `part`, which is a part of it. If that is the same number, as it is.
fn replaced(text: &mut Text<'_>, line: &[u8], part: &[u8], number: u64) -> Option<()> {
    if decimal(part) == Some(number) {
        text.put(line);
        return Some(());
    }
    // Both are parts of one text.
    let before = part.as_ptr().addr().checked_sub(line.as_ptr().addr())?;
    text.put(line.get(..before)?).number(number, 1);
    text.put(line.get(before.checked_add(part.len())?..)?);
    Some(())
}

/// The lines of the extents that follow `last`, whose line ends as theirs shall; their names count on from `name`.
fn further(text: &mut Text<'_>, last: &Extent<'_>, (edit, name): (&Edit, &[u8]), line: &[u8]) -> Option<()> {
    let end: &[u8] = if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
    if edit.added > 0 && !line.ends_with(b"\n") {
        text.put(end);
    }
    for n in 0..edit.added {
        text.put(b"RW ").number(edit.sectors(n), 1).put(b" ").put(last.kind.word().as_bytes()).put(b" \"");
        put_name(text, name, n.checked_add(1)?)?;
        text.put(if last.kind == Kind::Flat { b"\" 0" } else { b"\"" }).put(end);
    }
    Some(())
}

/// A name in three parts: what comes before its number, the digits of that, and what begins with its last dot.
fn parts(name: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let dot = name.iter().rposition(|byte| *byte == b'.').unwrap_or(name.len());
    let (stem, ending) = name.split_at_checked(dot)?;
    let digits = stem.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (stem, number) = stem.split_at_checked(stem.len().checked_sub(digits)?)?;
    Some((stem, number, ending))
}

/// Of the names that differ from `last` in their number only, that with the highest one: `last` need not be it, for
/// the extents of a disk may be in any order.
pub fn highest<'n>(names: impl Iterator<Item = &'n [u8]>, last: &'n [u8]) -> &'n [u8] {
    let Some((stem, digits, ending)) = parts(last) else { return last };
    let number = |name: &'n [u8]| {
        let found = parts(name).filter(|found| found.0 == stem && found.2 == ending)?;
        Some((decimal(found.1)?, name))
    };
    let start = decimal(digits).map(|number| (number, last));
    names.filter_map(number).chain(start).max_by_key(|found| found.0).map_or(last, |found| found.1)
}

/// Writes the name of the `n`th extent behind the one of this name: the number before its last dot counts.
pub fn put_name(text: &mut Text<'_>, name: &[u8], n: u64) -> Option<()> {
    let (stem, number, ending) = parts(name)?;
    text.put(stem).number(decimal(number)?.checked_add(n)?, number.len()).put(ending);
    Some(())
}

/// What becomes of extents of these sizes, of which all but the last are full, on a disk of `total` sectors, which
/// is more than they have or not. `split`: whether further ones may follow. `None` for a disk of nothing.
pub fn plan(sizes: impl Iterator<Item = u64>, split: bool, total: u64) -> Option<Edit> {
    let (mut seen, mut before, mut first, mut cut) = (0_u64, 0_u64, None, None);
    let mut last = 0;
    for sectors in sizes {
        first = first.or((seen > 0).then_some(last));
        (seen, last) = (seen.checked_add(1)?, sectors);
        let end = before.checked_add(sectors)?;
        if cut.is_none() && end >= total {
            cut = Some((seen, total.checked_sub(before)?));
        }
        before = end;
    }
    let full = first.filter(|full| (1..=SPLIT_SECTORS).contains(full)).unwrap_or(SPLIT_SECTORS);
    let none = Edit { kept: seen, last, added: 0, added_last: 0, split: full, total };
    if let Some((kept, last)) = cut {
        return (last > 0).then_some(Edit { kept, last, ..none });
    }
    let more = total.checked_sub(before)?;
    let room = if split { full.saturating_sub(last) } else { more };
    let rest = more.saturating_sub(room);
    let added = rest.div_ceil(full);
    let added_last = rest.saturating_sub(added.saturating_sub(1).saturating_mul(full));
    (seen > 0).then_some(Edit { last: last.checked_add(room.min(more))?, added, added_last, ..none })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;

    const TEXT: &str = "# Disk DescriptorFile\r\nversion=1\nCID=5\nparentCID=ffffffff\n\
        createType=\"twoGbMaxExtentFlat\"\n# Extent description\nRW 4194304 FLAT \"x-f001.vmdk\" 0\n\
        RW 0002048   FLAT \"x-f002.vmdk\"  0 # mine\n\n#DDB\nddb.geometry.cylinders = \"6241\"\nddb.foo = \"bar\"\n\
        ddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"";

    fn edited(edit: &Edit) -> std::string::String {
        let mut out = [0; 1024];
        let text = rewrite(&Descriptor::new(TEXT.as_bytes()), edit, &mut out).expect("it fits");
        std::string::String::from_utf8(text.to_vec()).expect("text")
    }

    extern crate std;

    #[test]
    fn only_sizes_change() {
        let sizes = [SPLIT_SECTORS, 2048];
        let plan = |total| plan(sizes.into_iter(), true, total).expect("a plan");
        let same = edited(&plan(SPLIT_SECTORS + 2048));
        assert_eq!(same, TEXT.replace("6241", "4163"));
        let longer = edited(&plan(SPLIT_SECTORS + 4096));
        assert_eq!(longer, TEXT.replace("RW 0002048", "RW 4096").replace("6241", "4165"));
        let shorter = edited(&plan(SPLIT_SECTORS));
        let line = "RW 0002048   FLAT \"x-f002.vmdk\"  0 # mine\n";
        assert_eq!(shorter, TEXT.replace(line, "").replace("6241", "4161"));
        let more = edited(&plan(3 * SPLIT_SECTORS + 7));
        let added = "RW 4194304   FLAT \"x-f002.vmdk\"  0 # mine\nRW 4194304 FLAT \"x-f003.vmdk\" 0\n\
                     RW 7 FLAT \"x-f004.vmdk\" 0\n";
        assert_eq!(more, TEXT.replace(line, added).replace("6241", "12483"));
    }

    #[test]
    fn extents_are_filled_before_there_are_more() {
        let plan = |sizes: &[u64], split, total| plan(sizes.iter().copied(), split, total);
        let (s, none) = (SPLIT_SECTORS, 0);
        let edit = |kept, last, added, added_last, split, total| {
            Some(Edit { kept, last, added, added_last, split, total })
        };
        assert_eq!(plan(&[5], true, s), edit(1, s, 0, none, s, s));
        assert_eq!(plan(&[5], true, s + 1), edit(1, s, 1, 1, s, s + 1));
        assert_eq!(plan(&[5], true, 3 * s), edit(1, s, 2, s, s, 3 * s));
        assert_eq!(plan(&[5], false, 3 * s), edit(1, 3 * s, 0, none, s, 3 * s));
        assert_eq!(plan(&[100, 50], true, 320), edit(2, 100, 2, 20, 100, 320), "VMware's are smaller");
        assert_eq!(plan(&[100, 50], true, 100), edit(1, 100, 0, none, 100, 100));
        assert_eq!(plan(&[100, 50], true, 99), edit(1, 99, 0, none, 100, 99));
        assert_eq!(plan(&[100, 50], true, 0), None);
        assert_eq!(plan(&[], true, 5), None);
    }

    #[test]
    fn names_count_on_from_the_highest() {
        let names: [&[u8]; 4] = [b"x-s010.vmdk", b"x-s002.vmdk", b"y-s099.vmdk", b"x-s003.vmdk"];
        let from = |count: usize, last| highest(names.into_iter().take(count), last);
        assert_eq!(from(4, names[3]), b"x-s010.vmdk");
        assert_eq!(from(0, names[3]), b"x-s003.vmdk");
        assert_eq!(from(4, names[2]), b"y-s099.vmdk");
        assert_eq!(from(4, b"flat"), b"flat");
        let line = "RW 0002048   FLAT \"x-f002.vmdk\"  0 # mine\n";
        let text = TEXT.replace("x-f001", "x-f007");
        let mut out = [0; 1024];
        let edit = plan([SPLIT_SECTORS, 2048].into_iter(), true, 2 * SPLIT_SECTORS + 7).expect("a plan");
        let written = rewrite(&Descriptor::new(text.as_bytes()), &edit, &mut out).expect("it fits");
        let added = "RW 4194304   FLAT \"x-f002.vmdk\"  0 # mine\nRW 7 FLAT \"x-f008.vmdk\" 0\n";
        assert_eq!(written, text.replace(line, added).replace("6241", "8322").as_bytes());
    }

    #[test]
    fn names_count_on() {
        let name = |name: &[u8], n| {
            let mut buf = [0; 64];
            let mut text = Text::new(&mut buf);
            put_name(&mut text, name, n)?;
            text.finish().map(|name| std::string::String::from_utf8(name.to_vec()).expect("text"))
        };
        assert_eq!(name(b"x-s001.vmdk", 1).as_deref(), Some("x-s002.vmdk"));
        assert_eq!(name(b"x-s999.vmdk", 1).as_deref(), Some("x-s1000.vmdk"));
        assert_eq!(name(b"x.1-f009", 3).as_deref(), None, "no number before the dot");
        assert_eq!(name(b"x-f009", 3).as_deref(), Some("x-f012"));
        assert_eq!(name(b"x-flat.vmdk", 1), None);
    }
}
