//! The descriptor of a new disk, line by line as `qemu-img` writes it.

use super::text::Text;
use super::{Kind, NO_PARENT, SPLIT_SECTORS};

/// Sectors of a track, whatever the adapter.
const TRACK: u64 = 63;

/// What is to be described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct New<'a> {
    /// Identifies the content.
    pub cid: u32,
    /// That of the parent, or [`NO_PARENT`].
    pub parent_cid: u32,
    /// The parent's name; it counts only if there is one.
    pub parent: &'a [u8],
    /// The word for the kind of image.
    pub create_type: &'a [u8],
    /// The name of the descriptor's file, without its directory.
    pub name: &'a [u8],
    /// What the extents are.
    pub kind: Kind,
    /// Whether they have files of their own, and whether they have at most 2 GiB.
    pub extents: Extents,
    /// Size of the disk in sectors.
    pub sectors: u64,
    /// "ddb.virtualHWVersion".
    pub hardware: &'a [u8],
    /// "ddb.toolsVersion".
    pub tools: &'a [u8],
    /// "ddb.adapterType".
    pub adapter: &'a [u8],
}

/// How many extents there are, and in which files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extents {
    /// One, in the descriptor's own file.
    Own,
    /// One, in another.
    One,
    /// As many as it takes.
    Split,
}

impl Extents {
    /// How many files there are besides the descriptor's for a disk of `sectors`.
    #[must_use]
    pub const fn files(self, sectors: u64) -> u64 {
        match self {
            Self::Own => 0,
            Self::One if sectors == 0 => 0,
            Self::One => 1,
            Self::Split => sectors.div_ceil(SPLIT_SECTORS),
        }
    }

    /// How many sectors of them the `n`th has.
    #[must_use]
    pub const fn sectors(self, sectors: u64, n: u64) -> u64 {
        match self {
            Self::Own | Self::One => sectors,
            Self::Split => {
                let left = sectors.saturating_sub(n.saturating_mul(SPLIT_SECTORS));
                if left < SPLIT_SECTORS { left } else { SPLIT_SECTORS }
            }
        }
    }
}

/// Writes the name of the `n`th extent of the disk whose descriptor has the name `name`.
pub fn put_extent_name(text: &mut Text<'_>, name: &[u8], kind: Kind, extents: Extents, n: u64) {
    let dot = name.iter().rposition(|byte| *byte == b'.').unwrap_or(name.len());
    let (stem, ending) = name.split_at_checked(dot).unwrap_or_default();
    match extents {
        Extents::Own => text.put(name),
        Extents::One => text.put(stem).put(b"-flat").put(ending),
        Extents::Split => {
            let letter: &[u8] = if kind.is_flat() { b"-f" } else { b"-s" };
            text.put(stem).put(letter).number(n.saturating_add(1), 3).put(ending)
        }
    };
}

/// Writes the descriptor to `out`. `None`: it does not fit.
pub fn compose<'o>(new: &New<'_>, out: &'o mut [u8]) -> Option<&'o [u8]> {
    let mut text = Text::new(out);
    text.put(b"# Disk DescriptorFile\nversion=1\nCID=").hex(u64::from(new.cid)).put(b"\nparentCID=");
    text.hex(u64::from(new.parent_cid)).put(b"\ncreateType=\"").put(new.create_type).put(b"\"\n");
    match new.parent_cid {
        NO_PARENT => text.put(b"\n"),
        _ => text.put(b"parentFileNameHint=\"").put(new.parent).put(b"\"\n"),
    };
    text.put(b"# Extent description\n");
    for n in 0..new.extents.files(new.sectors).max(u64::from(new.extents == Extents::Own)) {
        text.put(b"RW ").number(new.extents.sectors(new.sectors, n), 1).put(b" ");
        text.put(new.kind.word().as_bytes()).put(b" \"");
        put_extent_name(&mut text, new.name, new.kind, new.extents, n);
        text.put(if new.kind.is_flat() { b"\" 0\n" } else { b"\"\n" });
    }
    let heads: u64 = if new.adapter == b"ide" { 16 } else { 255 };
    let cylinders = new.sectors.checked_div(TRACK.saturating_mul(heads)).unwrap_or(0);
    text.put(b"\n# The Disk Data Base\n#DDB\n\n");
    entry(&mut text, b"virtualHWVersion").put(new.hardware).put(b"\"\n");
    entry(&mut text, b"geometry.cylinders").number(cylinders, 1).put(b"\"\n");
    entry(&mut text, b"geometry.heads").number(heads, 1).put(b"\"\n");
    entry(&mut text, b"geometry.sectors").number(TRACK, 1).put(b"\"\n");
    entry(&mut text, b"adapterType").put(new.adapter).put(b"\"\n");
    entry(&mut text, b"toolsVersion").put(new.tools).put(b"\"\n");
    text.finish()
}

