//! The descriptor ("The Descriptor File"): lines of text, ended by LF or CR LF, and by the first NUL.

use super::text::{decimal, lines};
use crate::ImageError;

/// "RW", "RDONLY", "NOACCESS".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Both.
    ReadWrite,
    /// Reading.
    ReadOnly,
    /// Nothing.
    None,
}

/// What an extent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The disk's own bytes, from an offset of the file on.
    Flat,
    /// The same under ESX: from the beginning.
    Vmfs,
    /// A sparse extent.
    Sparse,
    /// Zeros, in no file.
    Zero,
    /// What nobody here reads: ESX's own sparse extents, raw devices.
    Other,
}

impl Kind {
    /// Whether it holds the disk's bytes as they are.
    #[must_use]
    pub const fn is_flat(self) -> bool {
        matches!(self, Self::Flat | Self::Vmfs)
    }

    /// The word for it, as `qemu-img info` gives it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Flat => "FLAT",
            Self::Vmfs => "VMFS",
            Self::Sparse => "SPARSE",
            Self::Zero => "ZERO",
            Self::Other => "",
        }
    }
}

/// A line of the extent description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent<'t> {
    /// Who may do what.
    pub access: Access,
    /// How much of the disk it has, in sectors.
    pub sectors: u64,
    /// What it is.
    pub kind: Kind,
    /// Its file, relative to the descriptor's directory.
    pub name: &'t [u8],
    /// Where in the file it begins, in sectors.
    pub offset: u64,
}

/// What kind of image a descriptor file describes ("createType").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateType {
    /// One flat extent.
    MonolithicFlat,
    /// Sparse extents of 2 GiB.
    SplitSparse,
    /// Flat extents of 2 GiB.
    SplitFlat,
    /// One flat extent under ESX.
    Vmfs,
}

impl CreateType {
    /// Whether the disk continues in a further extent when one has its 2 GiB.
    #[must_use]
    pub const fn is_split(self) -> bool {
        matches!(self, Self::SplitSparse | Self::SplitFlat)
    }
}

/// A descriptor's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor<'t> {
    text: &'t [u8],
}

impl<'t> Descriptor<'t> {
    /// The descriptor in these bytes, which it need not fill.
    #[must_use]
    pub fn new(bytes: &'t [u8]) -> Self {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Self { text: bytes.get(..end).unwrap_or_default() }
    }

    /// Its text.
    #[must_use]
    pub const fn text(&self) -> &'t [u8] {
        self.text
    }

    /// What identifies the disk's content. Like QEMU, it takes the first `CID` that there is.
    ///
    /// # Errors
    /// [`ImageError::VmdkCid`]: there is none, or it is no number.
    pub fn cid(&self) -> Result<u32, ImageError> {
        hex(self.after(b"CID=")).ok_or(ImageError::VmdkCid)
    }

    /// What the parent's [`Self::cid`] was, or [`super::NO_PARENT`].
    ///
    /// # Errors
    /// As [`Self::cid`].
    pub fn parent_cid(&self) -> Result<u32, ImageError> {
        hex(self.after(b"parentCID=")).ok_or(ImageError::VmdkCid)
    }

    /// The word for the kind of image; empty for none.
    #[must_use]
    pub fn create_type_word(&self) -> &'t [u8] {
        quoted(self.after(b"createType=")).unwrap_or_default()
    }

    /// What kind of image a descriptor file describes.
    ///
    /// # Errors
    /// [`ImageError::NotVmdk`]: it does not say. [`ImageError::VmdkType`]: one that nobody here reads.
    pub fn create_type(&self) -> Result<CreateType, ImageError> {
        if self.after(b"createType=").is_none() {
            return Err(ImageError::NotVmdk);
        }
        Ok(match self.create_type_word() {
            b"monolithicFlat" => CreateType::MonolithicFlat,
            b"twoGbMaxExtentSparse" => CreateType::SplitSparse,
            b"twoGbMaxExtentFlat" => CreateType::SplitFlat,
            b"vmfs" => CreateType::Vmfs,
            _ => return Err(ImageError::VmdkType),
        })
    }

    /// The name of the parent; empty for none.
    #[must_use]
    pub fn parent_hint(&self) -> &'t [u8] {
        quoted(self.after(b"parentFileNameHint=")).unwrap_or_default()
    }

    /// The value of an entry of the disk data base.
    #[must_use]
    pub fn entry(&self, name: &[u8]) -> Option<&'t [u8]> {
        lines(self.text).find_map(|line| value(line, name))
    }

    /// The extents, in the order of the disk. A line that begins like one and does not end like one is an error.
    pub fn extents(&self) -> impl Iterator<Item = Result<Extent<'t>, ImageError>> + use<'t> {
        lines(self.text).filter_map(|line| extent(line).transpose())
    }

    /// What follows the first `key`.
    fn after(&self, key: &[u8]) -> Option<&'t [u8]> {
        let at = self.text.windows(key.len()).position(|window| window == key)?;
        self.text.get(at.saturating_add(key.len())..)
    }
}

/// The quoted value of a line `name = "value"`.
pub(super) fn value<'t>(line: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let rest = line.trim_ascii_start().strip_prefix(name)?.trim_ascii_start();
    quoted(Some(rest.strip_prefix(b"=")?.trim_ascii_start()))
}

/// What stands in quotes at the beginning of `text`, in its first line.
fn quoted(text: Option<&[u8]>) -> Option<&[u8]> {
    let rest = text?.strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\n'))?;
    (rest.get(end) == Some(&b'"')).then(|| rest.get(..end))?
}