fn entry<'t, 'b>(text: &'t mut Text<'b>, name: &[u8]) -> &'t mut Text<'b> {
    text.put(b"ddb.").put(name).put(b" = \"")
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;

    extern crate std;

    const NEW: New<'_> = New {
        cid: 0x1ff_527e,
        parent_cid: NO_PARENT,
        parent: b"",
        create_type: b"twoGbMaxExtentSparse",
        name: b"s.vmdk",
        kind: Kind::Sparse,
        extents: Extents::Split,
        sectors: 3 << 21,
        hardware: b"4",
        tools: b"2147483647",
        adapter: b"ide",
    };

    fn text(new: &New<'_>) -> std::string::String {
        let mut out = [0; 1024];
        std::string::String::from_utf8(compose(new, &mut out).expect("it fits").to_vec()).expect("text")
    }

    /// As `qemu-img` 10.0.2 writes it.
    #[test]
    fn lines_are_those_of_qemu_img() {
        let ddb = "\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"6241\"\n\
                   ddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\nddb.adapterType = \"ide\"\n\
                   ddb.toolsVersion = \"2147483647\"\n";
        let head = "# Disk DescriptorFile\nversion=1\nCID=1ff527e\nparentCID=";
        let split = std::format!(
            "{head}ffffffff\ncreateType=\"twoGbMaxExtentSparse\"\n\n# Extent description\n\
             RW 4194304 SPARSE \"s-s001.vmdk\"\nRW 2097152 SPARSE \"s-s002.vmdk\"\n{ddb}"
        );
        assert_eq!(text(&NEW), split);
        let child = New {
            parent_cid: 7,
            parent: b"a.vmdk",
            create_type: b"monolithicSparse",
            extents: Extents::Own,
            ..NEW
        };
        let text_of_child = std::format!(
            "{head}7\ncreateType=\"monolithicSparse\"\nparentFileNameHint=\"a.vmdk\"\n# Extent description\n\
             RW 6291456 SPARSE \"s.vmdk\"\n{ddb}"
        );
        assert_eq!(text(&child), text_of_child);
        let flat = New { kind: Kind::Flat, extents: Extents::One, adapter: b"lsilogic", ..NEW };
        let text_of_flat = text(&flat);
        assert!(text_of_flat.contains("\nRW 6291456 FLAT \"s-flat.vmdk\" 0\n"), "{text_of_flat}");
        assert!(text_of_flat.contains("cylinders = \"391\"\nddb.geometry.heads = \"255\""));
        assert!(!text(&New { sectors: 0, ..flat }).contains("FLAT"), "no disk, no extent");
        assert!(text(&New { sectors: 0, ..child }).contains("RW 0 SPARSE"));
        assert_eq!(compose(&NEW, &mut [0; 100]), None);
    }

    #[test]
    fn splits_have_two_gib() {
        let s = SPLIT_SECTORS;
        let sizes = |sectors| {
            let files = Extents::Split.files(sectors);
            (0..files).map(|n| Extents::Split.sectors(sectors, n)).collect::<std::vec::Vec<_>>()
        };
        assert_eq!((sizes(0), sizes(1), sizes(s)), (std::vec![], std::vec![1], std::vec![s]));
        assert_eq!((sizes(s + 1), sizes(2 * s)), (std::vec![s, 1], std::vec![s, s]));
    }
}