fn hex(text: Option<&[u8]>) -> Option<u32> {
    let text = text?;
    let end = text.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(text.len());
    u32::from_str_radix(core::str::from_utf8(text.get(..end)?).ok()?, 16).ok()
}

/// The word at the beginning of `text`, and what follows the space behind it.
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or_default();
    (word, rest.trim_ascii_start())
}

/// The extent that a line names, if it is such a line.
pub(super) fn extent(line: &[u8]) -> Result<Option<Extent<'_>>, ImageError> {
    let (first, rest) = word(line);
    let access = match first {
        b"RW" => Access::ReadWrite,
        b"RDONLY" => Access::ReadOnly,
        b"NOACCESS" => Access::None,
        _ => return Ok(None),
    };
    described(access, rest).map(Some).ok_or(ImageError::VmdkExtentLine)
}

fn described(access: Access, rest: &[u8]) -> Option<Extent<'_>> {
    let (sectors, rest) = word(rest);
    let (kind, rest) = word(rest);
    let sectors = decimal(sectors)?;
    let kind = match kind {
        b"FLAT" => Kind::Flat,
        b"VMFS" => Kind::Vmfs,
        b"SPARSE" => Kind::Sparse,
        b"ZERO" => return Some(Extent { access, sectors, kind: Kind::Zero, name: &[], offset: 0 }),
        b"VMFSSPARSE" | b"SESPARSE" | b"VMFSRDM" | b"VMFSRAW" => Kind::Other,
        _ => return None,
    };
    let name = quoted(Some(rest)).filter(|name| !name.is_empty())?;
    let rest = rest.get(name.len().saturating_add(2)..)?;
    let (offset, _) = word(rest);
    let offset = match (kind, offset) {
        (Kind::Flat, digits) => decimal(digits)?,
        (_, b"") => 0,
        (Kind::Sparse, _) => return None,
        (_, digits) => decimal(digits)?,
    };
    Some(Extent { access, sectors, kind, name, offset })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"# Disk DescriptorFile\nversion=1\nCID=605daf8\nparentCID=ffffffff\n\
        createType=\"twoGbMaxExtentFlat\"\n\n# Extent description\nRW 4194304 FLAT \"x-f001.vmdk\" 0\n\
        \x20 RW  2048   FLAT \"x f002.vmdk\"  5 \r\n\n# The Disk Data Base\n#DDB\n\n\
        ddb.geometry.cylinders = \"6241\"\n\0RW 1 FLAT \"no\" 0\n";

    #[test]
    fn what_a_descriptor_says() {
        let descriptor = Descriptor::new(TEXT);
        assert_eq!((descriptor.cid(), descriptor.parent_cid()), (Ok(0x0605_daf8), Ok(u32::MAX)));
        assert_eq!(descriptor.create_type(), Ok(CreateType::SplitFlat));
        assert_eq!(descriptor.parent_hint(), b"");
        assert_eq!(descriptor.entry(b"ddb.geometry.cylinders"), Some(&b"6241"[..]));
        assert_eq!(descriptor.entry(b"ddb.geometry"), None);
        let mut extents = descriptor.extents();
        let flat = |sectors, name, offset| {
            Some(Ok(Extent { access: Access::ReadWrite, sectors, kind: Kind::Flat, name, offset }))
        };
        assert_eq!(extents.next(), flat(4_194_304, b"x-f001.vmdk", 0));
        assert_eq!(extents.next(), flat(2048, b"x f002.vmdk", 5));
        assert_eq!(extents.next(), None, "the text ends with a NUL");
    }

    #[test]
    fn what_is_missing_is_an_error() {
        let nothing = Descriptor::new(b"");
        assert_eq!(
            (nothing.cid(), nothing.parent_cid()),
            (Err(ImageError::VmdkCid), Err(ImageError::VmdkCid))
        );
        assert_eq!(nothing.create_type(), Err(ImageError::NotVmdk));
        assert_eq!(Descriptor::new(b"createType=\"custom\"").create_type(), Err(ImageError::VmdkType));
        assert_eq!(Descriptor::new(b"CID=zz").cid(), Err(ImageError::VmdkCid));
        assert_eq!(Descriptor::new(b"CID=123456789").cid(), Err(ImageError::VmdkCid));
        assert_eq!(Descriptor::new(b"createType=\"monolithic\nFlat\"").create_type_word(), b"");
    }

    #[test]
    fn extent_lines() {
        let parse = |line: &'static str| extent(line.as_bytes());
        for line in [
            "RW 1 FLAT \"x\"",
            "RW 1 FLAT \"x\" -1",
            "RW -1 FLAT \"x\" 0",
            "RW 1 FOO \"x\" 0",
            "RW 1 FLAT x 0",
            "RW 1 FLAT \"\" 0",
            "RW 1 SPARSE \"x\" 0",
            "RW",
            "RW 99999999999999999999 FLAT \"x\" 0",
            "RW 1 FLAT \"x",
        ] {
            assert_eq!(parse(line), Err(ImageError::VmdkExtentLine), "{line}");
        }
        for line in ["", "# RW 1 FLAT \"x\" 0", "rw 1 FLAT \"x\" 0", "RWX 1", "ddb.x = \"RW\""] {
            assert_eq!(parse(line), Ok(None), "{line}");
        }
        let kind = |line| parse(line).expect("a line").expect("an extent").kind;
        assert_eq!(kind("NOACCESS 5 ZERO"), Kind::Zero);
        assert_eq!(kind("RDONLY 5 SESPARSE \"x\""), Kind::Other);
        assert_eq!(kind("RW 5 VMFS \"x-flat.vmdk\""), Kind::Vmfs);
    }
}
